// A program that fails while it infers: it is never called again, and an earlier stage answers.

#include <atomic>
#include <thread>
#include <vector>

#include "tests/progressive_fixture.h"

namespace pwl {
namespace {

class ServingFailure : public ProgressiveModelTest {
 protected:
  // The model at its last stage, on the teacher alone.
  std::unique_ptr<ProgressiveModel> Teacher() {
    auto model = Start();
    model->LoadInBackground();
    EXPECT_TRUE(model->WaitForLoading().ok());
    return model;
  }
};

TEST_F(ServingFailure, IsAnsweredByTheStageBefore) {
  auto model = Teacher();
  engine_.FailRunsOf(PathOf("t2-200"));
  EXPECT_EQ(Ask(*model), kAnswers[2]);
  EXPECT_EQ(model->active_stage(), 2u);
  EXPECT_FALSE(engine_.called_after_failure());
  EXPECT_EQ(engine_.alive(), 4);  // t0, t1, e1, s2: the program that failed is gone
}

TEST_F(ServingFailure, IsToldToTheObserverAndToWhoWaits) {
  auto model = Teacher();
  engine_.FailRunsOf(PathOf("t2-200"));
  Ask(*model);
  EXPECT_EQ(observer_.failed, std::vector<size_t>{3});
  EXPECT_EQ(observer_.ActiveStages(), (std::vector<size_t>{1, 2, 3, 2}));
  EXPECT_NE(observer_.reasons[0].message().find("t2-200"), std::string::npos);
  EXPECT_EQ(model->WaitForLoading().code(), Code::kRuntime);
}

TEST_F(ServingFailure, OfAUnitThatTheStageBeforeNeedsTooLoadsItAnew) {
  auto model = Teacher();
  engine_.FailRunsOf(PathOf("t0-2"));
  EXPECT_EQ(Ask(*model), kAnswers[0]);  // every stage but the first has t0
  EXPECT_EQ(observer_.failed, (std::vector<size_t>{3, 2, 1}));
  EXPECT_FALSE(engine_.called_after_failure());
}

TEST_F(ServingFailure, IsAnErrorWhenNoStageCanBeLoadedAnyMore) {
  auto model = Teacher();
  engine_.Refuse(PathOf("s2-100"));  // stages 0, 1 and 2 have it
  engine_.FailRunsOf(PathOf("t1-20"));
  const float zero = 0;
  std::vector<float> logits;
  const auto answer = model->Infer({&zero, 1}, &logits);
  EXPECT_EQ(answer.status().code(), Code::kDamaged);
  EXPECT_NE(answer.status().message().find("no stage can serve"), std::string::npos);
  engine_.Accept(PathOf("s2-100"));
  engine_.FailRunsOf("");
  EXPECT_EQ(Ask(*model), kAnswers[0]);  // tried again by the next inference
  EXPECT_FALSE(engine_.called_after_failure());
}

TEST_F(ServingFailure, OfTheFirstStageIsAnErrorOnceAndThenLoadedAnew) {
  auto model = Start();
  engine_.FailRunsOf(PathOf("s1-10"));
  const float zero = 0;
  std::vector<float> logits;
  EXPECT_EQ(model->Infer({&zero, 1}, &logits).status().code(), Code::kRuntime);
  engine_.FailRunsOf("");
  EXPECT_EQ(Ask(*model), kAnswers[0]);
  EXPECT_EQ(engine_.loads(), 4);
  EXPECT_FALSE(engine_.called_after_failure());
}

TEST_F(ServingFailure, ByAnExceptionIsAFailureLikeAnyOther) {
  auto model = Teacher();
  engine_.Throw();
  engine_.FailRunsOf(PathOf("t2-200"));
  EXPECT_EQ(Ask(*model), kAnswers[2]);
  model->LoadInBackground();  // nothing is left that would make anyone wait for ever
  EXPECT_TRUE(model->WaitForLoading().ok());
}

TEST_F(ServingFailure, CanBeClimbedFromAgain) {
  auto model = Teacher();
  engine_.FailRunsOf(PathOf("t2-200"));
  Ask(*model);
  engine_.FailRunsOf("");
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
  EXPECT_EQ(engine_.alive(), 3);
}

TEST_F(ServingFailure, EndsTheLoadingOfAStageThatWouldUseTheProgram) {
  auto model = Start();
  ASSERT_TRUE(model->LoadInBackground(1).ok());
  ASSERT_TRUE(model->WaitForLoading().ok());
  engine_.Hold(PathOf("t1-20"));
  model->LoadInBackground();
  while (engine_.loads() < 6) std::this_thread::yield();
  engine_.FailRunsOf(PathOf("t0-2"));  // in stage 1, and about to be in stage 2
  EXPECT_EQ(Ask(*model), kAnswers[0]);
  engine_.LetGo();
  EXPECT_EQ(model->WaitForLoading().code(), Code::kRuntime);
  EXPECT_EQ(Ask(*model), kAnswers[0]);
  EXPECT_FALSE(engine_.called_after_failure());
}

// Nothing is brought back behind the first stage, so that nothing else tells the loading thread.
TEST_F(ServingFailure, OfTheFirstStageEndsTheLoadingOfOneThatWouldUseTheProgram) {
  bundle_.plan.stages = {{0, 1, 2}, {0, 4, 2}};  // the second has s0, too
  auto model = Start();
  engine_.Hold(PathOf("t1-20"));
  model->LoadInBackground();
  while (engine_.loads() < 4) std::this_thread::yield();
  engine_.FailRunsOf(PathOf("s0-1"));
  const float zero = 0;
  std::vector<float> logits;
  EXPECT_EQ(model->Infer({&zero, 1}, &logits).status().code(), Code::kRuntime);
  engine_.FailRunsOf("");
  engine_.LetGo();
  EXPECT_EQ(model->WaitForLoading().code(), Code::kRuntime);
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  ASSERT_TRUE(model->Infer({&zero, 1}, &logits).ok());
  EXPECT_EQ(logits, std::vector<float>{1 + 20 + 100});
  EXPECT_FALSE(engine_.called_after_failure());
}

TEST_F(ServingFailure, IsAnsweredWhileAnotherThreadAsksForStages) {
  auto model = Teacher();
  std::atomic<bool> over{false};
  std::thread asking([&] {
    for (size_t stage = 0; !over; stage = (stage + 1) % kStages) {
      (void)model->LoadInBackground(stage);
    }
  });
  const float zero = 0;
  std::vector<float> logits;
  for (int i = 0; i < 1000; ++i) {
    engine_.FailRunsOf(i % 2 == 0 ? PathOf("t0-2") : "");
    (void)model->Infer({&zero, 1}, &logits);
  }
  over = true;
  asking.join();
  engine_.FailRunsOf("");
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
  EXPECT_FALSE(engine_.called_after_failure());
}

TEST_F(ServingFailure, OfAnInputOfAnotherSizeIsNoFailureOfThePrograms) {
  auto model = Teacher();
  const float two[] = {0, 0};
  std::vector<float> logits;
  EXPECT_EQ(model->Infer({two, 2}, &logits).status().code(), Code::kUsage);
  EXPECT_EQ(model->Infer({nullptr, 1}, &logits).status().code(), Code::kUsage);
  EXPECT_EQ(model->active_stage(), 3u);
  EXPECT_TRUE(observer_.failed.empty());
}

TEST_F(ServingFailure, HappensWhileOthersInferAndLoad) {
  for (int repetition = 0; repetition < 30; ++repetition) {
    bundle_.plan.loaders = 1 + repetition % 2;
    auto model = Start();
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        const float zero = 0;
        std::vector<float> logits;
        while (!stop) {
          const auto stage = model->Infer({&zero, 1}, &logits);
          if (!stage.ok()) continue;
          EXPECT_EQ(logits, std::vector<float>{kAnswers[*stage]});
        }
      });
    }
    for (const char* unit : {"t1-20", "e1-1000", "t0-2", "s0-1"}) {
      model->LoadInBackground();
      engine_.FailRunsOf(PathOf(unit));
      (void)model->WaitForLoading();
      engine_.FailRunsOf("");
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    model->LoadInBackground();
    EXPECT_TRUE(model->WaitForLoading().ok());
    EXPECT_EQ(Ask(*model), kAnswers[3]);
    EXPECT_FALSE(engine_.called_after_failure());
    model.reset();
    EXPECT_EQ(engine_.alive(), 0);
  }
}

}  // namespace
}  // namespace pwl
