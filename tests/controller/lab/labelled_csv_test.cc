#include "controller/lab/labelled_csv.h"

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/controller/runtime/temp_dir.h"

namespace headroom::lab {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LabelledCsvTest : public ::testing::Test {
 protected:
  absl::StatusOr<LabelledSeries> Load(const std::string& text) {
    std::ofstream(path_) << text;
    return LoadLabelledCsv(path_);
  }
  std::string FaultOf(const std::string& text) { return std::string(Load(text).status().message()); }

  TempDir folder_;
  std::string path_ = folder_.path() + "/trace.csv";
};

TEST_F(LabelledCsvTest, ValuesAndLabelledRangesAreRead) {
  const auto series = Load("unix_seconds,value,other,label\n60,1,9,0\n120,2,9,1\r\n180,3,9,1\n240,4,9,\n300,5,9,1\n");
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_THAT(series->values, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(series->times[1], absl::FromUnixSeconds(120));
  EXPECT_THAT(series->Labels(), ElementsAre(0, 1, 1, 0, 1));
  EXPECT_EQ(series->name, path_);
}

TEST_F(LabelledCsvTest, LabelsAreFoundUnderTheirUsualNamesAndBesideANamedColumn) {
  for (const char* name : {"anomaly", "is_anomaly", "is_anomaly_label"}) {
    const auto series = Load(absl::StrCat("unix_seconds,value,", name, "\n60,1,0\n120,2,1\n180,3,0\n"));
    ASSERT_TRUE(series.ok()) << series.status();
    EXPECT_THAT(series->Labels(), ElementsAre(0, 1, 0)) << name;
    EXPECT_THAT(series->notes, IsEmpty());
  }
  const auto other = LoadLabelledCsv(path_ + ":value");
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_THAT(other->Labels(), ElementsAre(0, 1, 0));
}

TEST_F(LabelledCsvTest, ALabelIsNotJudgedAsAValue) {
  EXPECT_THAT(FaultOf("unix_seconds,label,value\n60,0,1\n120,1,2\n"), HasSubstr("its first column is label: name"));
  const auto series = LoadLabelledCsv(path_ + ":value");
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_THAT(series->values, ElementsAre(1, 2));
}

TEST_F(LabelledCsvTest, NegativeValuesAreJudgedAsTheyAre) {
  const auto series = Load("unix_seconds,value,label\n60,-5,0\n120,-6,1\n180,4,0\n");
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_THAT(series->values, ElementsAre(-5, -6, 4));
  EXPECT_THAT(series->Labels(), ElementsAre(0, 1, 0));
  EXPECT_THAT(series->notes, IsEmpty());
}

TEST_F(LabelledCsvTest, WithoutLabelsThereAreNoAnomaliesAndItIsSaid) {
  const auto series = Load("unix_seconds,requests\n60,1\n120,2\n");
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_THAT(series->anomalies, IsEmpty());
  EXPECT_THAT(series->notes, Contains(HasSubstr("no column says what is an anomaly")));
}

TEST_F(LabelledCsvTest, AnEmptyValueIsAGap) {
  const auto series = Load("unix_seconds,value,label\n60,1,1\n120,,1\n180,3,1");
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_THAT(series->values, ElementsAre(1, 3));
}

TEST_F(LabelledCsvTest, FaultsAndRepairsAreThoseOfATrace) {
  EXPECT_EQ(LoadLabelledCsv(folder_.path() + "/none.csv").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(FaultOf("unix_seconds,value\n60,1\n120,many\n"), HasSubstr("line 3: \"many\" is no number"));
  EXPECT_THAT(FaultOf("unix_seconds,value,label\n60,1,0\n120,2,x\n"), HasSubstr("line 3: \"x\" is no number"));
  const auto series = Load("unix_seconds,value,label\n120,2,1\n60,1,0\n180,3,0\n");
  ASSERT_TRUE(series.ok()) << series.status();
  EXPECT_THAT(series->Labels(), ElementsAre(0, 1, 0)) << "sorted, each with its label";
  EXPECT_THAT(series->notes, Contains(HasSubstr("the rows were sorted")));
}

}  // namespace
}  // namespace headroom::lab
