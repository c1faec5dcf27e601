// Two threads that load: while one stage is being made, the next one is prepared.

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/ahead_load.h"
#include "tests/progressive_fixture.h"

namespace pwl {
namespace {

class TwoLoaders : public ProgressiveModelTest {
 protected:
  TwoLoaders() { bundle_.plan.loaders = 2; }

  void AwaitLoads(int loads) {
    while (engine_.loads() < loads) std::this_thread::yield();
  }
  void AwaitAlive(int programs) {
    while (engine_.alive() != programs) std::this_thread::yield();
  }

  // A model that serves stage 1. Of stage 2, one program is being loaded and held back, until the
  // engine lets go; stage 3 is prepared.
  std::unique_ptr<ProgressiveModel> StartAndHoldStage2() {
    engine_.Hold(PathOf("t1-20"));
    auto model = Start();
    model->LoadInBackground();
    while (model->active_stage() != 1) std::this_thread::yield();
    AwaitLoads(7);  // all but e1, which is loaded after t1
    return model;
  }

  // Lets the engine go, and waits until loading ends.
  void ExpectEndAt(size_t stage, ProgressiveModel& model, int alive) {
    engine_.LetGo();
    EXPECT_TRUE(model.WaitForLoading().ok());
    EXPECT_EQ(Ask(model), kAnswers[stage]);
    EXPECT_EQ(engine_.alive(), alive);
  }

