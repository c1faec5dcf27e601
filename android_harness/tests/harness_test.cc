#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "harness/affinity.h"
#include "harness/answer.h"
#include "harness/cpu_clock.h"
#include "harness/data.h"
#include "harness/embeddings.h"
#include "harness/frames.h"
#include "harness/json_line.h"
#include "harness/label_maps.h"
#include "harness/options.h"
#include "harness/process.h"
#include "harness/start_state.h"
#include "harness/task_metric.h"
#include "runtime/clock.h"
#include "tests/temporary_folder.h"

namespace pwl::harness {
namespace {

Result<Options> Parse(std::vector<std::string> words) {
  words.insert(words.begin(), "pwl_harness");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  return ParseOptions(static_cast<int>(argv.size()), argv.data());
}

TEST(Options, SayWhatIsAskedFor) {
  const auto options =
      Parse({"--task", "ttfi", "--plan", "p", "--nonce", "n", "--arm", "teacher", "--state", "cold",
             "--inferences", "7", "--hold", "3", "--fps", "30"});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->arm, "teacher");
  EXPECT_EQ(options->state, "cold");
  EXPECT_EQ(options->inferences, 7);
  EXPECT_EQ(options->hold, 3);
  EXPECT_EQ(options->fps, 30);
}

TEST(Options, RefuseWhatTheyDoNotKnow) {
  EXPECT_FALSE(Parse({"--task", "info", "--nonce", "n", "--what", "x"}).ok());
  EXPECT_FALSE(Parse({"--task", "info", "--nonce"}).ok());
  EXPECT_FALSE(Parse({"--task", "info", "--nonce", "n", "--state", "tepid"}).ok());
  EXPECT_FALSE(Parse({"--task", "info", "--nonce", "n", "--inferences", "-1"}).ok());
  EXPECT_FALSE(Parse({"--task", "info", "--nonce", "n", "--inferences", "1x"}).ok());
  EXPECT_FALSE(Parse({"--task", "ttfi", "--nonce", "n"}).ok());
  EXPECT_FALSE(Parse({}).ok());
}

std::string Printed(const JsonLine& line) {
  testing::internal::CaptureStdout();
  line.Print();
  return testing::internal::GetCapturedStdout();
}

TEST(JsonLine, IsOneObjectOnOneLine) {
  EXPECT_EQ(
      Printed(JsonLine("x").Add("a", 1).Add("b", "two").Add("c", std::vector<int64_t>{1, -2})),
      "{\"event\":\"x\",\"a\":1,\"b\":\"two\",\"c\":[1,-2]}\n");
}

TEST(JsonLine, EscapesWhatWouldBreakIt) {
  EXPECT_EQ(Printed(JsonLine("x").Add("a", "q\"b\\n\n\x01\xc3")),
            "{\"event\":\"x\",\"a\":\"q\\\"b\\\\n\\u000a\\u0001\\u00c3\"}\n");
}

TEST(JsonLine, WritesFloatsThatReadBackTheSame) {
  const float third = 1.0f / 3.0f;
  const std::string text = Printed(JsonLine("x").Add("a", std::vector<float>{third}));
  EXPECT_EQ(std::stof(text.substr(text.find('[') + 1)), third);
}

TEST(JsonLine, HasNoWordForNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Printed(JsonLine("x").Add("a", std::vector<float>{nan, infinity})),
            "{\"event\":\"x\",\"a\":[null,null]}\n");
}

TEST(Answer, IsTheLabelOfTheLargestLogitAndTheFirstOfEquals) {
  EXPECT_EQ(Label({-3.0f, 2.0f, 1.0f}), 1);
  EXPECT_EQ(Label({1.0f, 2.0f, 2.0f}), 1);
  EXPECT_EQ(Label({std::numeric_limits<float>::lowest()}), 0);
}

TEST(Answer, IsNoLabelWhereAnyLogitIsNoNumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {nan, -nan, infinity, -infinity}) {
    EXPECT_EQ(Label({bad, 1.0f, 2.0f}), kNoLabel);
    EXPECT_EQ(Label({2.0f, bad, 1.0f}), kNoLabel);
    EXPECT_EQ(Label({1.0f, 2.0f, bad}), kNoLabel);
    EXPECT_FALSE(AllFinite({1.0f, bad}));
  }
  EXPECT_EQ(Label({}), kNoLabel);
  EXPECT_TRUE(AllFinite({0.0f, std::numeric_limits<float>::denorm_min()}));
}

