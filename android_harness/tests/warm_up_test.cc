// Programs that run once before their stage becomes active, on the fake engine.

#include "runtime/warm_up.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/progressive_fixture.h"

namespace pwl {
namespace {

class WarmUp : public ProgressiveModelTest {
 protected:
  WarmUp() {
    options_.warm_up = true;
    engine_.RecordRuns();
  }

  // How often a unit has run.
  std::ptrdiff_t RunsOf(const std::string& id) {
    const std::vector<std::string> runs = engine_.runs();
    return std::count(runs.begin(), runs.end(), PathOf(id));
  }

  // Waits until the unit of a stage that is being loaded is held in its first run.
  std::unique_ptr<ProgressiveModel> StartAndHold(const std::string& id) {
    engine_.HoldRunsOf(PathOf(id));
    auto model = Start();
    model->LoadInBackground();
    engine_.WaitForHeldRun();
    return model;
  }

  void AwaitAlive(int programs) {
    while (engine_.alive() != programs) std::this_thread::yield();
  }
};

TEST_F(WarmUp, RunsEachNewProgramOnceWhileNobodyAsks) {
  auto model = Start();
  EXPECT_TRUE(engine_.runs().empty());  // the first answer is waited for
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  for (const char* unit : {"t0-2", "t1-20", "t2-200", "e0-1000", "e1-1000"}) {
    EXPECT_EQ(RunsOf(unit), 1) << unit;
  }
  for (const char* unit : {"s0-1", "s1-10", "s2-100"}) EXPECT_EQ(RunsOf(unit), 0) << unit;
  for (const StageLoad& load : observer_.active) {
    EXPECT_GT(load.warm_ns, 0);
    EXPECT_LE(load.warm_ns, load.ready_ns - load.begin_ns);
  }
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(WarmUp, IsLeftOutWhereItIsSwitchedOff) {
  options_.warm_up = false;
  auto model = Start();
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_TRUE(engine_.runs().empty());
  EXPECT_EQ(observer_.active.front().warm_ns, 0);
}

TEST_F(WarmUp, IsLeftOutWhereMemoryRules) {
  bundle_.plan.favor = Favor::kMemory;
  auto model = Start();
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_TRUE(engine_.runs().empty());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(WarmUp, TakesNothingFromAnInferenceThatIsTheFirst) {
  engine_.HoldRunsOf(PathOf("s0-1"));
  auto model = Start();
  std::thread asks([&] { Ask(*model); });
  engine_.WaitForHeldRun();
  model->LoadInBackground();
  while (model->active_stage() != kStages - 1) std::this_thread::yield();
  EXPECT_EQ(engine_.runs(), std::vector<std::string>{PathOf("s0-1")});
  engine_.LetGo();
  asks.join();
  EXPECT_TRUE(model->WaitForLoading().ok());
}

TEST_F(WarmUp, WaitsForTheInferenceOfAnAppThatPauses) {
  auto model = Start();
  Ask(*model);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));  // the pause that is seen
  engine_.HoldRunsOf(PathOf("s0-1"));
  std::thread asks([&] { Ask(*model); });
  engine_.WaitForHeldRun();
  model->LoadInBackground();
  while (engine_.loads() < 5) std::this_thread::yield();
  engine_.LetGo();
  asks.join();
  EXPECT_TRUE(model->WaitForLoading().ok());
  const std::vector<std::string> runs = engine_.runs();
  const auto first = std::find(runs.begin(), runs.end(), PathOf("t0-2"));
  const auto answered = std::find(runs.rbegin(), runs.rend(), PathOf("s2-100"));
  ASSERT_NE(first, runs.end());
  EXPECT_GE(first, answered.base()) << "while an inference ran";
}

TEST_F(WarmUp, FindsAProgramThatFailsBeforeItServes) {
  for (const bool throws : {false, true}) {
    if (throws) engine_.Throw();
    engine_.FailRunsOf(PathOf("t1-20"));
    observer_.failed.clear();
    auto model = Start();
    model->LoadInBackground();
    const Status status = model->WaitForLoading();
    EXPECT_EQ(status.code(), Code::kRuntime);
    EXPECT_NE(status.message().find("t1-20"), std::string::npos) << status.message();
    EXPECT_EQ(observer_.failed, std::vector<size_t>{2});
    EXPECT_EQ(Ask(*model), kAnswers[1]);
    EXPECT_EQ(engine_.alive(), 4);  // of the stage that serves
    engine_.FailRunsOf("");
    model->LoadInBackground();
    EXPECT_TRUE(model->WaitForLoading().ok());
    EXPECT_EQ(Ask(*model), kAnswers[3]);
    EXPECT_FALSE(engine_.called_after_failure());
  }
}

TEST_F(WarmUp, IsCancelled) {
  auto model = StartAndHold("t1-20");
  model->CancelLoading();
  EXPECT_EQ(model->WaitForLoading().code(), Code::kCancelled);
  engine_.LetGo();
  AwaitAlive(4);
  EXPECT_EQ(RunsOf("e1-1000"), 0);
  EXPECT_EQ(Ask(*model), kAnswers[1]);
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(WarmUp, GivesWayToAReturn) {
  auto model = StartAndHold("t1-20");
  EXPECT_TRUE(model->ReturnInBackground(0).ok());
  engine_.LetGo();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(RunsOf("e1-1000"), 0);
  EXPECT_EQ(Ask(*model), kAnswers[0]);
  EXPECT_EQ(engine_.alive(), 3);
}

TEST_F(WarmUp, LetsAnswersThrough) {
  auto model = StartAndHold("t1-20");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Ask(*model), kAnswers[1]);
  engine_.LetGo();
  EXPECT_TRUE(model->WaitForLoading().ok());
}

TEST_F(WarmUp, EndsWithTheModel) {
  auto model = StartAndHold("t1-20");
  std::thread lets_go([&] { engine_.LetGo(); });
  model.reset();
  lets_go.join();
  EXPECT_EQ(engine_.alive(), 0);
}

TEST_F(WarmUp, EndsWhereProgramsComputeMoreThanTheyTouch) {
  engine_.ComputeIn(PathOf("t0-2"), std::chrono::milliseconds(5));
  auto model = Start();
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(engine_.runs(), std::vector<std::string>{PathOf("t0-2")});
  EXPECT_TRUE(model->ReturnInBackground(0).ok());
  EXPECT_TRUE(model->WaitForLoading().ok());
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(RunsOf("t0-2"), 2);  // a new climb tries again
}

// MobileNetV2's first block and the last one of the demo, as they were measured.
TEST(WarmUpPays, WhereMemoryIsTouchedForAGoodPartOfTheTime) {
  EXPECT_TRUE(WarmUpPays({6'260'000, 1840 * 4096}));
  EXPECT_FALSE(WarmUpPays({2'700'000, 13 * 4096}));
  EXPECT_TRUE(WarmUpPays({100'000, 0}));  // takes next to nothing
}

TEST(WarmUpPays, CountsWhatThisThreadTouches) {
  constexpr size_t kBytes = 8 << 20;
  void* const memory =
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const RunCost before = CostSoFar();
  std::memset(memory, 1, kBytes);
  const RunCost after = CostSoFar();
  munmap(memory, kBytes);
  EXPECT_GT(after.cpu_ns, before.cpu_ns);
  EXPECT_GT(after.touched, before.touched);  // into pages of what size, the system decides
}

}  // namespace
}  // namespace pwl
