// The runtime with the real engines where the system gives no more: memory, threads, descriptors,
// storage. Each climb has a process of its own, which must end by itself, with right answers only.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pwl/progressive_model.h"
#include "tests/free_space.h"
#include "tests/real_bundle_fixture.h"
#include "tests/temporary_folder.h"

namespace pwl {
namespace {

constexpr unsigned kSeconds = 120;
constexpr std::chrono::seconds kLoading{60};
constexpr size_t kInferences = 3;

// Ends this process with a sentence: it is the child of a test.
[[noreturn]] void Wrong(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  _exit(1);
}

// A limit of this process, until it is lifted.
class Limit {
 public:
  Limit(decltype(RLIMIT_AS) what, rlim_t value) : what_(what) {
    if (getrlimit(what_, &before_) != 0) Wrong("no limits here");
    const rlimit low{value, before_.rlim_max};
    if (setrlimit(what_, &low) != 0) Wrong("the limit was refused");
  }
  ~Limit() { Lift(); }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

  void Lift() {
    if (setrlimit(what_, &before_) != 0) Wrong("the limit cannot be lifted");
  }

 private:
  const decltype(RLIMIT_AS) what_;
  rlimit before_{};
};

// All that malloc still has in pieces of at least so many bytes: only smaller ones are to be had.
class Hoard {
 public:
  explicit Hoard(size_t smallest) {
    for (size_t size = 1 << 20; size >= smallest; size /= 2) {
      while (void* const piece = std::malloc(size)) {
        *static_cast<void**>(piece) = last_;
        last_ = piece;
      }
    }
  }
  ~Hoard() {
    while (last_ != nullptr) std::free(std::exchange(last_, *static_cast<void**>(last_)));
  }
  Hoard(const Hoard&) = delete;
  Hoard& operator=(const Hoard&) = delete;