constexpr size_t kFloats = 4;  // two pixels of two channels

MeasurementPlan PlanWithImages(const TemporaryFolder& folder) {
  MeasurementPlan plan;
  plan.evaluation = Evaluation{2, 2, folder.path() + "/images", {0.5f, 0.0f}, {0.25f, 1.0f}};
  return plan;
}

TEST(Data, NormalizesEachChannelByItsOwnNumbers) {
  const TemporaryFolder folder;
  const MeasurementPlan plan = PlanWithImages(folder);
  folder.Write("images", std::string("\x00\xff\xff\x00\x00\x00\x00\x00", 8));
  const Result<Rows> rows = ReadEvaluationInputs(plan, kFloats);
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  ASSERT_EQ(rows->count(), 2u);
  const Floats first = rows->row(0);
  EXPECT_FLOAT_EQ(first.data[0], -2.0f);
  EXPECT_FLOAT_EQ(first.data[1], 1.0f);
  EXPECT_FLOAT_EQ(first.data[2], 2.0f);
  EXPECT_FLOAT_EQ(first.data[3], 0.0f);
}

TEST(Data, OfWhatIsNoImageIsTakenAsItIs) {
  const TemporaryFolder folder;
  MeasurementPlan plan;
  plan.evaluation = Evaluation{2, 0, folder.path() + "/inputs", {}, {}};
  const float values[] = {-2.5f, 1e9f, 0.0f, 3.0f, 4.0f, 5.0f};
  folder.Write("inputs", std::string(reinterpret_cast<const char*>(values), sizeof(values)));
  const Result<Rows> rows = ReadEvaluationInputs(plan, 3);
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  ASSERT_EQ(rows->count(), 2u);
  EXPECT_EQ(rows->row(0).data[1], 1e9f);
  EXPECT_EQ(rows->row(1).data[2], 5.0f);
  EXPECT_EQ(ReadEvaluationInputs(plan, 4).status().code(), Code::kDamaged);
}

TEST(Data, OfAnotherSizeIsRefused) {
  const TemporaryFolder folder;
  const MeasurementPlan plan = PlanWithImages(folder);
  folder.Write("images", std::string(7, 'x'));
  EXPECT_EQ(ReadEvaluationInputs(plan, kFloats).status().code(), Code::kDamaged);
  folder.Write("images", std::string(9, 'x'));
  EXPECT_EQ(ReadEvaluationInputs(plan, kFloats).status().code(), Code::kDamaged);
}

TEST(Data, HasAsManyChannelsAsThePlanSays) {
  const TemporaryFolder folder;
  folder.Write("images", std::string(6, 'x'));
  EXPECT_EQ(ReadEvaluationInputs(PlanWithImages(folder), 3).status().code(), Code::kInvalidPlan);
}

TEST(StartState, CountsThePagesOfAFileThatWasJustWritten) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("file", std::string(3 * 4096 + 1, 'x'));
  int64_t pages = 0;
  int64_t resident = 0;
  ASSERT_TRUE(CountResident(path, &pages, &resident).ok());
  EXPECT_GE(pages, 1);
  EXPECT_EQ(resident, pages);
}

TEST(StartState, OfAMissingFileIsAnError) {
  EXPECT_EQ(EnterStartState("cold", {"/nowhere/at/all"}, false).code(), Code::kMissing);
}

TEST(StartState, OfACacheThatTheSystemKeepsIsAnError) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("file", "x");
  // No such program, and no such property: this is no Android.
  EXPECT_EQ(EnterStartState("cold", {path}, true).code(), Code::kNotCold);
}

TEST(Affinity, ReadsListsAndRanges) {
  std::vector<int64_t> cores;
  EXPECT_TRUE(ParseCores("4-7", &cores));
  EXPECT_EQ(cores, (std::vector<int64_t>{4, 5, 6, 7}));
  EXPECT_TRUE(ParseCores("7,0,2-3,3", &cores));
  EXPECT_EQ(cores, (std::vector<int64_t>{0, 2, 3, 7}));
  for (const char* wrong :
       {"", ",", "a", "1,", "3-1", "-1", "1-", "1-2-3", "1024", " 1", "99999999999999999999"}) {
    EXPECT_FALSE(ParseCores(wrong, &cores)) << wrong;
  }
}

