#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

#include "controller/cli/plan_arguments.h"
#include "controller/cli/prometheus.h"
#include "tests/controller/cli/command_case.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;

class PlanCommandTest : public CommandTest {
 protected:
  PlanCommandTest() { now_ = absl::FromUnixSeconds(1'704'153'600); }
  // Two hours, by steps of ten minutes.
  std::string Demand() const {
    std::ofstream file(Path("demand.csv"));
    file << "unix_seconds,connections,bytes\n";
    for (int i = 0; i < 12; ++i) file << 1'704'067'200 + 600 * i << ',' << 300 + 100 * (i % 4) << ",5e6\n";
    return Path("demand.csv");
  }
};

TEST_F(PlanCommandTest, ACoarseTraceIsPlannedAndThePolicyItSuggestsIsAPolicy) {
  ASSERT_EQ(Run({"plan", Demand(), "--per-node", "100", "--html", Path("p.html"), "--json", Path("p.json"), "--suggest",
                 Path("p.yaml")}),
            0)
      << err_;
  EXPECT_THAT(out_, HasSubstr("Recommended: min "));
  EXPECT_THAT(out_, HasSubstr("hpa_legacy"));
  EXPECT_THAT(out_, HasSubstr("throughput: cannot tell"));
  EXPECT_THAT(Text(Path("p.html")), HasSubstr("</html>"));
  EXPECT_THAT(Text(Path("p.json")), HasSubstr("\"frontier\""));
  ASSERT_EQ(Run({"policy", "check", Path("p.yaml")}), 0) << err_;
  EXPECT_THAT(Text(Path("p.yaml")), HasSubstr("per_node: 100"));
}

TEST_F(PlanCommandTest, TwoPoliciesAreComparedAndTheFirstIsWhatIsChanged) {
  std::ofstream(Path("a.yaml")) << "cluster: shop\nnodes: {min: 2, max: 9}\nsignals: {connections: {per_node: 100, "
                                   "target: 0.8}}\nprovider: {simulated: {}}\n";
  std::ofstream(Path("b.yaml"))
      << "nodes: {min: 4, max: 4}\nsignals: {connections: {per_node: 100}}\nprovider: {simulated: {}}\n";
  ASSERT_EQ(Run({"plan", Demand(), "--policy", Path("a.yaml"), "--policy", Path("b.yaml"), "--suggest", Path("p.yaml"),
                 "--throughput", absl::StrCat(Demand(), ":bytes"), "--bytes-per-second-per-node", "10M"}),
            0)
      << err_;
  EXPECT_THAT(out_, HasSubstr("a.yaml"));
  EXPECT_THAT(out_, HasSubstr("4 to 4 nodes"));
  EXPECT_THAT(out_, HasSubstr("throughput: cannot tell: less than two days are known"));
  EXPECT_THAT(Text(Path("p.yaml")), HasSubstr("cluster: \"shop\""));
}

TEST_F(PlanCommandTest, WithoutAMeasureOfNodesThePlanIsRelativeAndSuggestsNothing) {
  EXPECT_EQ(Run({"plan", Demand()}), 0);
  EXPECT_THAT(err_, HasSubstr("NOT KNOWN"));
  EXPECT_EQ(Run({"plan", Demand(), "--suggest", Path("p.yaml")}), 6);
  EXPECT_THAT(err_, HasSubstr("give --per-node"));
  EXPECT_THAT(out_, HasSubstr("Recommended: min ")) << "a plan that is made is shown";
  EXPECT_FALSE(std::filesystem::exists(Path("p.yaml")));
}

TEST_F(PlanCommandTest, FaultsOfTheCommandLineSayWhatIsUnderstood) {
  const std::string demand = Demand();
  struct Case {
    std::vector<std::string> arguments;
    std::string said;
  };
  for (const Case& one : std::vector<Case>{
           {{"plan"}, "give a trace or a journal, or --prometheus"},
           {{"plan", demand, "--prometheus", "http://x"}, "one of them"},
           {{"plan", "--prometheus", "http://x"}, "--prometheus needs --query"},
           {{"plan", demand, "--multiply", "3"}, "--multiply needs --from and --to"},
           {{"plan", demand, "--from", "2024-01-01"}, "--from and --to need --multiply"},
           {{"plan", demand, "--growth", "5"}, "growth like 5%/month"},
           {{"plan", demand, "--boot", "soon"}, "length of time like"},
           {{"plan", demand, "--per-node", "-1"}, "amount above 0"},
           {{"plan", demand, "--multiply", "3", "--from", "friday", "--to", "2024-01-01"}, "time like"},
           {{"plan", demand, "--multiply", "3", "--from", "2024-01-02", "--to", "2024-01-01"},
            "--from is not before --to"},
           {{"plan", demand, "--boot", "48h"}, "boots for over a day"},
           {{"plan", demand, "--query", "up"}, "is for --prometheus"},
           {{"plan", "--prometheus", "ftp://x", "--query", "x"}, "--prometheus: \"ftp://x\" is no URL like"},
           {{"plan", "--prometheus", "https://x", "--query", "x"}, "only http:// is spoken"},
           {{"plan", "--prometheus", "http://x", "--query", "x", "--step", "1500ms"},
            "1.5s is no whole number of seconds"},
           {{"plan", "--prometheus", "http://x", "--query", "x", "--from", "2000-01-01", "--step", "1s"},
            "give a longer --step"},
           {{"plan", "--prometheus", "http://x", "--query", "x", "--from", "2024-01-02", "--to", "2024-01-01"},
            "the range is empty"},
           {{"plan", "--prometheus", "http://x", "--query", "x", "--range-from", "2024-01-02", "--range-to",
             "2024-01-01"},
            "the range is empty"}}) {
    EXPECT_EQ(Run(one.arguments), 2) << one.said;
    EXPECT_THAT(err_, HasSubstr(one.said));
  }
}

TEST_F(PlanCommandTest, FaultsOfTheInputSayWhereTheyAre) {
  EXPECT_EQ(Run({"plan", Path("missing.csv")}), 3);
  EXPECT_THAT(err_, HasSubstr("missing.csv: cannot be opened"));
  std::ofstream(Path("one.csv")) << "unix_seconds,v\n0,1\n";
  EXPECT_EQ(Run({"plan", Path("one.csv")}), 1);
  EXPECT_THAT(err_, HasSubstr("it has 1 rows; two are needed"));
  std::ofstream(Path("text.csv")) << "unix_seconds,v\n0,1\n60,x\n";
  EXPECT_EQ(Run({"plan", Path("text.csv")}), 1);
  EXPECT_THAT(err_, HasSubstr("line 3: \"x\" is no number"));
  std::ofstream(Path("two.csv")) << "unix_seconds,v\n0,1\n60,1\n";
  EXPECT_EQ(Run({"plan", Path("two.csv"), "--per-node", "5"}), 6);
  EXPECT_THAT(err_, HasSubstr("a day is needed to plan from"));
  std::ofstream(Path("zero.csv")) << "unix_seconds,v\n0,0\n3600,0\n7200,0\n";
  EXPECT_EQ(Run({"plan", Path("zero.csv"), "--per-node", "5"}), 6);
  EXPECT_THAT(err_, HasSubstr("no demand to plan for"));
  std::ofstream(Path("journal.db"), std::ios::binary) << std::string("SQLite format 3\0", 16) << "torn";
  EXPECT_NE(Run({"plan", Path("journal.db")}), 0);
  EXPECT_THAT(err_, HasSubstr("journal.db"));
  EXPECT_EQ(Run({"plan", Demand(), "--per-node", "5", "--multiply", "2", "--from", "2030-01-01", "--to", "2030-01-02"}),
            1);
  EXPECT_THAT(err_, HasSubstr("choose an earlier time"));
}

TEST_F(PlanCommandTest, GapsAndRepairsAreSaidAndNotTakenForZero) {
  std::ofstream(Path("gaps.csv"))
      << "unix_seconds,v\n1200,300\n600,300\n1800,-4\n2400,300\n2400,310\n9000,300\n9600,300\n";
  ASSERT_EQ(Run({"plan", Path("gaps.csv"), "--per-node", "100"}), 0) << err_;
  EXPECT_THAT(err_, HasSubstr("the rows were sorted"));
  EXPECT_THAT(err_, HasSubstr("1 negative values: taken as unknown"));
  EXPECT_THAT(err_, HasSubstr("rows repeat a time"));
}

TEST_F(PlanCommandTest, HelpHasExamples) {
  EXPECT_EQ(Run({"plan", "--help"}), 0);
  EXPECT_THAT(out_, HasSubstr("headroomctl plan --prometheus http://prometheus:9090"));
}

// A server that answers one request with what it is told. The real one is in tests/e2e/plan_prometheus_test.py.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer) : acceptor_(context_, {boost::asio::ip::make_address("127.0.0.1"), 0}) {
    thread_ = std::thread([this, text = std::move(answer)] {
      boost::system::error_code error;
      boost::asio::ip::tcp::socket socket(context_);
      acceptor_.accept(socket, error);
      boost::asio::streambuf request;
      boost::asio::read_until(socket, request, "\r\n\r\n", error);
      asked_ = std::string(static_cast<const char*>(request.data().data()), request.size());
      boost::asio::write(socket, boost::asio::buffer(text), error);
    });
  }
  ~OneAnswer() { Wait(); }
  std::string Wait() {
    if (thread_.joinable()) thread_.join();
    return asked_;
  }
  PrometheusRange Range() const {
    return {.url = absl::StrCat("http://127.0.0.1:", acceptor_.local_endpoint().port(), "/prefix/"),
            .query = "sum(open) > 0",
            .from = absl::FromUnixSeconds(600),
            .to = absl::FromUnixSeconds(1200)};
  }