 private:
  void* last_ = nullptr;
};

rlim_t AddressSpace() {
  std::ifstream file("/proc/self/statm");
  rlim_t pages = 0;
  file >> pages;
  return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

rlim_t Descriptors() {
  rlim_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    (void)entry;
    ++count;
  }
  return count - 1;  // the folder itself was open
}

// Gives this process a file system of its own with so much room at `folder`.
bool MountSmall(const std::string& folder, const char* size) {
  const int own = geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER;
  return unshare(own) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("tmpfs", folder.c_str(), "tmpfs", 0, size) == 0;
}

bool CanMount(const std::string& folder) {
  const pid_t child = fork();
  if (child == 0) _exit(MountSmall(folder, "size=64k") ? 0 : 1);
  int status = 1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

// Counts as a user whom limits on threads hold, which they do not root; reads files as before.
void BecomeSomebody() {
  constexpr uid_t kSomebody = 65534;
  if (setresuid(kSomebody, kSomebody, 0) != 0) Wrong("root stays root");
  (void)setfsuid(0);
}

class RealBundleDeathTest : public RealBundle {
 protected:
  void SetUp() override {
    RealBundle::SetUp();
    GTEST_FLAG_SET(death_test_style, "threadsafe");  // a fresh process for each climb
    answers_.resize(kInferences);
    for (Answer& answer : answers_) answer.logits.reserve(plan().classes);
  }

  // Climbs as far as it goes, and infers; nothing of it is looked at yet, which takes memory.
  std::unique_ptr<ProgressiveModel> Climb(Engine* engine) {
    const ProgressiveOptions options{Verify::kSize, {}, nullptr, std::chrono::nanoseconds(0)};
    auto model = ProgressiveModel::Start(bundle_, engine, options, nullptr, nullptr);
    for (Answer& answer : answers_) answer.given = false;
    if (!model.ok()) return nullptr;
    (*model)->LoadInBackground();
    ended_ = (*model)->WaitForLoading(kLoading).code() != Code::kTimedOut;
    Ask(model->get());
    return std::move(*model);
  }

  void Ask(ProgressiveModel* model) {
    for (Answer& answer : answers_) {
      const auto stage = model->Infer({input_.data(), input_.size()}, &answer.logits);
      answer.given = stage.ok();
      answer.stage = stage.ok() ? *stage : 0;
    }
  }

  void RequireRightAnswers() const {
    if (!ended_) Wrong("loading did not end");
    for (const Answer& answer : answers_) {
      if (answer.given && Deviation(answer.logits, answer.stage) > 1e-4) {
        Wrong("wrong logits at stage " + std::to_string(answer.stage));
      }
    }
  }

  // With the limit lifted, everything goes on.
  void RequireLastStage(std::unique_ptr<ProgressiveModel> model, Engine* engine) {
    if (model == nullptr) {
      model = Climb(engine);
      if (model == nullptr) Wrong("does not start without the limit either");
    }
    (void)model->LoadInBackground(model->stages() - 1);
    if (const Status status = model->WaitForLoading(kLoading); !status.ok()) {
      Wrong("does not go on: " + status.message());
    }
    std::vector<float> logits;
    const auto stage = model->Infer({input_.data(), input_.size()}, &logits);
    if (!stage.ok()) Wrong("does not answer: " + stage.status().message());
    if (*stage + 1 != model->stages()) Wrong("answers at stage " + std::to_string(*stage));
    if (Deviation(logits, *stage) > 1e-4) Wrong("wrong logits at the last stage");
  }

  // The bodies of the children.
  void ClimbWithMemory(rlim_t from_kb, rlim_t step_kb, int steps) {
    alarm(kSeconds);
    const auto engine = EngineOf(plan());
    for (int step = 0; step < steps; ++step) {
      const rlim_t more = (from_kb + static_cast<rlim_t>(step) * step_kb) << 10;
      Limit limit(RLIMIT_AS, AddressSpace() + more);
      auto model = Climb(engine.get());
      limit.Lift();
      RequireRightAnswers();
      RequireLastStage(std::move(model), engine.get());
    }
    _exit(0);
  }

  // Memory ends between the loading of a stage and its first inference, which takes some.
  void InferWithMemory(size_t stage) {
    alarm(kSeconds);
    const auto engine = EngineOf(plan());
    ProgressiveOptions options;
    options.warm_up = false;  // which takes that memory before
    auto model = ProgressiveModel::Start(bundle_, engine.get(), options, nullptr, nullptr);
    if (!model.ok()) Wrong("does not start: " + model.status().message());
    (void)(*model)->LoadInBackground(stage);
    if (!(*model)->WaitForLoading(kLoading).ok()) Wrong("does not load");
    {
      const Limit limit(RLIMIT_AS, AddressSpace());
      const Hoard hoard(2 << 10);
      Ask(model->get());
    }
    RequireRightAnswers();
    const bool ended = !answers_[0].given || answers_[0].stage < stage;
    if (!ended) Wrong("memory did not end");
    Ask(model->get());
    RequireRightAnswers();
    if (!answers_[0].given) Wrong("no answer when there is memory again");
    if (stage > 0 && answers_[0].stage >= stage) Wrong("a program that failed was called again");
    RequireLastStage(std::move(*model), engine.get());
    _exit(0);
  }

  void ClimbWithDescriptors() {
    alarm(kSeconds);
    const auto engine = EngineOf(plan());
    // What XNNPACK's cpuinfo does not get to read at a process's first load, it never asks for
    // again.
    if (Climb(engine.get()) == nullptr) Wrong("does not start without a limit");
    for (rlim_t more = 0; more < 6; ++more) {
      Limit limit(RLIMIT_NOFILE, Descriptors() + more);
      auto model = Climb(engine.get());
      limit.Lift();
      RequireRightAnswers();
      RequireLastStage(std::move(model), engine.get());
    }
    _exit(0);
  }

  void ClimbWithoutThreads() {
    alarm(kSeconds);
    const auto engine = EngineOf(plan());
    auto model = ProgressiveModel::Start(bundle_, engine.get(), {}, nullptr, nullptr);
    if (!model.ok()) Wrong("does not start: " + model.status().message());
    if (geteuid() == 0) BecomeSomebody();
    Limit limit(RLIMIT_NPROC, 0);
    if ((*model)->LoadInBackground((*model)->stages() - 1).code() != Code::kRuntime) {
      Wrong("a thread was to be had");
    }
    if ((*model)->WaitForLoading(kLoading).code() != Code::kRuntime) Wrong("waiting says ok");
    std::vector<float> logits;
    if (!(*model)->Infer({input_.data(), input_.size()}, &logits).ok()) Wrong("no answer");
    limit.Lift();
    RequireLastStage(std::move(*model), engine.get());
    _exit(0);
  }

  void ClimbOnFullStorage(const std::string& folder) {
    alarm(kSeconds);
    if (!MountSmall(folder, "size=1m")) Wrong("nothing was mounted");
    const auto engine = EngineOf(plan(), {folder, "runtime"});
    for (int start = 0; start < 2; ++start) {
      auto model = Climb(engine.get());
      RequireRightAnswers();
      RequireLastStage(std::move(model), engine.get());
    }
    if (!std::filesystem::is_empty(folder)) Wrong("something was left on the full storage");
    _exit(0);
  }

  // There was room when it was looked for, and somebody else has taken it since.
  void ClimbWhileStorageFills(const std::string& folder) {
    alarm(kSeconds);
    if (!MountSmall(folder, "size=16k")) Wrong("nothing was mounted");
    const PretendedFreeSpace pretended;
    const auto engine = EngineOf(plan(), {folder, "runtime"});
    for (int start = 0; start < 2; ++start) {
      auto model = Climb(engine.get());
      RequireRightAnswers();
      RequireLastStage(std::move(model), engine.get());
    }
    RequireWholeCaches(folder, 0);
    _exit(0);
  }

  void ClimbInThreeProcesses(const std::string& folder) {
    alarm(kSeconds);
    std::vector<pid_t> children;
    for (int i = 0; i < 3; ++i) {
      children.push_back(fork());
      if (children.back() == 0) {
        const auto engine = EngineOf(plan(), {folder, "runtime"});
        auto model = Climb(engine.get());
        RequireRightAnswers();
        RequireLastStage(std::move(model), engine.get());
        _exit(0);
      }
    }
    for (const pid_t child : children) {
      int status = 1;
      if (waitpid(child, &status, 0) != child || status != 0) Wrong("a process failed");
    }
    RequireWholeCaches(folder, plan().artifacts.size());
    _exit(0);
  }

  // That what lies there is whole and complete, and nothing that was begun is left.
  void RequireWholeCaches(const std::string& folder, size_t at_least) const {
    const WeightCache cache{folder, "runtime"};
    size_t whole = 0;
    for (const Artifact& artifact : plan().artifacts) {
      const Status status = cache.Check(artifact.sha256);
      if (status.ok()) ++whole;
      if (status.code() == Code::kDamaged) Wrong(status.message());
    }
    if (whole < at_least) Wrong("only " + std::to_string(whole) + " caches were kept");
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() == ".part") Wrong(entry.path().string() + " was left");
    }
  }