  // Destroys a model while the engine lets go.
  void ExpectEndOf(std::unique_ptr<ProgressiveModel> model) {
    std::thread lets_go([&] { engine_.LetGo(); });
    model.reset();
    lets_go.join();
    EXPECT_EQ(engine_.alive(), 0);
  }
};

TEST_F(TwoLoaders, PrepareAStageWhileTheOneBeforeIsMade) {
  engine_.Hold(PathOf("t0-2"));
  auto model = Start();
  model->LoadInBackground();
  AwaitAlive(3 + 2);  // t1 and e1 are there, t0 is not yet
  AwaitLoads(3 + 1 + 2);
  EXPECT_EQ(Ask(*model), kAnswers[0]);
  ExpectEndAt(3, *model, 3);
  EXPECT_EQ(engine_.loads(), 8);  // each once
}

TEST_F(TwoLoaders, ChangeStagesInTheirOrder) {
  auto model = StartAndHoldStage2();
  EXPECT_EQ(Ask(*model), kAnswers[1]);  // although the last one is there
  engine_.LetGo();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(observer_.ActiveStages(), (std::vector<size_t>{1, 2, 3}));
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(TwoLoaders, TellWhatWasDoneAhead) {
  engine_.Hold(PathOf("t0-2"));
  auto model = Start();
  model->LoadInBackground();
  AwaitAlive(3 + 2);
  engine_.LetGo();
  EXPECT_TRUE(model->WaitForLoading().ok());
  ASSERT_EQ(observer_.active.size(), 3u);
  EXPECT_EQ(observer_.active[0].ahead_ns, 0);
  const StageLoad& second = observer_.active[1];
  EXPECT_GT(second.ahead_ns, 0);
  EXPECT_GT(second.ahead_begin_ns, 0);
  EXPECT_LT(second.ahead_begin_ns, second.begin_ns);
  EXPECT_EQ(second.times.prepare_ns, 2);  // one for each program
  EXPECT_EQ(second.bytes, 2u * 7);
}

TEST_F(TwoLoaders, LoadNothingBeyondWhatIsAskedFor) {
  auto model = Start();
  EXPECT_TRUE(model->LoadInBackground(1).ok());
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(engine_.loads(), 5);
}

TEST_F(TwoLoaders, LoadNothingAheadWhereTheAppIsAskedBeforeEachStage) {
  options_.may_load = [](size_t stage) { return stage < 2; };
  auto model = Start();
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[1]);
  EXPECT_EQ(engine_.loads(), 5);
}

TEST_F(TwoLoaders, TellAFailureWhenItsStageIsNext) {
  engine_.Refuse(PathOf("t1-20"));
  auto model = Start();
  model->LoadInBackground();
  const Status status = model->WaitForLoading();
  EXPECT_EQ(status.code(), Code::kDamaged);
  EXPECT_NE(status.message().find("t1-20"), std::string::npos) << status.message();
  EXPECT_EQ(observer_.ActiveStages(), std::vector<size_t>{1});
  EXPECT_EQ(observer_.failed, std::vector<size_t>{2});
  EXPECT_EQ(Ask(*model), kAnswers[1]);
  EXPECT_EQ(engine_.alive(), 4);  // nothing of later stages is kept
  engine_.Accept(PathOf("t1-20"));
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(TwoLoaders, LoadWhatCouldNotBeHadAheadWhenItsStageIsNext) {
  engine_.Refuse(PathOf("t1-20"));
  engine_.Hold(PathOf("t0-2"));
  auto model = Start();
  model->LoadInBackground();
  AwaitAlive(3 + 1);  // e1, which is loaded after t1 was refused
  engine_.Accept(PathOf("t1-20"));
  engine_.LetGo();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_TRUE(observer_.failed.empty());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(TwoLoaders, DropWhatIsPreparedWhenLoadingIsCancelled) {
  auto model = StartAndHoldStage2();
  model->CancelLoading();
  EXPECT_EQ(model->WaitForLoading().code(), Code::kCancelled);  // does not wait for the engine
  engine_.LetGo();
  AwaitAlive(4);
  EXPECT_EQ(Ask(*model), kAnswers[1]);
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(TwoLoaders, DropWhatIsPreparedWhenLoadingShallEndBefore) {
  auto model = StartAndHoldStage2();
  EXPECT_TRUE(model->LoadInBackground(2).ok());
  ExpectEndAt(2, *model, 4);
}

// Cancels loading at its first stage, and asks for one more at once.
class Restarter : public Observer {
 public:
  void StageActive(const StageLoad& load) override {
    if (load.stage != 1) return;
    model->CancelLoading();
    EXPECT_TRUE(model->LoadInBackground(2).ok());
    restarted = true;
  }
  void StageFailed(size_t, const Status&) override {}
  ProgressiveModel* model = nullptr;
  std::atomic<bool> restarted{false};
};

TEST_F(TwoLoaders, DropWhatIsPreparedWhenLoadingIsCancelledWhileItWaitsForAnAnswer) {
  Restarter observer;
  options_.wait_for_first_answer = std::chrono::milliseconds(50);
  auto model = ProgressiveModel::Start(bundle_, &engine_, options_, &observer, nullptr);
  ASSERT_TRUE(model.ok()) << model.status().message();
  observer.model = model->get();
  engine_.Hold(PathOf("t0-2"));
  (*model)->LoadInBackground();
  AwaitAlive(3 + 2);  // t1 and e1 are there
  engine_.LetGo();
  while (!observer.restarted) std::this_thread::yield();
  (*model)->CancelLoading();
  AwaitAlive(4);  // those of one stage
}

TEST_F(TwoLoaders, GiveMemoryBackWhenTheModelReturns) {
  auto model = StartAndHoldStage2();
  EXPECT_TRUE(model->ReturnInBackground(0).ok());
  ExpectEndAt(0, *model, 3);
}

TEST_F(TwoLoaders, EndWithTheModel) { ExpectEndOf(StartAndHoldStage2()); }

TEST_F(TwoLoaders, EndWithTheModelWhileTheSecondOneLoads) {
  engine_.Hold(PathOf("e1-1000"));
  auto model = Start();
  EXPECT_TRUE(model->LoadInBackground(2).ok());
  AwaitLoads(7);  // e1 is the last one
  ExpectEndOf(std::move(model));
}

// Remembers on threads of which policy files were loaded.
class PolicyEngine final : public FakeEngine {
 public:
  Result<std::unique_ptr<Program>> Load(const ProgramSource& source, const ProgramSpec& spec,
                                        LoadTimes* times) override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      policies_[source.path()] = sched_getscheduler(0);
    }
    return FakeEngine::Load(source, spec, times);
  }
  std::map<std::string, int> policies() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return policies_;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, int> policies_;
};

TEST_F(TwoLoaders, PreemptNobodyWhenTheyWakeUp) {
  PolicyEngine engine;
  auto model = ProgressiveModel::Start(bundle_, &engine, options_, nullptr, nullptr);
  ASSERT_TRUE(model.ok());
  (*model)->LoadInBackground();
  EXPECT_TRUE((*model)->WaitForLoading().ok());
  const auto policies = engine.policies();
  EXPECT_NE(policies.at(PathOf("s0-1")), SCHED_BATCH);
  for (const char* unit : {"t0-2", "t1-20", "t2-200"}) {
    EXPECT_EQ(policies.at(PathOf(unit)), SCHED_BATCH) << unit;
  }
}

TEST(LoadersFor, AreAsThePlanSays) {
  LoadingPlan plan;
  EXPECT_EQ(LoadersFor(plan), 1);
  plan.loaders = 2;
  EXPECT_EQ(LoadersFor(plan), 2);
  plan.favor = Favor::kMemory;
  EXPECT_EQ(LoadersFor(plan), 1);
}

TEST(LoadersFor, AreTwoWhereThereAreProcessorsEnough) {
  LoadingPlan plan;
  plan.loaders = LoadingPlan::kAutoLoaders;
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  EXPECT_EQ(LoadersFor(plan), CPU_COUNT(&allowed) >= 4 ? 2 : 1);
  // Where the test runs on a single one, that is one.
  std::thread on_one([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int core = 0; core < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++core) {
      if (CPU_ISSET(core, &allowed)) CPU_SET(core, &one);
    }
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(LoadersFor(plan), 1);
  });
  on_one.join();
}

}  // namespace
}  // namespace pwl
