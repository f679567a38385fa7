#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "gtest/gtest.h"
#include <signal.h>

#include "controller/providers/local.h"

namespace headroom {

// Waits for what another process does, at most 20 s; false: it did not happen.
inline bool Eventually(const std::function<bool()>& condition) {
  for (int step = 0; step < 2000; ++step) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

// A folder with a local provider whose nodes are processes that only wait. Ends all of them when it goes.
class LocalCluster {
 public:
  LocalCluster() {
    std::string path = ::testing::TempDir() + "headroom-local-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) ADD_FAILURE() << "no folder " << path;
    folder_ = path;
    options.state_dir = folder_;
    options.cluster = "test";
    options.controller_address = "127.0.0.1:1";
    options.terminate_grace = absl::Seconds(10);
    options.settings.set_data_dir(folder_);
    // exec: the process keeps the pid that the provider knows.
    SetProgram("exec sleep 120");
  }
  ~LocalCluster() {
    provider_.reset();
    std::filesystem::create_directories(folder_ + "/nodes");
    for (const auto& file : std::filesystem::directory_iterator(folder_ + "/nodes")) {
      if (file.path().extension().empty()) End(file.path().filename().string());
    }
    std::filesystem::remove_all(folder_);
  }
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  void SetProgram(const std::string& script) {
    const std::string path = folder_ + "/program";
    std::ofstream(path) << "#!/bin/sh\necho started \"$@\" >> " << folder_ << "/starts\n" << script << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    options.settings.set_program(path);
  }
  LocalProvider& Open() {
    OpenOnly();
    EXPECT_TRUE(provider_->Begin(0).ok());
    return *provider_;
  }
  // As a controller that does not come to serve.
  void OpenOnly() {
    provider_.reset();
    auto opened = LocalProvider::Open(options);
    EXPECT_TRUE(opened.ok()) << opened.status();
    provider_ = *std::move(opened);
  }
  void Close() { provider_.reset(); }

  std::string RecordPath(const NodeId& node) const { return folder_ + "/nodes/" + node; }
  LocalRecord Record(const NodeId& node) const {
    const auto text = ReadStateFile(RecordPath(node));
    const auto record = ParseRecord(text.value_or(""));
    return record.value_or(LocalRecord{});
  }
  void Write(const LocalRecord& record) const {
    EXPECT_TRUE(WriteStateFile(RecordPath(record.node), FormatRecord(record)).ok());
  }
  // One line for each start of a process, with its arguments.
  std::vector<std::string> Starts() const {
    std::ifstream file(folder_ + "/starts");
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  LocalProviderOptions options;

 private:
  void End(const NodeId& node) const {
    const LocalRecord record = Record(node);
    if (record.incarnation.empty()) return;
    while (const auto process = FindByEnvironment("HEADROOM_INCARNATION=" + record.incarnation)) {
      Signal(*process, SIGKILL);
      IsAlive(*process);
    }
  }

  std::string folder_;
  std::unique_ptr<LocalProvider> provider_;
};

}  // namespace headroom
