// An arm whose programs are loaded by several threads.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "harness/programs.h"
#include "tests/progressive_fixture.h"

namespace pwl::harness {
namespace {

class ParallelChain : public ProgressiveModelTest {
 protected:
  ParallelChain() {
    plan_.folder = folder_.path();
    plan_.verify = Verify::kSize;
    arm_.name = "chain";
    arm_.parallel = true;
    for (const size_t unit : bundle_.plan.stages.back()) {
      arm_.programs.push_back(bundle_.plan.artifacts[unit]);
    }
  }

  Result<Chain> Load(size_t threads) {
    return LoadInParallel(plan_, arm_, threads, &engine_, &times_);
  }

  static float Answer(const Chain& chain) {
    const float zero = 0;
    const Result<Floats> output = RunChain(chain, {&zero, 1});
    EXPECT_TRUE(output.ok()) << output.status().message();
    return output.ok() ? output->data[0] : -1;
  }

  MeasurementPlan plan_;
  Arm arm_;
  LoadTimes times_;
};

TEST_F(ParallelChain, IsInExecutionOrderWhoeverLoadsIt) {
  for (const size_t threads : {1, 2, 3, 64}) {
    engine_.RecordRuns();
    const size_t before = engine_.runs().size();
    const Result<Chain> chain = Load(threads);
    ASSERT_TRUE(chain.ok()) << chain.status().message();
    EXPECT_EQ(Answer(*chain), kAnswers[3]);
    const std::vector<std::string> all = engine_.runs();
    const std::vector<std::string> runs(all.begin() + static_cast<std::ptrdiff_t>(before),
                                        all.end());
    EXPECT_EQ(runs, (std::vector<std::string>{PathOf("t0-2"), PathOf("t1-20"), PathOf("t2-200")}));
  }
  EXPECT_EQ(engine_.loads(), 4 * 3);  // each once
  EXPECT_EQ(engine_.alive(), 0);
}

TEST_F(ParallelChain, IsLoadedWhileOneOfItsProgramsTakesLong) {
  engine_.Hold(PathOf("t0-2"));
  Result<Chain> chain = Status(Code::kRuntime, "not loaded");
  std::thread loading([&] { chain = Load(2); });
  while (engine_.alive() < 2) std::this_thread::yield();  // never, were there one thread
  engine_.LetGo();
  loading.join();
  ASSERT_TRUE(chain.ok());
  EXPECT_EQ(Answer(*chain), kAnswers[3]);
}

TEST_F(ParallelChain, TellsTheTimesOfOneThread) {
  ASSERT_TRUE(Load(1).ok());
  EXPECT_EQ(times_.prepare_ns, 3);  // one for each program
}

TEST_F(ParallelChain, TellsTheFirstProgramThatFailsAndKeepsNone) {
  engine_.Refuse(PathOf("t1-20"));
  engine_.Refuse(PathOf("t2-200"));
  for (const bool throws : {false, true}) {
    if (throws) engine_.Throw();
    for (const size_t threads : {1, 3}) {
      const Result<Chain> chain = Load(threads);
      ASSERT_FALSE(chain.ok());
      EXPECT_EQ(chain.status().message().rfind("t1-20", 0), 0u) << chain.status().message();
      EXPECT_EQ(engine_.alive(), 0);
    }
  }
}

TEST_F(ParallelChain, IsWhatAnArmOfThePlanIsWhereItSaysSo) {
  const Result<Chain> chain = LoadArm(plan_, arm_, &engine_, &times_);
  ASSERT_TRUE(chain.ok()) << chain.status().message();
  EXPECT_EQ(Answer(*chain), kAnswers[3]);
  arm_.programs.pop_back();
  engine_.Refuse(PathOf("t0-2"));
  EXPECT_EQ(LoadArm(plan_, arm_, &engine_, &times_).status().code(), Code::kDamaged);
}

}  // namespace
}  // namespace pwl::harness
