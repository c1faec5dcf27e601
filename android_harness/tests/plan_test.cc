#include "pwl/plan.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <locale>
#include <string>

#include "tests/temporary_folder.h"

namespace pwl {
namespace {

const std::string kSha(64, 'a');

std::string GoodPlan() {
  return "pwl-plan 1\n"
         "backend executorch\n"
         "exporter executorch 1.5.1\n"
         "runtime 1.5.0\n"
         "threads 2\n"
         "verify size\n"
         "input 12\n"
         "classes 3\n"
         "artifact s0 units/s0.pte 10 " +
         kSha +
         " 12 8\n"
         "artifact s1 units/s1.pte 20 " +
         kSha +
         " 8 3\n"
         "artifact t0 units/t0.pte 30 " +
         kSha +
         " 12 16\n"
         "artifact e0 units/e0.pte 5 " +
         kSha +
         " 16 8\n"
         "artifact t1 units/t1.pte 40 " +
         kSha +
         " 16 3\n"
         "stage 0 s0 s1\n"
         "stage 1 t0 e0 s1\n"
         "stage 2 t0 t1\n"
         "control teacher control/teacher.pte 70 " +
         kSha +
         " 2\n"
         "golden 4 golden/in.f32 golden/0.f32 golden/1.f32 golden/2.f32\n"
         "evaluation 100 3 eval/images.u8 eval/labels.u16\n"
         "normalize 0.5 0.25\n"
         "normalize 0.5 0.25\n"
         "normalize 0.4 1e-1\n"
         "end\n";
}

std::string Replaced(const std::string& from, const std::string& to) {
  std::string text = GoodPlan();
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void ExpectRefused(const std::string& text, const std::string& why) {
  const Result<Plan> plan = ParsePlan(text, "/root");
  ASSERT_FALSE(plan.ok()) << text;
  EXPECT_EQ(plan.status().code(), Code::kInvalidPlan);
  EXPECT_NE(plan.status().message().find(why), std::string::npos) << plan.status().message();
}

TEST(Plan, SaysWhatIsInItsText) {
  const Result<Plan> plan = ParsePlan(GoodPlan(), "/root");
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->backend, "executorch");
  EXPECT_EQ(plan->exporter, "executorch 1.5.1");
  EXPECT_EQ(plan->minimum_runtime, "1.5.0");
  EXPECT_EQ(plan->threads, 2);
  EXPECT_EQ(plan->verify, Verify::kSize);
  ASSERT_EQ(plan->artifacts.size(), 5u);
  EXPECT_EQ(plan->artifacts[3].path, "/root/units/e0.pte");
  EXPECT_EQ(plan->artifacts[3].bytes, 5u);
  EXPECT_EQ(plan->artifacts[3].floats_in, 16u);
  ASSERT_EQ(plan->stages.size(), 3u);
  EXPECT_EQ(plan->stages[1], (std::vector<size_t>{2, 3, 1}));
  ASSERT_NE(plan->FindControl("teacher"), nullptr);
  EXPECT_EQ(plan->FindControl("teacher")->artifact.floats_in, 12u);
  EXPECT_EQ(plan->FindControl("student"), nullptr);
  EXPECT_EQ(plan->golden->outputs[2], "/root/golden/2.f32");
  EXPECT_EQ(plan->evaluation->mean.size(), 3u);
  EXPECT_FLOAT_EQ(plan->evaluation->std[2], 0.1f);
}

TEST(Plan, ChecksSha256UnlessToldOtherwise) {
  const Result<Plan> plan = ParsePlan(Replaced("verify size\n", ""), "/root");
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->verify, Verify::kSha256);
}

TEST(Plan, CutShortAnywhereIsRefused) {
  const std::string text = GoodPlan();
  for (size_t length = 0; length < text.size() - 1; ++length) {
    EXPECT_FALSE(ParsePlan(text.substr(0, length), "/root").ok()) << length;
  }
}

TEST(Plan, OfAnotherVersionIsRefused) { ExpectRefused(Replaced("plan 1", "plan 2"), "line 1"); }

TEST(Plan, WithAnUnknownDirectiveNamesItsLine) {
  ExpectRefused(Replaced("threads 2", "treads 2"), "line 5: unknown directive `treads`");
}

TEST(Plan, CannotReachOutsideItsFolder) {
  for (const char* path : {"../s0.pte", "/etc/passwd", "a/../../b", "a//b", "./a", "a/."}) {
    ExpectRefused(Replaced("units/s0.pte", path), "artifact ID PATH");
  }
}

TEST(Plan, RefusesNumbersThatAreNone) {
  for (const char* number : {"-1", "0x10", "1e3", "99999999999999999999", "", "12 "}) {
    EXPECT_FALSE(ParsePlan(Replaced("input 12", std::string("input ") + number), "/").ok())
        << number;
  }
  EXPECT_FALSE(ParsePlan(Replaced("0.4 1e-1", "0.4 0"), "/").ok());
  EXPECT_FALSE(ParsePlan(Replaced("0.4 1e-1", "nan 1"), "/").ok());
  EXPECT_FALSE(ParsePlan(Replaced("0.4 1e-1", "0.4 inf"), "/").ok());
  EXPECT_FALSE(ParsePlan(Replaced("threads 2", "threads 1000"), "/").ok());
}

TEST(Plan, RefusesChainsThatDoNotFit) {
  ExpectRefused(Replaced("stage 1 t0 e0 s1", "stage 1 t0 s1"), "s1 does not fit behind t0");
  ExpectRefused(Replaced("stage 2 t0 t1", "stage 2 t1"), "stage 2 does not lead");
  ExpectRefused(Replaced("stage 2 t0 t1", "stage 2 t0 t9"), "no artifact is called t9");
  ExpectRefused(Replaced("stage 1 t0", "stage 5 t0"), "stage 1 ID");
}

TEST(Plan, RefusesWhatDoesNotAddUp) {
  ExpectRefused(Replaced("artifact s1", "artifact s0"), "s0 occurs twice");
  ExpectRefused(Replaced("golden/2.f32", "golden/2.f32 golden/3.f32"), "one file of outputs");
  ExpectRefused(Replaced("normalize 0.4 1e-1\n", ""), "one `normalize` per channel");
  ExpectRefused(Replaced(kSha + " 2\n", kSha + " 3\n"), "control teacher names no stage");
  ExpectRefused(Replaced("backend executorch\n", ""), "no `backend`");
  ExpectRefused(Replaced("runtime 1.5.0", "runtime 1..0"), "runtime is a version");
  ExpectRefused(Replaced("exporter executorch 1.5.1", "exporter executorch"), "exporter NAME");
  ExpectRefused(GoodPlan() + "stage 3 t0 t1\n", "nothing may follow");
}

TEST(Plan, SurvivesAnyChangeOfOneByte) {
  const std::string good = GoodPlan();
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'\0', ' ', '\n', '9', 'z', '\xff'}) {
      std::string text = good;
      text[i] = c;
      (void)ParsePlan(text, "/root");  // any answer, but an answer
    }
  }
}

