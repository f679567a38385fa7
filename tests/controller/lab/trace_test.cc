#include "controller/lab/trace.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <unistd.h>
#include <zlib.h>

namespace headroom::lab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TraceTest : public ::testing::Test {
 protected:
  TraceTest() : folder_(absl::StrCat(testing::TempDir(), "trace_test_", getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~TraceTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return absl::StrCat(folder_, "/", name); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name), std::ios::binary) << text;
    return Path(name);
  }
  absl::StatusOr<Trace> ReadRows(const std::string& rows) const {
    return ReadTrace(Write("t.csv", absl::StrCat("unix_seconds,value\n", rows)));
  }

  const std::string folder_;
};

std::vector<double> Values(const Trace& trace) {
  std::vector<double> values;
  for (const TraceSample& sample : trace.samples) values.push_back(sample.value);
  return values;
}

std::string ErrorOf(const absl::StatusOr<Trace>& trace) {
  return trace.ok() ? "it was read" : std::string(trace.status().message());
}

TEST_F(TraceTest, AFileIsReadWithItsStep) {
  const auto trace = ReadTrace(Write("web_60s.csv", "unix_seconds,requests,bytes\n60,3,10\n120,4,20\n180,0,30\n"));
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->name, "web_60s");
  EXPECT_EQ(trace->column, "requests");
  EXPECT_EQ(trace->step, absl::Seconds(60));
  EXPECT_EQ(trace->samples[0].unix_seconds, 60);
  EXPECT_THAT(Values(*trace), ElementsAre(3, 4, 0));
  EXPECT_THAT(trace->notes, IsEmpty());
}

TEST_F(TraceTest, AColumnIsChosenByItsName) {
  const std::string path = Write("web.csv", "unix_seconds,requests,bytes\n60,3,10\n120,4,20\n");
  const auto trace = ReadTrace(path + ":bytes");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->name, "web:bytes");
  EXPECT_THAT(Values(*trace), ElementsAre(10, 20));
  EXPECT_THAT(ErrorOf(ReadTrace(path + ":errors")),
              HasSubstr("there is no column errors; its columns are requests, bytes"));
}

TEST_F(TraceTest, AFileWithAColonInItsNameIsNoColumn) {
  EXPECT_TRUE(ReadTrace(Write("a:b.csv", "unix_seconds,v\n0,1\n5,2\n")).ok());
}

TEST_F(TraceTest, AZippedFileIsReadAndWritten) {
  Trace trace{.name = "x", .column = "value", .samples = {{0, 1.5}, {5, std::nan("")}, {10, 2}}};
  ASSERT_TRUE(WriteTrace(trace, Path("x.csv.gz")).ok());
  const auto read = ReadTrace(Path("x.csv.gz"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->name, "x");
  EXPECT_EQ(read->samples[0].value, 1.5);
  EXPECT_TRUE(std::isnan(read->samples[1].value));
  std::ifstream raw(Path("x.csv.gz"), std::ios::binary);
  EXPECT_EQ(raw.get(), 0x1f) << "it was not zipped";
}

TEST_F(TraceTest, AnEmptyCellIsUnknownAndZeroIsZero) {
  const auto trace = ReadRows("0,\n60,0\n120,5\n");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_TRUE(std::isnan(trace->samples[0].value));
  EXPECT_EQ(trace->samples[1].value, 0);
  EXPECT_THAT(trace->notes, ElementsAre("1 values are unknown"));
}

TEST_F(TraceTest, AnAbsentRowIsAGapThatIsSaid) {
  const auto trace = ReadRows("0,1\n60,1\n120,1\n3720,1\n3780,1\n");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->step, absl::Seconds(60));
  EXPECT_THAT(trace->notes, ElementsAre("1 gap, of 59m"));
}