 private:
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::thread thread_;
  std::string asked_;
};

std::string Http(int status, const std::string& body) {
  return absl::StrCat("HTTP/1.1 ", status, " X\r\nContent-Length: ", body.size(), "\r\nConnection: close\r\n\r\n",
                      body);
}
std::string Matrix(const std::string& values) {
  return Http(200,
              absl::StrCat(R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[)",
                           values, "]}]}}"));
}

TEST(PrometheusTest, OneSeriesIsATraceAndWhatIsNoDemandIsUnknown) {
  OneAnswer server(Matrix(R"([600,"5"],[660,"NaN"],[720,"-1"],[1200,"7.5"])"));
  const auto trace = ReadPrometheus(server.Range());
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_THAT(server.Wait(),
              HasSubstr("GET /prefix/api/v1/query_range?query=sum%28open%29%20%3E%200&start=600&end=1200&step=60 "));
  ASSERT_EQ(trace->samples.size(), 4u);
  EXPECT_EQ(trace->samples[0].value, 5);
  EXPECT_TRUE(std::isnan(trace->samples[1].value));
  EXPECT_TRUE(std::isnan(trace->samples[2].value));
  EXPECT_EQ(trace->samples[3].unix_seconds, 1200);
  EXPECT_THAT(trace->notes, testing::Contains(HasSubstr("of 11 points 7 are missing")));
}

