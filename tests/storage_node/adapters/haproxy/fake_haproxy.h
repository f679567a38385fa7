#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "storage_node/adapters/haproxy/stats_socket.h"

namespace headroom::haproxy {

// FakeHaproxy: answers as HAProxy 2.6.12 does, in the columns that matter, for one frontend "front" and one backend
// "nodes". Its state is open to the test; every command is written down.
class FakeHaproxy final : public CommandLine {
 public:
  struct Server {
    std::string address = "127.0.0.1:8000";
    int64_t operational = 2, admin = 0, check = 6;
    int64_t sessions = 0, queue = 0, limit = 0, weight = 100;
    int64_t connect_errors = 0, total = 0;
  };

  absl::StatusOr<std::string> Ask(absl::string_view command) override {
    if (!alive) return absl::UnavailableError("nobody there");
    commands.emplace_back(command);
    if (const auto canned = answers.find(std::string(command)); canned != answers.end()) return canned->second;
    const std::vector<std::string> words = absl::StrSplit(command, ' ');
    if (command == "show info") return Info();
    if (absl::StartsWith(command, "show stat")) return Stat();
    if (absl::StartsWith(command, "show servers state")) return State();
    return Change(words);
  }

  // Commands that would change something.
  std::vector<std::string> Changes() const {
    std::vector<std::string> changes;
    for (const std::string& command : commands) {
      if (!absl::StartsWith(command, "show ")) changes.push_back(command);
    }
    return changes;
  }
  void Restart() { servers.clear(), ++pid; }

  std::map<std::string, Server> servers;
  std::map<std::string, std::string> answers;  // command -> answer, instead of what would follow
  std::set<std::string> refused_names;         // servers that cannot be added
  std::vector<std::string> commands;
  std::string mode = "tcp";
  int64_t backend_queue = 0, frontend_limit = 4000, pid = 7;
  bool alive = true;

 private:
  std::string Info() const {
    return absl::StrCat("Name: HAProxy\nVersion: 2.6.12\nPid: ", pid, "\nMaxconn: 5000\nStopping: 0\n",
                        "Start_time_sec: 1795382199\n\n");
  }
  std::string Stat() const {
    std::string text =
        "# pxname,svname,qcur,scur,slim,stot,econ,wretr,status,type,uweight,hrsp_2xx,hrsp_5xx,addr,mode,\n";
    absl::StrAppend(&text, "front,FRONTEND,,3,", frontend_limit, ",9,,,OPEN,0,,,,,", mode, ",\n");
    for (const auto& [name, server] : servers) {
      absl::StrAppend(&text, "nodes,", name, ",", server.queue, ",", server.sessions, ",");
      absl::StrAppend(&text, server.limit == 0 ? "" : absl::StrCat(server.limit), ",", server.total, ",",
                      server.connect_errors, ",0,UP,2,", server.weight, ",");
      absl::StrAppend(&text, server.total, ",0,", server.address, ",", mode, ",\n");
    }
    absl::StrAppend(&text, "nodes,BACKEND,", backend_queue, ",3,500,9,0,0,UP,1,200,,,,", mode, ",\n\n");
    return text;
  }
  std::string State() const {
    std::string text =
        "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_check_state srv_check_port "
        "srv_check_addr\n";
    for (const auto& [name, server] : servers) {
      absl::StrAppend(&text, "3 nodes 1 ", name, " x ", server.operational, " ", server.admin, " ", server.check,
                      " 0 -\n");
    }
    return text + "\n";
  }
  std::string Change(const std::vector<std::string>& words) {
    const auto word = [&](size_t i) { return i < words.size() ? words[i] : ""; };
    const bool second = word(0) == "add" || word(0) == "del" || word(0) == "enable" || word(1) == "server";
    const std::string target = word(1) == "maxconn" ? word(3) : second ? word(2) : "";
    const std::string name = target.substr(target.find('/') + 1);
    if (word(0) == "add") return Add(name, words);
    if (word(1) == "maxconn" && word(2) == "frontend") return SetNumber(frontend_limit, word(4));
    const auto found = servers.find(name);
    if (found == servers.end()) return "No such server.\n\n";
    Server& server = found->second;
    if (word(0) == "del") return Delete(name);
    if (word(0) == "enable" && word(1) == "health") server.check = 6;
    if (word(0) == "enable" && word(1) == "server") server.admin = 0, server.operational = 2;
    if (word(1) == "maxconn") return SetNumber(server.limit, word(4));
    if (word(3) == "weight") return SetNumber(server.weight, word(4));
    if (word(3) == "addr") server.address = absl::StrCat(word(4), ":", word(6));
    if (word(3) == "addr") return "port changed by 'stats socket command'\n\n";
    if (word(3) == "state") server.admin = word(4) == "maint" ? 1 : word(4) == "drain" ? 8 : 0;
    return "\n";
  }
  std::string Add(const std::string& name, const std::vector<std::string>& words) {
    if (refused_names.count(name) != 0) return "Out of memory.\n\n";
    if (servers.count(name) != 0) return "Already exists a server with the same name in backend.\n\n";
    servers[name] = {.address = words[3], .operational = 0, .admin = 1, .check = 2};
    for (size_t i = 4; i + 1 < words.size(); ++i) {
      if (words[i] == "maxconn") SetNumber(servers[name].limit, words[i + 1]);
    }
    return "New server registered.\n\n";
  }
  std::string Delete(const std::string& name) {
    if (servers[name].admin != 1) return "Only servers in maintenance mode can be deleted.\n";
    servers.erase(name);
    return "Server deleted.\n";
  }
  static std::string SetNumber(int64_t& number, const std::string& word) {
    if (!absl::SimpleAtoi(word, &number)) number = 0;
    return "\n";
  }
};

}  // namespace headroom::haproxy