TEST_F(TraceTest, RowsOutOfOrderAreSortedAndSaid) {
  const auto trace = ReadRows("0,1\n120,3\n60,2\n180,4\n");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_THAT(Values(*trace), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(trace->notes, ElementsAre(HasSubstr("the rows were sorted (first in line 4)")));
}

TEST_F(TraceTest, OfRowsWithOneTimeTheLastCountsAndItIsSaid) {
  const auto trace = ReadRows("0,1\n60,2\n60,7\n120,3\n");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_THAT(Values(*trace), ElementsAre(1, 7, 3));
  EXPECT_THAT(trace->notes, ElementsAre("1 rows repeat a time (first 60): the last of each counts"));
}

TEST_F(TraceTest, ANegativeValueIsUnknownAndSaid) {
  const auto trace = ReadRows("0,1\n60,-2\n120,3\n");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_TRUE(std::isnan(trace->samples[1].value));
  EXPECT_THAT(trace->notes, ElementsAre(HasSubstr("taken as unknown (first in line 3)"), "1 values are unknown"));
}

TEST_F(TraceTest, AWordForNothingIsUnknownAndSaid) {
  const auto trace = ReadRows("0,1\n60,NaN\n120,null\n180,4\n");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_THAT(trace->notes, ElementsAre(HasSubstr("2 values that are a word for nothing"), "2 values are unknown"));
}

TEST_F(TraceTest, WhatIsNoNumberIsRefusedWithItsLine) {
  EXPECT_THAT(ErrorOf(ReadRows("0,1\n60,many\n")), HasSubstr("t.csv: line 3: \"many\" is no number"));
  EXPECT_THAT(ErrorOf(ReadRows("0,1\n60,inf\n")), HasSubstr("line 3: the value inf is not finite"));
  EXPECT_THAT(ErrorOf(ReadRows("0,1\n60,1e999\n")), HasSubstr("line 3: "));
  EXPECT_THAT(ErrorOf(ReadRows("0,1\nnoon,2\n")), HasSubstr("line 3: \"noon\" is no unix second"));
  EXPECT_THAT(ErrorOf(ReadRows("0,1\n-60,2\n")), HasSubstr("line 3: the time -60"));
  EXPECT_THAT(ErrorOf(ReadRows("0,1\n1627776000000,2\n")), HasSubstr("is it in milliseconds?"));
  EXPECT_THAT(ErrorOf(ReadRows("0,1\n60\n")), HasSubstr("line 3: 1 cells where the header names 2"));
  EXPECT_THAT(ErrorOf(ReadRows("0,1\n60,2,3\n")), HasSubstr("line 3: 3 cells where the header names 2"));
}

TEST_F(TraceTest, FractionsOfASecondAreDroppedAndItIsSaid) {
  const auto trace = ReadRows("0.5,1\n60.25,2\n120.0,3\n");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->samples[1].unix_seconds, 60);
  EXPECT_THAT(trace->notes, ElementsAre("2 times with a fraction of a second: it was dropped (first in line 2)"));
}

TEST_F(TraceTest, QuotedCellsAreRead) {
  const auto trace =
      ReadTrace(Write("q.csv", "\"unix_seconds\",\"value\"\n\"60\",\"1\"\n \"120\" , \" 2 \"\n180,\"\"\n"));
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->column, "value");
  EXPECT_EQ(trace->samples[1].value, 2);
  EXPECT_TRUE(std::isnan(trace->samples[2].value));
}

TEST_F(TraceTest, WithoutTwoRowsThereIsNoTrace) {
  EXPECT_THAT(ErrorOf(ReadRows("")), HasSubstr("it has 0 rows"));
  EXPECT_THAT(ErrorOf(ReadRows("0,1\n")), HasSubstr("it has 1 rows; two are needed"));
  EXPECT_THAT(ErrorOf(ReadRows("0,1\n0,2\n")), HasSubstr("it has 1 rows"));
  EXPECT_THAT(ErrorOf(ReadTrace(Write("e.csv", ""))), HasSubstr("the file is empty"));
}

TEST_F(TraceTest, WithoutAKnownValueThereIsNoTrace) {
  EXPECT_THAT(ErrorOf(ReadRows("0,\n60,\n")), HasSubstr("column value has no known value"));
}

