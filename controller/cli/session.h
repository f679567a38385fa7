#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include <google/protobuf/message.h>
#include <grpcpp/client_context.h>

#include "controller/cli/table.h"
#include "controller/wire/credentials.h"
#include "headroom/v1/admin.grpc.pb.h"

namespace headroom {

// Whether `err` shows a line that stays current.
enum class Progress { kNone, kLine };

// What the program stands in: its streams, its time, who uses it, and how a server is reached. Tests bring their own.
struct Terminal {
  std::ostream& out;  // data
  std::ostream& err;  // talk
  Colours colours = Colours::kOff;
  Progress progress = Progress::kNone;
  std::function<absl::Time()> now;
  std::string actor;  // user@host
  // No connection, and why: INVALID_ARGUMENT where the files are to blame, which is so for all endpoints. No files:
  // plaintext.
  std::function<absl::StatusOr<std::unique_ptr<v1::AdminService::StubInterface>>(const std::string& endpoint,
                                                                                 const TlsFiles& tls)>
      connect;
};

enum class Format { kTable, kJson, kYaml };

// Session: one run of headroomctl: the options that every command has, the call to the controller that leads, and the
// printing of an answer as data. Single-threaded.
class Session {
 public:
  explicit Session(const Terminal& terminal) : terminal_(terminal) {}

  std::string server;   // HOST:PORT, or several of them with commas between
  std::string cluster;  // that every request names; empty: the only one
  TlsFiles tls;
  std::string format = "table";
  std::string timeout = "10s";
  // Set by the command that was named.
  std::function<absl::Status()> command;

  std::ostream& out() { return terminal_.out; }
  std::ostream& err() { return terminal_.err; }
  Colours colours() const { return terminal_.colours; }
  bool shows_progress() const { return terminal_.progress == Progress::kLine; }
  absl::Time now() const { return terminal_.now(); }
  const std::string& actor() const { return terminal_.actor; }
  std::string Paint(const Cell& cell) const { return headroom::Paint(cell, terminal_.colours); }

  absl::Status CheckOptions() const;

  // Calls the controller that leads within the timeout: goes round the list of servers, and to where a standby sends
  // it. UNAVAILABLE says what became of each. A call that a controller may have carried out is not made again.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::AdminService::StubInterface::*method)(grpc::ClientContext*,
                                                                                        const Request&, Response*),
                                Request request) {
    request.set_cluster(cluster);
    Response response;
    const absl::Status status = Reach([&](v1::AdminService::StubInterface& stub, grpc::ClientContext& context) {
      SetDeadline(context);
      return (stub.*method)(&context, request, &response);
    });
    if (!status.ok()) return status;
    return response;
  }
  // The same for a call of any shape. It is made anew for each controller that is tried.
  using Attempt = std::function<grpc::Status(v1::AdminService::StubInterface&, grpc::ClientContext&)>;
  absl::Status Reach(const Attempt& attempt);

  // Prints `message` where data was asked for; false: a table is wanted.
  bool PrintData(const google::protobuf::Message& message);
  // One line of JSON, for streams.
  void PrintLine(const google::protobuf::Message& message);
  bool wants_table() const { return format == "table"; }

 private:
  void SetDeadline(grpc::ClientContext& context) const;
  // What came of one controller.
  struct Outcome {
    absl::Status status;
    enum class Next { kDone, kElsewhere } next = Next::kDone;
    std::string leader;  // where it sends us
  };
  Outcome Try(const Attempt& attempt);
  absl::Status Annotated(const absl::Status& status) const;
  absl::Status OutOfReach(absl::string_view why) const;
  absl::Status Explain(const grpc::Status& status, const grpc::ClientContext& context) const;

  const Terminal& terminal_;
  std::string endpoint_;                                   // the last one that was tried
  std::unique_ptr<v1::AdminService::StubInterface> stub_;  // of endpoint_, once it was found to be the right one
};

// What a command did; for a call with validate_only: that it would have.
template <typename Request>
std::string Told(const Request& request, const std::string& text) {
  return request.validate_only() ? "checked, nothing done; would be: " + text : text;
}
// A random id for a call that must not be done twice.
std::string NewRequestId();
// "3s ago", "12m ago"; "never".
std::string Ago(absl::Time now, bool known, const google::protobuf::Timestamp& time);
// "1m30s", without more than two units.
std::string Short(absl::Duration duration);
// "12.3", "450".
std::string Number(double value);

}  // namespace headroom