TEST(PrometheusTest, EachFailureHasItsCodeAndSaysWhatToDo) {
  struct Case {
    std::string answer;
    absl::StatusCode code;
    std::string said;
  };
  const std::string two =
      R"({"status":"success","data":{"result":[{"metric":{"job":"a"},"values":[]},{"metric":{"job":"b"},"values":[]}]}})";
  for (const Case& one : std::vector<Case>{
           {Http(400, R"({"status":"error","error":"parse error: unexpected end"})"),
            absl::StatusCode::kInvalidArgument, "parse error: unexpected end"},
           {Http(401, "no"), absl::StatusCode::kPermissionDenied, "wants a login"},
           {Http(503, R"({"status":"error","error":"query timed out"})"), absl::StatusCode::kUnavailable,
            "query timed out"},
           {Http(200, "<html>"), absl::StatusCode::kInvalidArgument, "does not answer as a Prometheus does"},
           {Http(404, "page not found"), absl::StatusCode::kInvalidArgument, "with the prefix that it is served under"},
           {Http(302, ""), absl::StatusCode::kInvalidArgument, "does not answer as a Prometheus does (HTTP 302)"},
           {Http(500, "oops"), absl::StatusCode::kUnavailable, "answers with HTTP 500"},
           {Http(200, two), absl::StatusCode::kInvalidArgument, "2 series ({job=a}, {job=b}): make it one"},
           {Http(200, R"({"status":"success","data":{"result":[]}})"), absl::StatusCode::kNotFound, "gives 0 values"},
           {Matrix(R"([600,"5"])"), absl::StatusCode::kNotFound, "gives 1 values"},
           {"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"status\"", absl::StatusCode::kUnavailable,
            "did not answer"},
           {"", absl::StatusCode::kUnavailable, "did not answer"}}) {
    OneAnswer server(one.answer);
    const auto trace = ReadPrometheus(server.Range());
    EXPECT_EQ(trace.status().code(), one.code) << trace.status();
    EXPECT_THAT(trace.status().message(), HasSubstr(one.said));
  }
}