TEST(Plan, IsReadFromAFileWithPathsBesideIt) {
  const TemporaryFolder folder;
  const Result<Plan> plan = ReadPlan(folder.Write("plan", GoodPlan()));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->artifacts[0].path, folder.path() + "/units/s0.pte");
}

TEST(Plan, ThatIsMissingOrAFolderOrHugeIsAnError) {
  const TemporaryFolder folder;
  EXPECT_EQ(ReadPlan(folder.path() + "/none").status().code(), Code::kMissing);
  EXPECT_EQ(ReadPlan(folder.path()).status().code(), Code::kDamaged);
  const std::string huge = folder.Write("huge", std::string(3 << 20, 'x'));
  EXPECT_EQ(ReadPlan(huge).status().code(), Code::kInvalidPlan);
}

// Writes numbers with a comma, as many languages do.
class Comma : public std::numpunct<char> {
 protected:
  char do_decimal_point() const override { return ','; }
};

TEST(Plan, ReadsNumbersWhateverTheLocaleOfTheApp) {
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Comma));
  const Result<Plan> plan = ParsePlan(GoodPlan(), "/root");
  std::locale::global(before);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->evaluation->mean[0], 0.5f);
  EXPECT_EQ(plan->evaluation->std[2], 0.1f);
}

TEST(Plan, RefusesTwoControlsOfOneName) {
  const std::string control = "control teacher control/teacher.pte 70 " + kSha + " 2\n";
  ExpectRefused(Replaced(control, control + control), "occurs twice");
}

TEST(Plan, IsNoFifoAndNoFolder) {
  const TemporaryFolder folder;
  const std::string fifo = folder.path() + "/plan";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(ReadPlan(fifo).status().code(), Code::kDamaged);
  EXPECT_EQ(ReadPlan(folder.path()).status().code(), Code::kDamaged);
}

}  // namespace
}  // namespace pwl
