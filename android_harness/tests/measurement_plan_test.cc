#include "harness/measurement_plan.h"

#include <gtest/gtest.h>

#include <locale>
#include <string>

#include "tests/plan_texts.h"
#include "tests/temporary_folder.h"

namespace pwl::harness {
namespace {

const std::string kSha(64, 'a');

std::string GoodPlan() {
  return "pwl-measurement-plan 1\n"
         "bundle bundle\n"
         "verify size\n"
         "program student control/student.pte 70 " +
         kSha +
         " 12 3\n"
         "program half control/half.pte 70 " +
         kSha +
         " 12 8\n"
         "program other control/other.pte 70 " +
         kSha +
         " 8 3\n"
         "arm student student\n"
         "arm chain half other\n"
         "golden 4 bundle/golden/in.f32\n"
         "evaluation 100 3 bundle/eval/images.u8\n"
         "normalize 0.5 0.25\n"
         "normalize 0.5 0.25\n"
         "normalize 0.4 1e-1\n"
         "end\n";
}

std::string Replaced(const std::string& from, const std::string& to) {
  return With(GoodPlan(), from, to);
}

void ExpectRefused(const std::string& text, const std::string& why) {
  ExpectNoPlan(ParseMeasurementPlan(text, "/root"), text, why);
}

TEST(MeasurementPlan, SaysWhatIsInItsText) {
  const Result<MeasurementPlan> plan = ParseMeasurementPlan(GoodPlan(), "/root");
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->folder, "/root");
  EXPECT_EQ(plan->bundle, "/root/bundle");
  EXPECT_EQ(plan->verify, Verify::kSize);
  ASSERT_EQ(plan->arms.size(), 2u);
  ASSERT_NE(plan->FindArm("chain"), nullptr);
  EXPECT_EQ(plan->FindArm("chain")->programs[1].path, "control/other.pte");
  EXPECT_EQ(plan->FindArm("teacher"), nullptr);
  EXPECT_FALSE(plan->FindArm("chain")->parallel);
  EXPECT_EQ(plan->golden->count, 4u);
  EXPECT_EQ(plan->golden->inputs, "/root/bundle/golden/in.f32");
  EXPECT_EQ(plan->evaluation->mean.size(), 3u);
  EXPECT_FLOAT_EQ(plan->evaluation->std[2], 0.1f);
}

// A plan of nine inputs that are no images, before its end.
const std::string kInputs =
    "pwl-measurement-plan 1\nbundle bundle\nevaluation-inputs 9 bundle/eval/inputs.f32\n";

TEST(MeasurementPlan, SaysWhichArmIsLoadedInParallel) {
  const auto plan = ParseMeasurementPlan(Replaced("arm chain half", "chain chain half"), "/root");
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  ASSERT_NE(plan->FindArm("chain"), nullptr);
  EXPECT_TRUE(plan->FindArm("chain")->parallel);
  EXPECT_FALSE(plan->FindArm("student")->parallel);
  ExpectRefused(Replaced("arm chain half other", "chain chain"), "chain NAME ID");
}

TEST(MeasurementPlan, NamesInputsThatAreNoImages) {
  const Result<MeasurementPlan> plan = ParseMeasurementPlan(kInputs + "end\n", "/root");
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->evaluation->count, 9u);
  EXPECT_EQ(plan->evaluation->channels, 0u);
  EXPECT_EQ(plan->evaluation->images, "/root/bundle/eval/inputs.f32");
  ExpectRefused(kInputs + "normalize 0.5 0.25\nend\n", "one `normalize` per channel");
  ExpectRefused(With(kInputs + "end\n", " 9 ", " 0 "), "evaluation-inputs COUNT");
}

TEST(MeasurementPlan, NamesLabelMapsOfItsImages) {
  const std::string maps = "label-maps 21 bundle/eval/labels.u8 bundle/eval/predictions.u8\n";
  const Result<MeasurementPlan> plan = ParseMeasurementPlan(kInputs + maps + "end\n", "/root");
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->label_maps->classes, 21u);
  EXPECT_EQ(plan->label_maps->labels, "/root/bundle/eval/labels.u8");
  EXPECT_EQ(plan->label_maps->predictions, "/root/bundle/eval/predictions.u8");
  ExpectRefused(kInputs + With(maps, "21", "256") + "end\n", "label-maps CLASSES");
  ExpectRefused(kInputs + With(maps, "bundle/eval/labels", "../labels") + "end\n", "label-maps");
  ExpectRefused("pwl-measurement-plan 1\nbundle bundle\n" + maps + "end\n", "behind the");
}

