#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include "controller/cli/app.h"
#include "controller/wire/leader_word.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

void SetSeconds(int64_t seconds, google::protobuf::Timestamp* time) {
  time->set_seconds(1'700'000'000 + seconds);
}

// A server that says always the same.
class CannedServer final : public v1::AdminService::Service {
 public:
  grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest*, v1::GetStatusResponse* out) override {
    out->set_cluster("shop");
    out->set_mode(v1::MODE_LIVE);
    out->set_term(3);
    out->set_version("0.1.0");
    SetSeconds(-2, out->mutable_last_tick_time());
    out->mutable_nodes()->set_serving(3);
    out->mutable_nodes()->set_launching(1);
    out->set_desired_count(4);
    out->set_nodes_min(2);
    out->set_nodes_max(6);
    out->set_open_count(560);
    out->set_active_count(40);
    out->set_waiting_count(12);
    out->set_limit_count(600);
    out->set_requests_per_second(450);
    out->mutable_diagnosis()->set_cause("limit_exhausted_by_surge");
    out->mutable_diagnosis()->mutable_reason()->set_text("A surge uses up the slots.");
    v1::Hold* hold = out->add_holds();
    hold->set_direction(v1::HOLD_DIRECTION_DOWN);
    hold->set_reason("backup");
    hold->set_actor("ann@desk");
    SetSeconds(1800, hold->mutable_expire_time());
    out->set_journal("ok");
    return grpc::Status::OK;
  }
  grpc::Status ListNodes(grpc::ServerContext*, const v1::ListNodesRequest* request,
                         v1::ListNodesResponse* out) override {
    const bool first = request->page_token().empty();
    v1::Node* node = out->add_nodes();
    node->set_node_id(first ? "node-1" : "node-2");
    node->set_state(first ? "serving" : "draining");
    node->set_open_count(first ? 190 : 3);
    node->set_limit_count(200);
    node->set_granted_count(200);
    node->set_pinned(!first);
    if (first) out->set_next_page_token("node-1");
    return grpc::Status::OK;
  }
  grpc::Status GetDecision(grpc::ServerContext* context, const v1::GetDecisionRequest* request,
                           v1::GetDecisionResponse* out) override {
    if (request->sequence() == 98) {
      context->AddTrailingMetadata("headroomd-version", "0.1.0");
      return {grpc::StatusCode::UNAVAILABLE, "the disk does not answer"};
    }
    if (request->sequence() == 99) return {grpc::StatusCode::NOT_FOUND, "decision 99 is not in the journal"};
    v1::Decision* decision = out->mutable_decision();
    decision->set_sequence(7);
    SetSeconds(0, decision->mutable_time());
    decision->set_mode(v1::MODE_LIVE);
    decision->set_term(3);
    decision->set_serving_count(3);
    decision->set_effective_count(3);
    decision->set_desired_count(4);
    decision->mutable_diagnosis()->set_cause("limit_exhausted_by_surge");
    decision->mutable_diagnosis()->set_confidence(0.93);
    decision->mutable_diagnosis()->mutable_reason()->set_text("A surge uses up the slots.");
    decision->mutable_diagnosis()->add_ruled_out()->set_text("Not the deploy: nothing changed for 6h.");
    v1::Reason* open = decision->mutable_diagnosis()->add_ruled_out();
    open->set_code("maybe_cpu");
    open->set_text("The CPU is not ruled out: no node tells how many cores it has.");
    v1::Demand* demand = decision->add_demands();
    demand->set_signal("connections");
    demand->set_node_count(3.6);
    demand->mutable_reason()->set_text("demand 720");
    decision->add_demands()->set_signal("latency");
    v1::Verdict* verdict = decision->add_verdicts();
    verdict->set_guard("max");
    verdict->set_at_most(4);
    verdict->set_before(5);
    verdict->set_after(4);
    v1::LimitDecision* limit = decision->add_limits();
    limit->set_node_id("node-1");
    limit->set_before(200);
    limit->set_after(400);
    limit->set_bound_by("fds");
    v1::Action* action = decision->add_actions();
    action->set_kind("launch");
    action->mutable_reason()->set_text("one more");
    return grpc::Status::OK;
  }
  grpc::Status SetHold(grpc::ServerContext*, const v1::SetHoldRequest* request, v1::SetHoldResponse*) override {
    held = *request;
    return grpc::Status::OK;
  }
  grpc::Status SetOverride(grpc::ServerContext*, const v1::SetOverrideRequest*, v1::SetOverrideResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status SetNodeLimit(grpc::ServerContext*, const v1::SetNodeLimitRequest*, v1::SetNodeLimitResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status DrainNode(grpc::ServerContext*, const v1::DrainNodeRequest*, v1::DrainNodeResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status PinNode(grpc::ServerContext*, const v1::PinNodeRequest*, v1::PinNodeResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status UndoDecision(grpc::ServerContext*, const v1::UndoDecisionRequest*, v1::UndoDecisionResponse*) override {
    return {grpc::StatusCode::FAILED_PRECONDITION, "nothing to undo"};
  }
  grpc::Status SetMode(grpc::ServerContext*, const v1::SetModeRequest* request, v1::SetModeResponse* out) override {
    asked = *request;
    out->set_mode(request->validate_only() ? v1::MODE_DRY_RUN : request->mode());
    out->set_mode_before(v1::MODE_DRY_RUN);
    out->set_term(4);
    v1::Trial* trial = out->mutable_trial();
    SetSeconds(-7200, trial->mutable_since_time());
    trial->set_decision_count(7200);
    trial->set_launch_count(4);
    trial->set_removal_count(2);
    trial->set_raise_count(31);
    trial->set_nodes_least(3);
    trial->set_nodes_most(6);
    trial->set_largest_sequence(812);
    SetSeconds(-600, trial->mutable_largest_time());
    trial->set_largest_before(3);
    trial->set_largest_after(6);
    v1::Decision* decision = out->add_decisions();
    decision->set_sequence(812);
    SetSeconds(-600, decision->mutable_time());
    decision->add_actions()->mutable_reason()->set_text("A node is launched.");
    out->add_learning()->set_text("Forecast: 40m more.");
    out->set_learning_of(6);
    return grpc::Status::OK;
  }
  v1::SetHoldRequest held;
  v1::SetModeRequest asked;
};

constexpr char kDown[] = "down:1", kStandby[] = "standby:1", kLeader[] = "leader:1";

// A controller that refuses commands, and sends to `leader` where that is set.
class Standby final : public v1::AdminService::Service {
 public:
  grpc::Status SetHold(grpc::ServerContext* context, const v1::SetHoldRequest*, v1::SetHoldResponse*) override {
    context->AddTrailingMetadata("headroomd-version", "0.1.0");
    context->AddTrailingMetadata(kStandbyKey, "1");
    if (!leader.empty()) context->AddTrailingMetadata(kLeaderKey, leader);
    return {grpc::StatusCode::UNAVAILABLE, "this controller stands by"};
  }
  std::string leader;
};

// gRPC stays up for the whole run: its last user's leave is cleaned up after on a thread of its own, beside which the
// process would end.
const class GrpcStaysUp {
 public:
  GrpcStaysUp() { grpc_init(); }
} kGrpcStaysUp;

class CliTest : public ::testing::Test {
 protected:
  CliTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    grpc::ServerBuilder standby;
    standby.RegisterService(&standby_);
    standby_server_ = standby.BuildAndStart();
  }
  int Run(const std::vector<std::string>& arguments) {
    std::ostringstream out, err;
    const Terminal terminal{
        .out = out,
        .err = err,
        .colours = Colours::kOff,
        .now = [] { return kNow; },
        .actor = "ann@desk",
        .connect = [this](const std::string& endpoint, const TlsFiles&) { return Connect(endpoint); }};
    const int code = RunHeadroomctl(arguments, terminal);
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  absl::StatusOr<std::unique_ptr<v1::AdminService::StubInterface>> Connect(const std::string& endpoint) {
    asked_.push_back(endpoint);
    if (!reachable_ || endpoint == kDown) return absl::UnavailableError("cannot connect");
    return v1::AdminService::NewStub((endpoint == kStandby ? standby_server_ : server_)->InProcessChannel({}));
  }

  CannedServer service_;
  Standby standby_;
  std::unique_ptr<grpc::Server> standby_server_;
  std::vector<std::string> asked_;
  std::unique_ptr<grpc::Server> server_;
  bool reachable_ = true;
  std::string out_, err_;
};

TEST_F(CliTest, StatusIsTheClusterInOneLook) {
  EXPECT_EQ(Run({"status"}), 0);
  EXPECT_EQ(out_, R"(shop  LIVE  term 3, last decision 2s ago, headroomd 0.1.0
nodes        3 serving, 1 launching; 4 wanted, allowed 2 to 6
connections  560 of 600 open (40 active), 12 waiting
requests     450/s, 0 errors/s
diagnosis    A surge uses up the slots.
hold         shrinking is held for another 30m by ann@desk: backup
)");
  EXPECT_EQ(err_, "");
}

TEST_F(CliTest, NodesFollowsThePagesAndAlignsItsColumns) {
  EXPECT_EQ(Run({"nodes"}), 0);
  EXPECT_EQ(out_,
            "NODE    STATE     OPEN  ACTIVE  WAITING  LIMIT  GRANTED  REQ/S  ERR/S  P50  P99  REPORT  MARKS\n"
            "node-1  serving    190       0        0    200      200      0      0    -    -       -  \n"
            "node-2  draining     3       0        0    200      200      0      0    -    -       -  pinned\n");
}

TEST_F(CliTest, ExplainIsTheLadderFromTheSignalsToTheActions) {
  EXPECT_EQ(Run({"explain"}), 0);
  EXPECT_EQ(out_, R"(Decision 7  2023-11-14 22:13:20 UTC  live  term 3

Diagnosis
  limit_exhausted_by_surge (confidence 93 %): A surge uses up the slots.
  ruled out: Not the deploy: nothing changed for 6h.
  open: The CPU is not ruled out: no node tells how many cores it has.

Signals
  connections  needs 3.60 nodes   demand 720
  latency      cannot tell        

Guards
  max            5 -> 4  at most 4    

Answer
  4 nodes wanted; 3 serve, 3 once all work in flight lands

Limits
  node-1       200 -> 400 (bound by fds)  

Actions
  launch                     one more
)");
}

TEST_F(CliTest, JsonIsTheAnswerItself) {
  EXPECT_EQ(Run({"status", "-o", "json"}), 0);
  EXPECT_THAT(out_, HasSubstr("\"openCount\": \"560\""));
  EXPECT_EQ(Run({"-o", "yaml", "status"}), 0);
  EXPECT_THAT(out_, HasSubstr("openCount: \"560\""));
}

TEST_F(CliTest, EnableShowsWhatItWouldHaveDoneAndChangesNothingWithoutAYes) {
  EXPECT_EQ(Run({"enable"}), 0);
  EXPECT_TRUE(service_.asked.validate_only());
  EXPECT_EQ(out_, R"(In dry run since 2h ago: 7200 decisions. They would have done:
  nodes     4 launched, 2 removed, 0 taken back; 3 to 6 were wanted
  limits    31 raised, 0 lowered, 0 sheds
  largest   from 3 to 6 nodes, 10m ago (`headroomctl explain 812`)
The last that acted:
  812  10m ago  A node is launched.
1 of 6 learn still:
  Forecast: 40m more.
)");
  EXPECT_EQ(err_, "nothing was changed; `headroomctl enable --yes --reason WHY` goes live\n");
}

TEST_F(CliTest, EnableWithAYesGoesLiveAndDisableGoesBack) {
  EXPECT_EQ(Run({"enable", "--yes", "--reason", "it was right"}), 0);
  EXPECT_FALSE(service_.asked.validate_only());
  EXPECT_EQ(service_.asked.mode(), v1::MODE_LIVE);
  EXPECT_EQ(service_.asked.reason(), "it was right");
  EXPECT_EQ(service_.asked.actor(), "ann@desk");
  EXPECT_THAT(err_, HasSubstr("now live, term 4"));
  EXPECT_EQ(Run({"disable", "--yes", "--reason", "incident"}), 0);
  EXPECT_EQ(service_.asked.mode(), v1::MODE_DRY_RUN);
  EXPECT_THAT(err_, HasSubstr("now in dry run"));
}

TEST_F(CliTest, HoldSaysWhoAndWhyAndHowLong) {
  EXPECT_EQ(Run({"hold", "down", "--reason", "backup", "--for", "2h"}), 0);
  EXPECT_EQ(service_.held.direction(), v1::HOLD_DIRECTION_DOWN);
  EXPECT_EQ(service_.held.duration().seconds(), 7200);
  EXPECT_EQ(service_.held.reason(), "backup");
  EXPECT_EQ(service_.held.actor(), "ann@desk");
  EXPECT_FALSE(service_.held.request_id().empty());
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("no removal and no cuts for 2h"));
}

TEST_F(CliTest, ADryRunNeverSaysThatItWasDone) {
  const std::string would = "checked, nothing done";
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"hold", "down", "--reason", "x"},
           {"override", "--min", "3", "--reason", "x"},
           {"limit", "node-1", "100", "--reason", "x"},
           {"drain", "node-1", "--reason", "x"},
           {"pin", "node-1"},
       }) {
    std::vector<std::string> dry_run = command;
    dry_run.push_back("--dry-run");
    EXPECT_EQ(Run(dry_run), 0) << command[0];
    EXPECT_THAT(err_, HasSubstr(would)) << command[0];
    EXPECT_EQ(Run(command), 0) << command[0];
    EXPECT_THAT(err_, ::testing::Not(HasSubstr(would))) << command[0];
  }
}

