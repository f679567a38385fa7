#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "storage_node/file_server/file_server.h"
#include "tests/storage_node/file_server/http_client.h"

namespace headroom {

// A directory that goes with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "headroom-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  void Put(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(*this / name).parent_path());
    std::ofstream(*this / name, std::ios::binary) << content;
  }
  std::string Get(const std::string& name) const {
    std::ifstream file(*this / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool Has(const std::string& name) const { return std::filesystem::exists(*this / name); }
  size_t UnfinishedUploads() const {
    const std::filesystem::directory_iterator uploads(*this / ".headroom");
    return static_cast<size_t>(std::distance(begin(uploads), end(uploads)));
  }

 private:
  std::string path_;
};

// A server on ports that the kernel picks, over a fresh directory. Change `limits` and `options`, then Start().
class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    options_.data_directory = directory_.path();
    options_.listen = options_.admin_listen = "127.0.0.1:0";
    options_.threads = 2;
    options_.stop_delay = absl::ZeroDuration();
    options_.drain_idle_grace = absl::ZeroDuration();
  }
  void Start() {
    gate_ = std::make_unique<Gate>(limits_);
    auto server = FileServer::Start(*gate_, options_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  TestResponse Once(absl::string_view method, absl::string_view target, absl::string_view headers = "",
                    absl::string_view body = "") {
    return TestClient(server_->port()).Call(method, target, headers, body);
  }
  TestResponse Admin(absl::string_view method, absl::string_view target) {
    return TestClient(server_->admin_port()).Call(method, target);
  }

  TemporaryDirectory directory_;
  GateLimits limits_;
  FileServerOptions options_;
  std::unique_ptr<Gate> gate_;  // outlives the server
  std::unique_ptr<FileServer> server_;
};

}  // namespace headroom
