// Every single allocation of a model's life is made to fail once, alone and with all later ones.

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "tests/failing_allocation.h"
#include "tests/progressive_fixture.h"

namespace pwl {
namespace {

constexpr std::chrono::seconds kSoon{20};

// Wants no memory.
class Counter : public Observer {
 public:
  void StageActive(const StageLoad&) override {}
  void StageFailed(size_t, const Status&) override {}
};

class ShortMemory : public ProgressiveModelTest {
 protected:
  ShortMemory() { logits_.reserve(1); }

  // A life with climbs, failures and returns; whatever fails, it ends.
  void Live(ProgressiveModel* model) {
    model->LoadInBackground();
    EndsSoon(model);
    Infer(model);
    engine_.FailRuns(true);  // the program that serves now, and those that are tried after it
    Infer(model);
    engine_.FailRuns(false);
    Infer(model);
    model->LoadInBackground();
    EndsSoon(model);
    (void)model->ReturnInBackground(1);
    EndsSoon(model);
    model->LoadInBackground();
    model->CancelLoading();
    EndsSoon(model);
    Infer(model);
  }

  void EndsSoon(ProgressiveModel* model) {
    hung_ |= model->WaitForLoading(kSoon).code() == Code::kTimedOut;
  }

  void Infer(ProgressiveModel* model) {
    const float zero = 0;
    const Result<size_t> stage = model->Infer({&zero, 1}, &logits_);
    wrong_ |= stage.ok() && logits_[0] != kAnswers[*stage];
  }

  // With allocations `after`.. failing: nothing is thrown, hangs, leaks or answers wrongly, and
  // with memory again the model gets to its last stage. False when the life took fewer allocations.
  bool Survives(long after, long failures) {
    Bundle bundle = bundle_;
    std::unique_ptr<ProgressiveModel> model;
    bool failed = false;
    {
      FailingAllocations failing(after, failures);
      auto started =
          ProgressiveModel::Start(std::move(bundle), &engine_, options_, &counter_, nullptr);
      if (started.ok()) {
        model = std::move(*started);
        Live(model.get());
      }
      failed = FailingAllocations::Stop();
    }
    EXPECT_FALSE(hung_) << after;
    EXPECT_FALSE(wrong_) << after;
    if (model == nullptr) model = Start();
    const Status asked = model->LoadInBackground(kStages - 1);
    EXPECT_TRUE(asked.ok()) << after << ": " << asked.message();
    const Status ended = model->WaitForLoading(kSoon);
    EXPECT_TRUE(ended.ok()) << after << ": " << ended.message();
    EXPECT_EQ(Ask(*model), kAnswers[kStages - 1]) << after;
    EXPECT_EQ(engine_.alive(), 3) << after;
    model.reset();
    EXPECT_EQ(engine_.alive(), 0) << after;
    return failed;
  }

  Counter counter_;
  std::vector<float> logits_;
  bool hung_ = false;
  bool wrong_ = false;
};

TEST_F(ShortMemory, AtAnySingleAllocationEndsNothing) {
  long after = 0;
  while (Survives(after, 1) && !HasFailure()) ++after;
  EXPECT_GT(after, 50);
}

TEST_F(ShortMemory, AtTwoAllocationsInARowEndsNothing) {
  long after = 0;
  while (Survives(after, 2) && !HasFailure()) ++after;
  EXPECT_GT(after, 50);
}

TEST_F(ShortMemory, FromAnyAllocationOnEndsNothing) {
  long after = 0;
  while (Survives(after, -1) && !HasFailure()) ++after;
  EXPECT_GT(after, 50);
}

}  // namespace
}  // namespace pwl
