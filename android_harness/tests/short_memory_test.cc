// Every single allocation of a model's life is made to fail once, alone and with all later ones.

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "pwl/weight_cache.h"
#include "runtime/sha256.h"
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

TEST_F(ShortMemory, OfEitherLoadingThreadEndsNothing) {
  bundle_.plan.loaders = 2;
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

// What opens, reads and writes files, in folders and where there are none.
class FilesInShortMemory : public testing::Test {
 protected:
  // In memory where that is to be had: what is written there need not be waited for.
  FilesInShortMemory()
      : folder_(std::filesystem::is_directory("/dev/shm")
                    ? std::filesystem::path("/dev/shm")
                    : std::filesystem::temp_directory_path()) {
    file_ = folder_.Write("file", "program");
    folder_.Write("loading.plan", "no plan");
  }

  void UseFiles() {
    std::string name = file_;
    for (const char* path : {file_.c_str(), folder_.path().c_str(), "/nowhere/at/all"}) {
      name = path;
      const auto source = ProgramSource::Open(name);
      if (source.ok()) {
        (void)ProgramSource::FromDescriptor(name, source->descriptor(), 1, 6);
        (void)ProgramSource::FromDescriptor(name, source->descriptor(), 1, 7);
        (void)Sha256Of(*source);
      }
    }
    (void)Bundle::Open(folder_.path());
    VerifiedFiles verified(folder_.path() + "/verified");
    if (const auto source = ProgramSource::Open(file_); source.ok()) {
      verified.Remember(*source, std::string(64, 'a'));
      (void)verified.Knows(*source, std::string(64, 'a'));
    }
    (void)verified.Save();
    UseCache("written", [](CacheUse* use) { std::ofstream(use->path()) << "packed"; });
    UseCache("in-memory", [](CacheUse* use) {
      const int memory = use->BuildInMemory();
      if (memory >= 0 && write(memory, "packed", 6) == 6) close(memory);
    });
  }

  template <typename Build>
  void UseCache(const std::string& unit, const Build& build) {
    const WeightCache cache{folder_.path(), "runtime"};
    for (int start = 0; start < 2; ++start) {
      CacheUse use = cache.Open(unit, 100);
      if (use.filled() || use.path().empty()) continue;
      build(&use);
      (void)use.Reserve();
      (void)use.Keep();
    }
  }

  static long OpenFiles() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  }

  TemporaryFolder folder_;
  std::string file_;
};

TEST_F(FilesInShortMemory, AreClosedWhateverFails) {
  const long before = OpenFiles();
  bool failed = true;
  for (long after = 0; failed; ++after) {
    try {
      FailingAllocations failing(after, 1);
      UseFiles();
    } catch (const std::bad_alloc&) {
      // Of the test's own strings.
    }
    failed = FailingAllocations::Stop();
    EXPECT_EQ(OpenFiles(), before) << after;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      EXPECT_NE(entry.path().extension(), ".part") << after << ": " << entry.path();
      if (entry.path().extension() == ".xnnpack") std::filesystem::remove(entry.path());
    }
  }
}

}  // namespace
}  // namespace pwl