TEST_F(CliTest, ExitCodesTellScriptsWhatToDo) {
  EXPECT_EQ(Run({"explain", "99"}), 3);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(err_, "error: decision 99 is not in the journal\n");
  EXPECT_EQ(Run({"undo", "4"}), 6);
  EXPECT_EQ(Run({"policy", "check", "/nowhere/policy.yaml"}), 3);
  EXPECT_EQ(Run({"status", "--timeout", "soon"}), 2);
  EXPECT_EQ(Run({"hold", "sideways"}), 2);
  EXPECT_EQ(Run({"hold", "down", "--reason", "x", "--for", "soon"}), 2);
  EXPECT_EQ(Run({"hold", "down", "--reason", "x", "--for", "-1h"}), 2);
  EXPECT_EQ(Run({"override", "--reason", "x"}), 2);
  EXPECT_THAT(err_, HasSubstr("name --min, --max or --nodes"));
  EXPECT_EQ(Run({"override", "--reason", "x", "--off", "--min", "3"}), 2);
  EXPECT_EQ(Run({"limit", "node-1", "abc"}), 2);
  EXPECT_THAT(err_, HasSubstr("abc is neither a number of connections nor off"));
  EXPECT_EQ(Run({"drain", "node-1"}), 2);
  EXPECT_THAT(err_, HasSubstr("--reason"));
  EXPECT_EQ(Run({"decisions", "--since", "yesterday"}), 2);
  EXPECT_EQ(Run({}), 2);
  reachable_ = false;
  EXPECT_EQ(Run({"status"}), 5);
}