TEST_F(TraceTest, AnotherHeaderIsRefused) {
  EXPECT_THAT(ErrorOf(ReadTrace(Write("o.csv", "time,value\n0,1\n60,2\n"))),
              HasSubstr("does not begin with unix_seconds"));
  EXPECT_THAT(ErrorOf(ReadTrace(Write("o.csv", "unix_seconds\n0\n60\n"))), HasSubstr("names no value"));
  EXPECT_THAT(ErrorOf(ReadTrace(Path("absent.csv"))), HasSubstr("cannot be opened"));
}

TEST_F(TraceTest, AByteOrderMarkAndCarriageReturnsAreNoObstacle) {
  const auto trace = ReadTrace(Write("w.csv", "\xEF\xBB\xBFunix_seconds,value\r\n0,1\r\n60,2\r\n\r\n"));
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_THAT(Values(*trace), ElementsAre(1, 2));
}

TEST_F(TraceTest, ALastLineWithoutAnEndIsALineAndItIsSaid) {
  const auto trace = ReadRows("0,1\n60,2");
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_THAT(Values(*trace), ElementsAre(1, 2));
  EXPECT_THAT(trace->notes, ElementsAre(HasSubstr("line 3, the last, has no end")));
  EXPECT_THAT(ReadRows("0,1\n60,2\n")->notes, testing::IsEmpty());
}

TEST_F(TraceTest, AZippedFileThatIsCutShortIsRefused) {
  Trace trace{.name = "x", .column = "value"};
  for (int i = 0; i < 20'000; ++i) trace.samples.push_back({int64_t{i} * 60, std::fmod(i * 7919.0, 1013.0)});
  ASSERT_TRUE(WriteTrace(trace, Path("x.csv.gz")).ok());
  std::filesystem::resize_file(Path("x.csv.gz"), std::filesystem::file_size(Path("x.csv.gz")) / 2);
  EXPECT_THAT(ErrorOf(ReadTrace(Path("x.csv.gz"))), HasSubstr("the file is cut short after line "));
}

TEST_F(TraceTest, ALineWithoutEndIsRefusedBeforeItFillsTheMemory) {
  EXPECT_THAT(ErrorOf(ReadRows("0,1\n60," + std::string(1 << 20, '1') + "\n")),
              HasSubstr("line 3: the line is longer than 64 KiB"));
}

TEST_F(TraceTest, AZeroByteIsRefused) {
  EXPECT_THAT(ErrorOf(ReadRows(std::string("0,1\n60\0,2\n", 10))), HasSubstr("line 3: a zero byte"));
}

TEST_F(TraceTest, AFileOfTooManyRowsIsRefusedWithItsLine) {
  const gzFile file = gzopen(Path("big.csv.gz").c_str(), "wb1");
  gzputs(file, "unix_seconds,value\n");
  std::string rows;
  for (int i = 0; i < 1000; ++i) rows += "7,1\n";
  for (size_t written = 0; written <= kTraceRowsMax; written += 1000) gzputs(file, rows.c_str());
  gzclose(file);
  EXPECT_THAT(ErrorOf(ReadTrace(Path("big.csv.gz"))), HasSubstr("line 8388610: more than 8388608 rows"));
}

TEST_F(TraceTest, AFolderGivesItsTracesAndSaysWhatItSkips) {
  Write("b.csv", "unix_seconds,v\n0,1\n60,2\n");
  Write("a.csv", "unix_seconds,v\n0,1\n60,2\n");
  Write("INDEX.md", "# traces\n");
  std::filesystem::create_directories(Path("deeper"));
  Write("deeper/c.csv", "unix_seconds,v\n0,1\n60,2\n");
  const auto found = FindTraces(folder_);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(found->files, ElementsAre(Path("a.csv"), Path("b.csv")));
  EXPECT_THAT(found->skipped, ElementsAre(HasSubstr("INDEX.md: line 1: its header does not begin with unix_seconds")));
  EXPECT_FALSE(FindTraces(Path("nowhere")).ok());
}

}  // namespace
}  // namespace headroom::lab
