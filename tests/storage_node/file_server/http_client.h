#pragma once

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace headroom {

struct TestResponse {
  int status = 0;                              // 0: the connection ended before an answer
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// One blocking TCP connection to 127.0.0.1 for tests: sends exactly the bytes that it is told and reads whole answers.
// Gives up on anything after 20 s.
class TestClient {
 public:
  explicit TestClient(int port);
  TestClient(const TestClient&) = delete;
  ~TestClient();

  bool connected() const { return connected_; }
  bool Send(absl::string_view bytes);
  // `method` tells whether the answer has a body.
  TestResponse Read(absl::string_view method = "GET");
  TestResponse Call(absl::string_view method, absl::string_view target, absl::string_view extra_headers = "",
                    absl::string_view body = "");
  bool ReadsEnd();                               // the server closed the connection
  bool HasBytesWithin(absl::Duration patience);  // an answer, or the end, has arrived
  void Close();

 private:
  bool Fill();
  int fd_;
  bool connected_ = false, ended_ = false;
  std::string buffer_;
};

// True as soon as `condition` is; false when it is not after 20 s.
template <typename Condition>
bool Eventually(Condition condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

}  // namespace headroom