TEST(MeasurementPlan, NamesTheTeachersEmbeddingsOfItsImages) {
  const std::string teachers = "embeddings bundle/eval/labels.f32\n";
  const Result<MeasurementPlan> plan = ParseMeasurementPlan(kInputs + teachers + "end\n", "/root");
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(*plan->embeddings, "/root/bundle/eval/labels.f32");
  ExpectRefused(kInputs + "embeddings ../labels.f32\nend\n", "embeddings TEACHERS");
  const std::string maps = "label-maps 2 labels.u8 given.u8\n";
  ExpectRefused(kInputs + maps + teachers + "end\n", "embeddings");
  ExpectRefused(kInputs + teachers + maps + "end\n", "label-maps");
  ExpectRefused("pwl-measurement-plan 1\nbundle bundle\n" + teachers + "end\n", "behind the");
}

TEST(MeasurementPlan, ChecksSha256UnlessToldOtherwise) {
  const auto plan = ParseMeasurementPlan(Replaced("verify size\n", ""), "/root");
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->verify, Verify::kSha256);
}

TEST(MeasurementPlan, CutShortAnywhereIsRefused) {
  const std::string text = GoodPlan();
  for (size_t length = 0; length < text.size() - 1; ++length) {
    EXPECT_FALSE(ParseMeasurementPlan(text.substr(0, length), "/root").ok()) << length;
  }
}

TEST(MeasurementPlan, CannotReachOutsideItsFolder) {
  ExpectRefused(Replaced("bundle bundle", "bundle ../bundle"), "bundle FOLDER");
  ExpectRefused(Replaced("control/student.pte", "/etc/passwd"), "program ID PATH");
  ExpectRefused(Replaced("golden 4 bundle", "golden 4 .."), "golden COUNT");
  ExpectRefused(Replaced("3 bundle/eval", "3 /bundle/eval"), "evaluation COUNT");
}

TEST(MeasurementPlan, RefusesWhatDoesNotAddUp) {
  ExpectRefused(Replaced("bundle bundle\n", ""), "no `bundle`");
  ExpectRefused(Replaced("verify size", "verify md5"), "verify is size or sha256");
  ExpectRefused(Replaced("program half", "program student"), "student occurs twice");
  ExpectRefused(Replaced("arm chain", "arm student"), "arm student occurs twice");
  ExpectRefused(Replaced("arm chain half other", "arm chain half half"), "does not fit behind");
  ExpectRefused(Replaced("arm chain half other", "arm chain half none"), "no program is called");
  ExpectRefused(Replaced("arm chain half other", "arm chain"), "arm NAME ID");
  ExpectRefused(Replaced("normalize 0.4 1e-1\n", ""), "one `normalize` per channel");
  ExpectRefused(Replaced("0.4 1e-1", "0.4 0"), "normalize MEAN STD");
  ExpectRefused(Replaced("0.4 1e-1", "nan 1"), "normalize MEAN STD");
  ExpectRefused(Replaced("0.4 1e-1", "0.4 inf"), "normalize MEAN STD");
  ExpectRefused(Replaced("golden", "gold"), "line 9: unknown directive `gold`");
}

TEST(MeasurementPlan, SurvivesAnyChangeOfOneByte) {
  const std::string good = GoodPlan();
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char c : {'\0', ' ', '\n', '9', 'z', '\xff'}) {
      std::string text = good;
      text[i] = c;
      (void)ParseMeasurementPlan(text, "/root");  // any answer, but an answer
    }
  }
}

TEST(MeasurementPlan, IsReadFromAFileWithPathsBesideIt) {
  const TemporaryFolder folder;
  const auto plan = ReadMeasurementPlan(folder.Write("measurement.plan", GoodPlan()));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->bundle, folder.path() + "/bundle");
}

TEST(MeasurementPlan, ThatIsMissingOrAFolderIsAnError) {
  const TemporaryFolder folder;
  EXPECT_EQ(ReadMeasurementPlan(folder.path() + "/none").status().code(), Code::kMissing);
  EXPECT_EQ(ReadMeasurementPlan(folder.path()).status().code(), Code::kDamaged);
}

// Writes numbers with a comma, as many languages do.
class Comma : public std::numpunct<char> {
 protected:
  char do_decimal_point() const override { return ','; }
};

TEST(MeasurementPlan, ReadsNumbersWhateverTheLocaleOfTheApp) {
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Comma));
  const Result<MeasurementPlan> plan = ParseMeasurementPlan(GoodPlan(), "/root");
  std::locale::global(before);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->evaluation->mean[0], 0.5f);
  EXPECT_EQ(plan->evaluation->std[2], 0.1f);
}

}  // namespace
}  // namespace pwl::harness
