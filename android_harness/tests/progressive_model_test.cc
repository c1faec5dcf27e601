#include "pwl/progressive_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/sha256.h"
#include "tests/progressive_fixture.h"

namespace pwl {
namespace {

TEST_F(ProgressiveModelTest, AnswersWithTheStudentBeforeAnythingElseIsLoaded) {
  auto model = Start();
  EXPECT_EQ(engine_.loads(), 3);
  EXPECT_EQ(Ask(*model), kAnswers[0]);
  EXPECT_EQ(model->active_stage(), 0u);
}

TEST_F(ProgressiveModelTest, BecomesTheTeacherStageByStage) {
  auto model = Start();
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(model->active_stage(), kStages - 1);
  EXPECT_EQ(Ask(*model), kAnswers[3]);
  ASSERT_EQ(observer_.active.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(observer_.active[i].stage, i + 1);
}

TEST_F(ProgressiveModelTest, LoadsEveryUnitOnceAndNoneThatItHas) {
  auto model = Start();
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(engine_.loads(), 8);
  EXPECT_EQ(observer_.active[0].bytes, 2u * 7);  // t0 and e0
  EXPECT_EQ(observer_.active[2].bytes, 1u * 7);  // t2
}

TEST_F(ProgressiveModelTest, ReleasesTheUnitsThatItReplaced) {
  auto model = Start();
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(engine_.alive(), 3);
  model.reset();
  EXPECT_EQ(engine_.alive(), 0);
}

TEST_F(ProgressiveModelTest, GoesOnServingWhileABlockIsBeingLoaded) {
  auto model = Start();
  engine_.Hold(PathOf("t1-20"));
  model->LoadInBackground();
  while (model->active_stage() != 1) std::this_thread::yield();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Ask(*model), kAnswers[1]);
  engine_.LetGo();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(ProgressiveModelTest, ReadsTheStageThatItLoadsAndTheNextOneAhead) {
  auto model = Start();
  EXPECT_FALSE(engine_.Considered("t0-2"));
  engine_.Hold(PathOf("t0-2"));
  model->LoadInBackground();
  while (engine_.loads() < 4) std::this_thread::yield();
  for (const char* unit : {"t0-2", "e0-1000", "t1-20", "e1-1000"}) {
    EXPECT_TRUE(engine_.Considered(unit)) << unit;
  }
  EXPECT_FALSE(engine_.Considered("t2-200"));
  engine_.LetGo();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_TRUE(engine_.Considered("t2-200"));
}

TEST_F(ProgressiveModelTest, NeverMixesStagesWithinAnInference) {
  for (int repetition = 0; repetition < 50; ++repetition) {
    auto model = Start();
    model->LoadInBackground();
    size_t before = 0;
    while (model->active_stage() != kStages - 1) {
      Ask(*model);  // compares the answer with the stage that it names
      const size_t now = model->active_stage();
      EXPECT_GE(now, before);
      before = now;
    }
    EXPECT_TRUE(model->WaitForLoading().ok());
  }
}

TEST_F(ProgressiveModelTest, LetsSeveralThreadsTakeTurns) {
  auto model = Start();
  model->LoadInBackground();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) Ask(*model);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_FALSE(engine_.overlapped());
}

TEST_F(ProgressiveModelTest, NeverDestroysAProgramOnAThreadThatInfers) {
  for (int repetition = 0; repetition < 50; ++repetition) {
    auto model = Start();
    model->LoadInBackground();
    std::thread::id infers;
    std::thread thread([&] {
      infers = std::this_thread::get_id();
      while (model->active_stage() != kStages - 1) Ask(*model);
      Ask(*model);
    });
    thread.join();
    EXPECT_TRUE(model->WaitForLoading().ok());
    EXPECT_FALSE(engine_.DestroyedBy(infers));
  }
}

TEST_F(ProgressiveModelTest, KeepsServingWhenABlockIsDamaged) {
  engine_.Refuse(PathOf("t1-20"));
  auto model = Start();
  model->LoadInBackground();
  const Status status = model->WaitForLoading();
  EXPECT_EQ(status.code(), Code::kDamaged);
  EXPECT_NE(status.message().find("t1-20"), std::string::npos);
  EXPECT_EQ(observer_.failed, std::vector<size_t>{2});
  EXPECT_EQ(Ask(*model), kAnswers[1]);
  EXPECT_EQ(engine_.alive(), 4);  // of the stage that serves, and nothing half-loaded
}

TEST_F(ProgressiveModelTest, KeepsServingWhenABlockIsMissing) {
  std::filesystem::remove(PathOf("t0-2"));
  auto model = Start();
  model->LoadInBackground();
  EXPECT_EQ(model->WaitForLoading().code(), Code::kMissing);
  EXPECT_EQ(Ask(*model), kAnswers[0]);
}

TEST_F(ProgressiveModelTest, RefusesABlockOfAnotherSizeWithoutLoadingIt) {
  folder_.Write("t0-2", "another program");
  auto model = Start();
  model->LoadInBackground();
  EXPECT_EQ(model->WaitForLoading().code(), Code::kDamaged);
  EXPECT_EQ(engine_.loads(), 3);
}

TEST_F(ProgressiveModelTest, RefusesABlockWithAnotherSha256WhenAskedToCheck) {
  options_.verify = Verify::kSha256;
  auto model = ProgressiveModel::Start(bundle_, &engine_, options_, nullptr, nullptr);
  EXPECT_EQ(model.status().code(), Code::kDamaged);
  EXPECT_EQ(engine_.loads(), 0);
}

TEST_F(ProgressiveModelTest, RemembersWhatItVerifiedWhenLoadingEndsAndWhenItNeverBegan) {
  usleep(150000);  // files that were written just now are not remembered
  for (Artifact& artifact : bundle_.plan.artifacts) {
    artifact.sha256 = *Sha256OfFile(PathOf(artifact.path));
  }
  const auto is_saved = [&](const std::string& stamps, size_t artifact) {
    const Artifact& of = bundle_.plan.artifacts[artifact];
    return VerifiedFiles(stamps).Knows(*ProgramSource::Open(PathOf(of.path)), of.sha256);
  };
  options_.verify = Verify::kSha256;
  VerifiedFiles student(folder_.path() + "/student");
  options_.verified = &student;
  Start().reset();
  EXPECT_TRUE(is_saved(folder_.path() + "/student", 0));
  EXPECT_FALSE(is_saved(folder_.path() + "/student", 3));

  VerifiedFiles cancelled(folder_.path() + "/cancelled");
  options_.verified = &cancelled;
  ProgressiveModel* asked = nullptr;
  options_.may_load = [&](size_t) {
    asked->CancelLoading();
    return true;
  };
  auto given_up = Start();
  asked = given_up.get();
  given_up->LoadInBackground();
  EXPECT_EQ(given_up->WaitForLoading().code(), Code::kCancelled);
  while (!is_saved(folder_.path() + "/cancelled", 0)) std::this_thread::yield();
  options_.may_load = nullptr;

  const std::string stamps = folder_.path() + "/verified";
  VerifiedFiles verified(stamps);
  options_.verified = &verified;
  auto model = Start();
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  for (size_t artifact = 0; artifact < bundle_.plan.artifacts.size(); ++artifact) {
    EXPECT_TRUE(is_saved(stamps, artifact));
  }
}

TEST_F(ProgressiveModelTest, RefusesABlockThatDoesNotFitItsPlace) {
  bundle_.plan.artifacts[3].floats_out = 5;
  auto model = Start();
  model->LoadInBackground();
  EXPECT_EQ(model->WaitForLoading().code(), Code::kIncompatible);
  EXPECT_EQ(Ask(*model), kAnswers[0]);
}

TEST_F(ProgressiveModelTest, GoesOnFromWhereItStoppedWhenAskedAgain) {
  engine_.Refuse(PathOf("t2-200"));
  auto model = Start();
  model->LoadInBackground();
  EXPECT_FALSE(model->WaitForLoading().ok());
  EXPECT_EQ(model->active_stage(), 2u);
  engine_.Accept(PathOf("t2-200"));
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(ProgressiveModelTest, FailsToStartWithoutTheStudent) {
  std::filesystem::remove(PathOf("s1-10"));
  auto model = ProgressiveModel::Start(bundle_, &engine_, options_, nullptr, nullptr);
  EXPECT_EQ(model.status().code(), Code::kMissing);
  EXPECT_EQ(engine_.alive(), 0);
}

TEST_F(ProgressiveModelTest, RefusesWhatIsNoWholeBundle) {
  const auto start = [&](const Bundle& bundle, Engine* engine) {
    return ProgressiveModel::Start(bundle, engine, options_, nullptr, nullptr).status().code();
  };
  EXPECT_EQ(start(bundle_, nullptr), Code::kUsage);
  EXPECT_EQ(start({bundle_.plan, nullptr}, &engine_), Code::kUsage);
  for (const std::vector<std::vector<size_t>>& stages :
       std::vector<std::vector<std::vector<size_t>>>{{}, {{}}, {{0, 1, 2}, {8}}}) {
    Bundle bundle = bundle_;
    bundle.plan.stages = stages;
    EXPECT_EQ(start(bundle, &engine_), Code::kUsage);
  }
}

TEST_F(ProgressiveModelTest, RefusesToAnswerNowhere) {
  const auto model = Start();
  const float zero = 0;
  EXPECT_EQ(model->Infer({&zero, 1}, nullptr).status().code(), Code::kUsage);
  EXPECT_EQ(Ask(*model), kAnswers[0]);
}

TEST_F(ProgressiveModelTest, LoadsNoFurtherThanItMay) {
  options_.may_load = [](size_t stage) { return stage <= 2; };
  auto model = Start();
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(model->active_stage(), 2u);
}

TEST_F(ProgressiveModelTest, CanBeDestroyedWhileItLoads) {
  for (int repetition = 0; repetition < 50; ++repetition) {
    auto model = Start();
    model->LoadInBackground();
    Ask(*model);
    model.reset();
    EXPECT_EQ(engine_.alive(), 0);
  }
}

TEST_F(ProgressiveModelTest, ReportsAFailedInferenceAndServesTheNext) {
  auto model = Start();
  engine_.FailRuns(true);
  const float zero = 0;
  std::vector<float> logits;
  EXPECT_EQ(model->Infer({&zero, 1}, &logits).status().code(), Code::kRuntime);
  engine_.FailRuns(false);
  EXPECT_EQ(Ask(*model), kAnswers[0]);
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
}

TEST_F(ProgressiveModelTest, TellsWhatTheFirstStageTook) {
  StageLoad load;
  auto model = ProgressiveModel::Start(bundle_, &engine_, options_, nullptr, &load);
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(load.bytes, 3u * 7);
  EXPECT_EQ(load.times.prepare_ns, 3);
  EXPECT_GE(load.ready_ns, load.begin_ns);
}

TEST_F(ProgressiveModelTest, MayBeAskedToLoadWhileItLoads) {
  const auto model = Start();
  while (model->active_stage() + 1 < kStages) model->LoadInBackground();
  // The thread may be at its very end now.
  for (int i = 0; i < 100; ++i) model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[kStages - 1]);
}

}  // namespace
}  // namespace pwl