TEST_F(CliTest, OnlyAServerThatDoesNotAnswerIsSaidToBeOutOfReach) {
  EXPECT_EQ(Run({"explain", "98"}), 5);
  EXPECT_EQ(err_, "error: the disk does not answer\n");
  reachable_ = false;
  EXPECT_EQ(Run({"explain", "98"}), 5);
  EXPECT_THAT(err_, HasSubstr("is it running?"));
}

TEST_F(CliTest, OfSeveralServersTheOneThatLeadsIsFound) {
  const std::string servers = absl::StrCat(kDown, ",", kStandby, ",", kLeader);
  EXPECT_EQ(Run({"hold", "down", "--reason", "backup", "--server", servers}), 0);
  EXPECT_EQ(service_.held.reason(), "backup");
  EXPECT_THAT(asked_, ElementsAre(kDown, kStandby, kLeader));
}

TEST_F(CliTest, TheWordOfAStandbyIsFollowedAlsoOutOfTheList) {
  standby_.leader = kLeader;
  EXPECT_EQ(Run({"hold", "down", "--reason", "backup", "--server", kStandby}), 0);
  EXPECT_EQ(service_.held.reason(), "backup");
  EXPECT_THAT(asked_, ElementsAre(kStandby, kLeader));
}

TEST_F(CliTest, WhenNoneLeadsItSaysWhatBecameOfEach) {
  standby_.leader = kStandby;
  EXPECT_EQ(Run({"hold", "down", "--reason", "backup", "--server", absl::StrCat(kStandby, ",", kDown)}), 5);
  EXPECT_EQ(
      err_,
      "error: no controller that leads was found: headroomd at standby:1: this controller stands by; cannot reach "
      "headroomd at down:1; is it running? --server or HEADROOM_SERVER name another one (cannot connect)\n");
  EXPECT_EQ(service_.held.reason(), "");
}

