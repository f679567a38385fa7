#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

namespace headroom {

// Child: a program as a process of its own, whose standard error goes to a file. Killed at the end of its life. One
// thread.
class Child {
 public:
  // `program`: beside the others that were built, or a path.
  Child(const std::string& program, const std::vector<std::string>& arguments, std::string log_path);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void Signal(int signal) const;
  // Its exit code, or minus the signal that ended it.
  int Wait();
  std::string log() const;
  pid_t pid() const { return pid_; }

 private:
  const std::string log_path_;
  pid_t pid_ = -1;
};

// A program that was built.
std::string BuiltProgram(const std::string& name);

}  // namespace headroom