 private:
  struct Answer {
    bool given = false;
    size_t stage = 0;
    std::vector<float> logits;
  };

  std::vector<Answer> answers_;
  bool ended_ = true;
};

TEST_F(RealBundleDeathTest, AnswersRightlyOrSaysWhyWithLittleMemory) {
  if (PWL_SANITIZED) GTEST_SKIP() << "not under sanitizers: they reserve terabytes of addresses";
  const auto ends = testing::ExitedWithCode(0);
  EXPECT_EXIT(ClimbWithMemory(0, 48, 12), ends, "");         // no room for the loading thread
  EXPECT_EXIT(ClimbWithMemory(8 << 10, 72, 24), ends, "");   // room for its stack of 8 MiB
  EXPECT_EXIT(ClimbWithMemory(16 << 10, 72, 24), ends, "");  // and for one that reads ahead
  EXPECT_EXIT(ClimbWithMemory(32 << 10, 8 << 10, 16), ends, "");
}

TEST_F(RealBundleDeathTest, AnswersOnWhenMemoryEndsBeforeAStagesFirstInference) {
  if (PWL_SANITIZED) GTEST_SKIP() << "not under sanitizers: they reserve terabytes of addresses";
  for (size_t stage = 0; stage < plan().stages.size(); ++stage) {
    EXPECT_EXIT(InferWithMemory(stage), testing::ExitedWithCode(0), "");
  }
}

TEST_F(RealBundleDeathTest, AnswersRightlyOrSaysWhyWithFewDescriptors) {
  EXPECT_EXIT(ClimbWithDescriptors(), testing::ExitedWithCode(0), "");
}

TEST_F(RealBundleDeathTest, AnswersWithoutAThreadToLoadWith) {
  if (PWL_SANITIZED) GTEST_SKIP() << "not under sanitizers: they end without threads of their own";
  EXPECT_EXIT(ClimbWithoutThreads(), testing::ExitedWithCode(0), "");
}

TEST_F(RealBundleDeathTest, RunsWithoutCachesOnFullStorage) {
  const TemporaryFolder folder;
  if (!CanMount(folder.path())) GTEST_SKIP() << "not here: this user may not mount a file system";
  EXPECT_EXIT(ClimbOnFullStorage(folder.path()), testing::ExitedWithCode(0), "");
}

TEST_F(RealBundleDeathTest, RunsWithoutCachesOnStorageThatFillsWhileTheyAreBuilt) {
  const TemporaryFolder folder;
  if (!CanMount(folder.path())) GTEST_SKIP() << "not here: this user may not mount a file system";
  EXPECT_EXIT(ClimbWhileStorageFills(folder.path()), testing::ExitedWithCode(0), "");
}

TEST_F(RealBundleDeathTest, BuildsCachesInSeveralProcessesAtOnce) {
  const TemporaryFolder folder;
  EXPECT_EXIT(ClimbInThreeProcesses(folder.path()), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace pwl