TEST(Affinity, IsProvenToBeWhatWasAskedFor) {
  const std::vector<int64_t> before = CoresAllowed();
  ASSERT_FALSE(before.empty());
  ASSERT_TRUE(RunOnCores({before.back()}).ok());
  EXPECT_EQ(CoresAllowed(), std::vector<int64_t>{before.back()});
  EXPECT_TRUE(CheckCores({before.back()}).ok());
  ASSERT_TRUE(RunOnCores(before).ok());
  EXPECT_EQ(CheckCores({before.back(), 1000}).code(), Code::kIo);
}

TEST(Affinity, OfACoreThatIsNotThereIsRefused) {
  const std::vector<int64_t> before = CoresAllowed();
  EXPECT_EQ(RunOnCores({1000}).code(), Code::kIo);
  // The kernel takes those that are there, and says nothing of the other.
  EXPECT_EQ(RunOnCores({before.front(), 1000}).code(), Code::kIo);
  ASSERT_TRUE(RunOnCores(before).ok());
}

TEST(Frames, BeginWhereTheOneBeforeEndsWhateverTheRate) {
  const Frames frames(100, 30);
  EXPECT_EQ(frames.BeginOf(0), 100);
  EXPECT_EQ(frames.BeginOf(1), 100 + 33333333);
  EXPECT_EQ(frames.BeginOf(30), 100 + 1000000000);  // what is rounded down does not add up
  for (int64_t frame = 0; frame < 100; ++frame) {
    EXPECT_EQ(frames.NewestAt(frames.BeginOf(frame)), frame);
    EXPECT_EQ(frames.NewestAt(frames.BeginOf(frame + 1) - 1), frame);
  }
  EXPECT_EQ(frames.NewestAt(99), -1);
}

TEST(Frames, AreWaitedFor) {
  const int64_t origin = NowNs();
  const Frames frames(origin, 1000);
  int64_t last = -1;
  while (last < 5) {
    const int64_t next = frames.WaitForFrameAfter(last);
    EXPECT_GT(next, last);
    EXPECT_LE(frames.BeginOf(next), NowNs());
    last = next;
  }
}

TEST(Frames, ThatWereMissedAreLeftOut) {
  const Frames frames(NowNs() - 1000000000, 1000);
  EXPECT_GE(frames.WaitForFrameAfter(3), 1000);
}

TEST(CpuClock, RunsWhileTheProcessDoes) {
  const int64_t before = CpuNs();
  volatile int work = 0;
  while (CpuNs() == before) work = work + 1;
  EXPECT_GT(CpuNs(), before);
}

TEST(Process, KnowsItsMemoryAndItsCommandLine) {
  EXPECT_GT(ReadMemory().rss_kb, 0);
  EXPECT_GE(ReadMemory().peak_kb, ReadMemory().rss_kb / 2);
  EXPECT_FALSE(CommandLine().empty());
}

TEST(Process, TellsWhatItsMemoryIsMadeOf) {
  constexpr size_t kBytes = 4 << 20;
  const TemporaryFolder folder;
  const std::string path = folder.Write("program", std::string(kBytes, 'x'));
  const Resident before = ReadResident({path});
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  void* const mapped = mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, file, 0);
  void* const anonymous =
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  close(file);
  ASSERT_NE(mapped, MAP_FAILED);
  ASSERT_NE(anonymous, MAP_FAILED);
  std::memset(anonymous, 1, kBytes);
  EXPECT_EQ(std::memcmp(mapped, std::string(kBytes, 'x').data(), kBytes), 0);
  const Resident after = ReadResident({path});
  EXPECT_EQ(before.programs_kb, 0);
  EXPECT_EQ(after.programs_kb, kBytes >> 10);
  EXPECT_GE(after.anonymous_kb - before.anonymous_kb, kBytes >> 10);
  EXPECT_GT(before.files_kb, 0);
  EXPECT_EQ(ReadResident({}).programs_kb, 0);
  munmap(mapped, kBytes);
  munmap(anonymous, kBytes);
}

TEST(Data, BelievesNoCountThatTheFileDoesNotHave) {
  const TemporaryFolder folder;
  MeasurementPlan plan;
  constexpr size_t kMany = size_t{1} << 32;
  plan.golden = Golden{65535, folder.Write("inputs", "x")};
  EXPECT_EQ(ReadGoldenInputs(plan, kMany).status().code(), Code::kDamaged);
  Evaluation evaluation;
  evaluation.count = kMany;  // times as many floats: 0 in 64 bits
  evaluation.channels = 1;
  evaluation.images = folder.Write("images", "");
  plan.evaluation = evaluation;
  EXPECT_EQ(ReadEvaluationInputs(plan, kMany).status().code(), Code::kDamaged);
}