TEST(PrometheusTest, WhoIsNotThereIsUnavailable) {
  std::string url;
  {
    OneAnswer server("");
    url = server.Range().url;
    EXPECT_FALSE(ReadPrometheus(server.Range()).ok());
  }
  const auto trace =
      ReadPrometheus({.url = url, .query = "up", .from = absl::FromUnixSeconds(0), .to = absl::FromUnixSeconds(60)});
  EXPECT_EQ(trace.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(trace.status().message(), HasSubstr("cannot be reached"));
  EXPECT_EQ(ReadPrometheus({.url = "https://x", .query = "up"}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadPrometheus({.url = "http://x:port", .query = "up"}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(PlanArgumentsTest, WordsAreUnderstood) {
  EXPECT_EQ(*ParseMoment("2024-01-01 06:30"), absl::FromUnixSeconds(1'704'090'600));
  EXPECT_EQ(*ParseMoment("2024-01-01T06:30:00Z"), absl::FromUnixSeconds(1'704'090'600));
  EXPECT_EQ(*ParseMoment("2024-01-01T07:30:00+01:00"), absl::FromUnixSeconds(1'704'090'600));
  EXPECT_EQ(*ParseMoment("1704090600"), absl::FromUnixSeconds(1'704'090'600));
  EXPECT_EQ(*ParseSpan("1.5d"), absl::Hours(36));
  EXPECT_EQ(*ParseSpan("10m"), absl::Minutes(10));
  EXPECT_FALSE(ParseSpan("0s").ok());
  EXPECT_FALSE(ParseSpan("inf").ok());
  EXPECT_NEAR(std::pow(1 + *ParseGrowth("5%/month"), 30), 1.05, 1e-9);
  EXPECT_NEAR(*ParseGrowth("-1%/day"), -0.01, 1e-12);
  for (const char* bad : {"5%", "x%/month", "5%/fortnight", "-100%/day", "nan%/day"})
    EXPECT_FALSE(ParseGrowth(bad).ok()) << bad;
  EXPECT_EQ(*ParseAmount("64Mi"), 64 * 1024 * 1024);
  EXPECT_EQ(*ParseAmount("2k"), 2000);
  for (const char* bad : {"", "0", "inf", "k"}) EXPECT_FALSE(ParseAmount(bad).ok()) << bad;
}

}  // namespace
}  // namespace headroom