TEST_F(CliTest, ACallOfSeveralPagesStaysWithTheServerThatAnswered) {
  EXPECT_EQ(Run({"nodes", "--server", absl::StrCat(kDown, ",", kLeader)}), 0);
  EXPECT_THAT(asked_, ElementsAre(kDown, kLeader));
}

TEST_F(CliTest, AServerThatIsNoAddressIsAFaultOfUsage) {
  EXPECT_EQ(Run({"status", "--server", "10.0.0.1:7600,ten"}), 2);
  EXPECT_EQ(err_, "headroomctl: --server: \"ten\" is no HOST:PORT, like 10.0.0.2:7600\n");
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(CliTest, AMistypedCommandIsToldItsNeighbour) {
  EXPECT_EQ(Run({"stauts"}), 2);
  EXPECT_THAT(err_, HasSubstr("did you mean status?"));
}

TEST_F(CliTest, TheValueOfAnOptionIsNotTakenForACommand) {
  EXPECT_EQ(Run({"--server", "10.0.0.1:7600", "decisions", "--nonsense", "7"}), 2);
  EXPECT_THAT(err_, HasSubstr("--nonsense"));
  EXPECT_EQ(Run({"--server", "10.0.0.1:7600", "statsu"}), 2);
  EXPECT_THAT(err_, HasSubstr("there is no command \"statsu\""));
}

TEST_F(CliTest, AMistypedOptionIsToldItsNeighbourAndWhereTheOptionsStand) {
  EXPECT_EQ(Run({"lab", "trace", "--shape", "step", "--lenght", "7h"}), 2);
  EXPECT_THAT(err_, HasSubstr("headroomctl lab trace has no option --lenght; did you mean --length?"));
  EXPECT_THAT(err_, HasSubstr("Run headroomctl lab trace --help for its options."));
}

TEST_F(CliTest, HelpBeginsWithExamples) {
  EXPECT_EQ(Run({"--help"}), 0);
  EXPECT_LT(out_.find("Examples:"), out_.find("Usage:"));
}

TEST_F(CliTest, ThePolicyCheckNamesEveryFaultWithoutAServer) {
  reachable_ = false;
  const std::string path = absl::StrCat(::testing::TempDir(), "/cli_test_policy_", getpid(), ".yaml");
  std::ofstream(path) << "nodes:\n  min: 9\n  max: 6\n  mxa: 1\n";
  EXPECT_EQ(Run({"policy", "check", path}), 1);
  EXPECT_THAT(err_, HasSubstr("nodes.min"));
  EXPECT_THAT(err_, HasSubstr("nodes.mxa: unknown field; did you mean max?"));
  std::ofstream(path, std::ios::trunc).close();
  EXPECT_EQ(Run({"policy", "check", path}), 1);
  EXPECT_THAT(err_, HasSubstr(absl::StrCat(path, ": the file is empty")));
}

TEST(TableTest, ColoursDoNotMoveColumns) {
  std::ostringstream plain, painted;
  Table table({"A", ">N"});
  table.Add({{"bad", Tone::kBad}, std::string("1")});
  table.Add({std::string("longer"), std::string("100")});
  table.Print(plain, Colours::kOff);
  table.Print(painted, Colours::kOn);
  EXPECT_EQ(plain.str(), "A         N\nbad       1\nlonger  100\n");
  EXPECT_THAT(painted.str(), HasSubstr("\x1b[31mbad\x1b[0m       1"));
}

}  // namespace
}  // namespace headroom