TEST(MapCounts, CountLabeledPixelsAlone) {
  MapCounts counts(2);
  const uint8_t labels[] = {0, 1, 1, kIgnored};
  const uint8_t expected[] = {0, 1, 0, 0};
  // Of equal logits the first names the label.
  ASSERT_TRUE(counts.Add({2, 1, 3, 3, 0, 1, 0, 9}, labels, expected, 4));
  EXPECT_EQ(counts.right, std::vector<int64_t>{2});
  EXPECT_EQ(counts.labeled, std::vector<int64_t>{3});
  EXPECT_EQ(counts.differing, std::vector<int64_t>{2});
  EXPECT_EQ(counts.hits, (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(counts.given, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(counts.there, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(counts.lost, 0);
}

TEST(MapCounts, GiveNoPixelOfALostImageALabel) {
  MapCounts counts(2);
  const uint8_t labels[] = {0, 1};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  ASSERT_TRUE(counts.Add({2, 1, nan, 3}, labels, labels, 2));
  EXPECT_EQ(counts.right, std::vector<int64_t>{0});
  EXPECT_EQ(counts.differing, std::vector<int64_t>{2});
  EXPECT_EQ(counts.given, (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(counts.lost, 1);
}

TEST(MapCounts, RefuseWhatDoesNotFit) {
  MapCounts counts(2);
  const uint8_t labels[] = {0, 2};
  EXPECT_FALSE(counts.Add({2, 1, 3}, labels, labels, 2));
  EXPECT_FALSE(counts.Add({2, 1, 3, 4}, labels, labels, 2));
}

TEST(EmbeddingCosines, AreThoseOfDirectionsWhateverTheLength) {
  EmbeddingCosines found;
  const float teacher[] = {3, 4};
  ASSERT_TRUE(found.Add({6, 8}, {teacher, 2}));
  ASSERT_TRUE(found.Add({-0.75f, -1}, {teacher, 2}));
  ASSERT_TRUE(found.Add({4, -3}, {teacher, 2}));
  ASSERT_TRUE(found.Add({1, 0}, {teacher, 2}));
  EXPECT_EQ(found.cosines, (std::vector<float>{1, -1, 0, 0.6f}));
  EXPECT_EQ(found.lost, 0);
}

TEST(EmbeddingCosines, AreSummedInDouble) {
  // In float the one is lost beside 1e8, and the squares of the largest overflow.
  const float unlike[] = {1, 1, -1};
  const std::vector<float> large = {3e38f, 3e38f, 0};
  EmbeddingCosines found;
  ASSERT_TRUE(found.Add({1e8f, 1, 1e8f}, {unlike, 3}));
  ASSERT_TRUE(found.Add(large, {large.data(), 3}));
  EXPECT_NEAR(found.cosines[0], 1 / (1e8 * std::sqrt(6)), 1e-14);
  EXPECT_FLOAT_EQ(found.cosines[1], 1.0f);
}

TEST(EmbeddingCosines, TellOfWhatIsNoVectorAndOfZeros) {
  EmbeddingCosines found;
  const float teacher[] = {3, 4};
  const float zeros[] = {0, 0};
  const float infinity = std::numeric_limits<float>::infinity();
  ASSERT_TRUE(found.Add({0, 0}, {teacher, 2}));
  ASSERT_TRUE(found.Add({1, infinity}, {teacher, 2}));
  ASSERT_TRUE(found.Add({1, 2}, {zeros, 2}));
  ASSERT_TRUE(found.Add({0, -0.0f}, {zeros, 2}));
  ASSERT_TRUE(found.Add({0, std::nanf("")}, {zeros, 2}));
  EXPECT_EQ(found.lost, 2);
  EXPECT_EQ(found.cosines[0], 0.0f);
  EXPECT_NE(found.cosines[1], found.cosines[1]);  // NaN
  EXPECT_EQ(found.cosines[2], 0.0f);
  EXPECT_EQ(found.cosines[3], 1.0f);
  EXPECT_NE(found.cosines[4], found.cosines[4]);
  EXPECT_FALSE(found.Add({1}, {teacher, 2}));
}

// What is printed of two answers of a stage, and how many are lost.
std::string Printed(TaskMetric& metric, size_t stage, const std::vector<float>& one,
                    const std::vector<float>& other, int64_t* lost) {
  testing::internal::CaptureStdout();
  EXPECT_TRUE(metric.Add(stage, one).ok());
  EXPECT_TRUE(metric.Add(stage, other).ok());
  *lost = metric.Print(stage);
  return testing::internal::GetCapturedStdout();
}

TEST(TaskMetric, BeginsEachStageAnewWhateverTheAnswersAre) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  TemporaryFolder folder;
  LoadingPlan loading;
  loading.classes = 2;
  loading.stages = {{0}, {1}};
  MeasurementPlan labels;
  MeasurementPlan maps;
  maps.label_maps = LabelMaps{2, folder.Write("labels", std::string{1, 1}),
                              folder.Write("predictions", std::string{1, 1, 1, 1})};
  MeasurementPlan embeddings;
  const float teachers[] = {3, 4, 1, 0};
  embeddings.embeddings = folder.Write(
      "teachers", std::string(reinterpret_cast<const char*>(teachers), sizeof teachers));
  // By plan: what is said of the same answers, the second of which is lost at stage 0.
  const std::vector<std::tuple<MeasurementPlan*, std::string, std::string>> cases = {
      {&labels, R"({"event":"predictions","stage":0,"predictions":[1,-1]})",
       R"({"event":"predictions","stage":1,"predictions":[1,1]})"},
      {&maps,
       R"({"event":"maps","stage":0,"right":[1,0],"labeled":[1,1],"differing":[0,1],)"
       R"("hits":[0,1],"given":[0,1],"there":[0,2],"lost":1})",
       R"({"event":"maps","stage":1,"right":[1,1],"labeled":[1,1],"differing":[0,0],)"
       R"("hits":[0,2],"given":[0,2],"there":[0,2],"lost":0})"},
      {&embeddings, R"({"event":"embeddings","stage":0,"cosines":[1,null],"lost":1})",
       R"({"event":"embeddings","stage":1,"cosines":[1,0],"lost":0})"},
  };
  for (const auto& [plan, first, second] : cases) {
    const auto metric = MakeTaskMetric(*plan, 2, loading);
    ASSERT_TRUE(metric.ok()) << metric.status().message();
    int64_t lost = 0;
    EXPECT_EQ(Printed(**metric, 0, {6, 8}, {nan, 1}, &lost), first + "\n");
    EXPECT_EQ(lost, 1);
    EXPECT_EQ(Printed(**metric, 1, {6, 8}, {0, 1}, &lost), second + "\n");
    EXPECT_EQ(lost, 0);
  }
}

TEST(TaskMetric, IsNotMadeOfFilesThatDoNotFit) {
  TemporaryFolder folder;
  LoadingPlan loading;
  loading.classes = 4;
  loading.stages = {{0}};
  MeasurementPlan plan;
  plan.label_maps = LabelMaps{3, folder.Write("labels", "x"), folder.Write("predictions", "x")};
  EXPECT_EQ(MakeTaskMetric(plan, 1, loading).status().code(), Code::kInvalidPlan);
  plan.label_maps->classes = 2;
  EXPECT_EQ(MakeTaskMetric(plan, 1, loading).status().code(), Code::kDamaged);
  plan.label_maps.reset();
  plan.embeddings = folder.Write("teachers", "x");
  EXPECT_EQ(MakeTaskMetric(plan, 1, loading).status().code(), Code::kDamaged);
}

TEST(Excerpt, IsEvenAndTellsOfWhatItLeavesOut) {
  std::vector<float> values(5);
  EXPECT_EQ(Excerpt(values), values);
  values.resize(4096 * 336);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const std::vector<float> taken = Excerpt(values);
  ASSERT_EQ(taken.size(), 4096u);
  EXPECT_EQ(taken.front(), 0.0f);
  EXPECT_EQ(taken[1], 336.0f);
  EXPECT_EQ(taken[4000], 1344327.0f);
  EXPECT_EQ(taken.back(), values.back());
  values[7] = std::numeric_limits<float>::infinity();
  EXPECT_NE(Excerpt(values)[0], Excerpt(values)[0]);  // NaN
}

}  // namespace
}  // namespace pwl::harness
