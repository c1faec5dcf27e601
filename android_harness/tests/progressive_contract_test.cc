// What the header promises of loading: cancelled, limited, taken back, waited for with a time-out,
// from every thread, and nothing thrown across.

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/progressive_fixture.h"

namespace pwl {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Far longer than anything here takes, and short enough to end a test that hangs.
constexpr seconds kHang{20};

class LoadingContract : public ProgressiveModelTest {
 protected:
  // Has may_load set `asked_` and block when it is asked for a stage, until `let_go_` is set.
  void BlockBefore(size_t blocked) {
    options_.may_load = [this, blocked](size_t stage) {
      if (stage == blocked) {
        asked_.set_value();
        let_go_.get_future().wait();
      }
      return true;
    };
  }

  std::promise<void> asked_;
  std::promise<void> let_go_;
};

TEST_F(LoadingContract, LoadsUpToAStageAndGoesOnLater) {
  auto model = Start();
  EXPECT_TRUE(model->LoadInBackground(1).ok());
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[1]);
  EXPECT_EQ(engine_.loads(), 5);  // nothing of stage 2
  EXPECT_TRUE(model->LoadInBackground(3).ok());
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(LoadingContract, BeginsWhenTheFirstAnswerIsThere) {
  options_.wait_for_first_answer = std::chrono::nanoseconds::max();
  auto model = Start();
  engine_.HoldRunsOf(PathOf("s1-10"));
  model->LoadInBackground();
  auto answer = std::async(std::launch::async, [&] { return Ask(*model); });
  engine_.WaitForHeldRun();
  EXPECT_EQ(model->WaitForLoading(milliseconds(20)).code(), Code::kTimedOut);
  EXPECT_EQ(engine_.loads(), 3);
  engine_.LetGo();
  EXPECT_EQ(answer.get(), kAnswers[0]);
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(LoadingContract, BeginsWithoutAnAnswerForAnAppThatDoesNotAsk) {
  options_.wait_for_first_answer = milliseconds(1);
  auto model = Start();
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading(kHang).ok());
  EXPECT_EQ(model->active_stage(), kStages - 1);
}

TEST_F(LoadingContract, DoesNotWaitForAnAnswerThatWasGivenBefore) {
  options_.wait_for_first_answer = kHang;
  auto model = Start();
  Ask(*model);
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading(kHang / 2).ok());
}

TEST_F(LoadingContract, DoesNotWaitForAnotherAnswerAfterTheFirstFailed) {
  options_.wait_for_first_answer = kHang;
  auto model = Start();
  engine_.FailRuns(true);
  const float zero = 0;
  std::vector<float> logits;
  EXPECT_FALSE(model->Infer({&zero, 1}, &logits).ok());
  engine_.FailRuns(false);
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading(kHang / 2).ok());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(LoadingContract, IsCancelledTakenBackAndDestroyedWhileItWaitsForAnAnswer) {
  options_.wait_for_first_answer = kHang;
  auto model = Start();
  model->LoadInBackground();
  EXPECT_EQ(model->WaitForLoading(milliseconds(1)).code(), Code::kTimedOut);
  model->CancelLoading();
  EXPECT_EQ(model->WaitForLoading(kHang / 2).code(), Code::kCancelled);
  model->LoadInBackground();
  EXPECT_TRUE(model->ReturnInBackground(0).ok());
  EXPECT_TRUE(model->WaitForLoading(kHang / 2).ok());
  model->LoadInBackground();
  auto closed = std::async(std::launch::async, [&] { model.reset(); });
  EXPECT_EQ(closed.wait_for(kHang / 2), std::future_status::ready);
  EXPECT_EQ(engine_.loads(), 3);
}

TEST_F(LoadingContract, LoadsOnAThreadThatPreemptsNobodyWhenItWakesUp) {
  int policy = -1;
  options_.may_load = [&](size_t) {
    policy = sched_getscheduler(0);
    return false;
  };
  auto model = Start();
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(policy, SCHED_BATCH);
  EXPECT_NE(sched_getscheduler(0), SCHED_BATCH);  // of the app's own threads, none is changed
}

TEST_F(LoadingContract, RefusesAStageThatDoesNotExist) {
  auto model = Start();
  EXPECT_EQ(model->LoadInBackground(kStages).code(), Code::kUsage);
  EXPECT_EQ(model->ReturnInBackground(kStages).code(), Code::kUsage);
  EXPECT_EQ(model->active_stage(), 0u);
}

TEST_F(LoadingContract, ReturnsToAnEarlierStageAndGivesMemoryBack) {
  auto model = Start();
  model->LoadInBackground();
  ASSERT_TRUE(model->WaitForLoading().ok());
  EXPECT_TRUE(model->ReturnInBackground(0).ok());
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[0]);
  EXPECT_EQ(engine_.alive(), 3);
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(LoadingContract, StaysWhereItIsWhenTheStudentCannotBeLoadedAgain) {
  auto model = Start();
  model->LoadInBackground();
  ASSERT_TRUE(model->WaitForLoading().ok());
  engine_.Refuse(PathOf("s1-10"));
  EXPECT_TRUE(model->ReturnInBackground(1).ok());
  EXPECT_EQ(model->WaitForLoading().code(), Code::kDamaged);
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(LoadingContract, DropsWhatIsBeingLoadedWhenItIsCancelled) {
  auto model = Start();
  engine_.Hold(PathOf("t1-20"));
  model->LoadInBackground();
  while (model->active_stage() != 1 || engine_.loads() < 6) std::this_thread::yield();
  model->CancelLoading();
  EXPECT_EQ(model->WaitForLoading().code(), Code::kCancelled);  // does not wait for the engine
  engine_.LetGo();
  EXPECT_TRUE(model->LoadInBackground(1).ok());  // comes to rest where it is
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[1]);
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[3]);
}

TEST_F(LoadingContract, TellsWhoWaitsTooLongThatItGoesOn) {
  auto model = Start();
  engine_.Hold(PathOf("t0-2"));
  model->LoadInBackground();
  EXPECT_EQ(model->WaitForLoading(milliseconds(1)).code(), Code::kTimedOut);
  EXPECT_EQ(model->WaitForLoading(milliseconds(-1)).code(), Code::kTimedOut);
  engine_.LetGo();
  EXPECT_TRUE(model->WaitForLoading(std::chrono::nanoseconds::max()).ok());
}

TEST_F(LoadingContract, LetsSeveralThreadsWaitAtOnce) {
  auto model = Start();
  engine_.Hold(PathOf("t0-2"));
  model->LoadInBackground();
  std::vector<std::future<Status>> waiters;
  for (int i = 0; i < 4; ++i) {
    waiters.push_back(std::async(std::launch::async, [&] { return model->WaitForLoading(); }));
  }
  engine_.LetGo();
  for (auto& waiter : waiters) EXPECT_TRUE(waiter.get().ok());
  EXPECT_EQ(model->active_stage(), kStages - 1);
}

TEST_F(LoadingContract, IsControlledBySeveralThreadsAtOnce) {
  for (int repetition = 0; repetition < 30; ++repetition) {
    bundle_.plan.loaders = 1 + repetition % 2;
    auto model = Start();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 20; ++i) {
          switch ((i + t) % 5) {
            case 0:
              model->LoadInBackground();
              break;
            case 1:
              (void)model->WaitForLoading(std::chrono::microseconds(50));
              break;
            case 2:
              Ask(*model);
              break;
            case 3:
              (void)model->ReturnInBackground(static_cast<size_t>(t) % kStages);
              break;
            default:
              model->CancelLoading();
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    model->LoadInBackground();
    EXPECT_TRUE(model->WaitForLoading().ok());
    EXPECT_EQ(Ask(*model), kAnswers[3]);
    EXPECT_EQ(engine_.alive(), 3);
    model.reset();
    EXPECT_EQ(engine_.alive(), 0);
  }
}

TEST_F(LoadingContract, IsDestroyedWhileMayLoadBlocks) {
  auto let_go = std::make_shared<std::promise<void>>();
  std::promise<void> asked;
  options_.may_load = [&asked, gone = let_go->get_future().share()](size_t) {
    asked.set_value();
    gone.wait();
    return true;
  };
  auto model = Start();
  model->LoadInBackground();
  asked.get_future().wait();
  auto closed = std::async(std::launch::async, [&] { model.reset(); });
  EXPECT_EQ(closed.wait_for(kHang), std::future_status::ready);
  EXPECT_EQ(engine_.alive(), 0);
  const int loads = engine_.loads();
  let_go->set_value();
  closed.wait();
  EXPECT_EQ(engine_.loads(), loads);
}

TEST_F(LoadingContract, WaitsForTheInferenceThatRunsWhenItIsDestroyed) {
  auto model = Start();
  engine_.HoldRunsOf(PathOf("s1-10"));
  auto answer = std::async(std::launch::async, [&, asked = model.get()] { return Ask(*asked); });
  engine_.WaitForHeldRun();
  auto closed = std::async(std::launch::async, [&] { model.reset(); });
  EXPECT_EQ(closed.wait_for(milliseconds(20)), std::future_status::timeout);
  engine_.LetGo();
  EXPECT_EQ(answer.get(), kAnswers[0]);
  closed.wait();
  EXPECT_EQ(engine_.alive(), 0);
}

TEST_F(LoadingContract, KeepsNoReplacedProgramWhileMayLoadBlocks) {
  BlockBefore(2);
  auto model = Start();
  model->LoadInBackground();
  asked_.get_future().wait();
  EXPECT_EQ(engine_.alive(), 4);  // t0, e0, s1, s2 of stage 1; s0 is gone
  EXPECT_EQ(Ask(*model), kAnswers[1]);
  let_go_.set_value();
  EXPECT_TRUE(model->WaitForLoading().ok());
}

TEST_F(LoadingContract, AsksForTheNextStageWhenTheLastInferenceOnReplacedProgramsHasEnded) {
  BlockBefore(2);
  auto model = Start();
  engine_.HoldRunsOf(PathOf("s0-1"));
  auto answer = std::async(std::launch::async, [&] { return Ask(*model); });
  engine_.WaitForHeldRun();
  model->LoadInBackground();
  while (model->active_stage() != 1) std::this_thread::yield();
  engine_.LetGo();
  EXPECT_EQ(answer.get(), kAnswers[0]);
  asked_.get_future().wait();
  EXPECT_EQ(engine_.alive(), 4);  // of stage 1 alone
  let_go_.set_value();
  EXPECT_TRUE(model->WaitForLoading().ok());
}

TEST_F(LoadingContract, DropsWhatIsBeingLoadedWhenLoadingShallEndBefore) {
  auto model = Start();
  engine_.Hold(PathOf("t1-20"));
  model->LoadInBackground();
  while (engine_.loads() < 6) std::this_thread::yield();
  EXPECT_TRUE(model->LoadInBackground(1).ok());
  engine_.LetGo();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(Ask(*model), kAnswers[1]);
  EXPECT_EQ(engine_.alive(), 4);
  EXPECT_EQ(observer_.ActiveStages(), std::vector<size_t>{1});  // and did not go up and back
}

TEST_F(LoadingContract, FreesAReplacedProgramWhenItsLastInferenceEnds) {
  auto model = Start();
  engine_.HoldRunsOf(PathOf("s0-1"));
  auto answer = std::async(std::launch::async, [&] { return Ask(*model); });
  engine_.WaitForHeldRun();
  model->LoadInBackground();
  while (model->active_stage() != kStages - 1) std::this_thread::yield();
  EXPECT_GE(engine_.alive(), 6);  // the last stage, and the three that the inference runs on
  engine_.LetGo();
  EXPECT_EQ(answer.get(), kAnswers[0]);
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(engine_.alive(), 3);
}

TEST_F(LoadingContract, MayBeCancelledWhileMayLoadBlocks) {
  std::promise<void> asked;
  std::promise<void> let_go;
  std::atomic<int> questions{0};
  options_.may_load = [&](size_t) {
    if (questions++ == 0) {
      asked.set_value();
      let_go.get_future().wait();
    }
    return true;
  };
  auto model = Start();
  model->LoadInBackground();
  asked.get_future().wait();
  model->CancelLoading();
  EXPECT_EQ(model->WaitForLoading().code(), Code::kCancelled);
  let_go.set_value();
  model->LoadInBackground();
  EXPECT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(questions, 4);  // the answer to the first was to another question
}

TEST_F(LoadingContract, CountsWhatMayLoadThrowsAsAFailure) {
  options_.may_load = [](size_t stage) -> bool {
    if (stage == 2) throw std::runtime_error("no idea");
    return true;
  };
  auto model = Start();
  model->LoadInBackground();
  const Status status = model->WaitForLoading();
  EXPECT_EQ(status.code(), Code::kRuntime);
  EXPECT_NE(status.message().find("no idea"), std::string::npos);
  EXPECT_EQ(observer_.failed, std::vector<size_t>{2});
  EXPECT_EQ(Ask(*model), kAnswers[1]);
}

TEST_F(LoadingContract, TakesAnEngineThatThrowsWhileItLoadsAsOneThatFails) {
  engine_.Refuse(PathOf("t1-20"));
  engine_.Throw();
  auto model = Start();
  model->LoadInBackground();
  const Status status = model->WaitForLoading();
  EXPECT_EQ(status.code(), Code::kRuntime);
  EXPECT_NE(status.message().find("t1-20"), std::string::npos);
  EXPECT_NE(status.message().find("no memory"), std::string::npos);
  EXPECT_EQ(Ask(*model), kAnswers[1]);
}

TEST_F(LoadingContract, StartsNotOnAnEngineThatThrows) {
  engine_.Refuse(PathOf("s0-1"));
  engine_.Throw();
  const auto model = ProgressiveModel::Start(bundle_, &engine_, options_, nullptr, nullptr);
  EXPECT_EQ(model.status().code(), Code::kRuntime);
  EXPECT_EQ(engine_.alive(), 0);
}

class Thrower : public Observer {
 public:
  void StageActive(const StageLoad&) override { throw std::runtime_error("of no interest"); }
  void StageFailed(size_t, const Status&) override { throw 1; }
};

TEST_F(LoadingContract, GoesOnWhateverTheObserverThrows) {
  Thrower observer;
  engine_.Refuse(PathOf("t2-200"));
  auto model = ProgressiveModel::Start(bundle_, &engine_, options_, &observer, nullptr);
  ASSERT_TRUE(model.ok());
  (*model)->LoadInBackground();
  EXPECT_EQ((*model)->WaitForLoading().code(), Code::kDamaged);
  EXPECT_EQ((*model)->active_stage(), 2u);
}

// Asks the model from inside of an observer, which it is called by.
class Caller : public Observer {
 public:
  void StageActive(const StageLoad&) override {
    waited.push_back(model->WaitForLoading().code());
    stages.push_back(model->active_stage());
  }
  void StageFailed(size_t, const Status&) override {
    if (again-- > 0) model->LoadInBackground();
  }
  ProgressiveModel* model = nullptr;
  int again = 0;
  std::vector<Code> waited;
  std::vector<size_t> stages;
};

TEST_F(LoadingContract, LetsAnObserverCallAnythingButWait) {
  Caller observer;
  observer.again = 2;
  engine_.Refuse(PathOf("t2-200"));
  auto model = ProgressiveModel::Start(bundle_, &engine_, options_, &observer, nullptr);
  ASSERT_TRUE(model.ok());
  observer.model = model->get();
  (*model)->LoadInBackground();
  EXPECT_EQ((*model)->WaitForLoading().code(), Code::kDamaged);
  EXPECT_EQ(engine_.loads(), 7 + 3);  // twice more than once
  EXPECT_EQ(observer.waited, (std::vector<Code>{Code::kUsage, Code::kUsage}));
  EXPECT_EQ(observer.stages, (std::vector<size_t>{1, 2}));
}

TEST_F(LoadingContract, LoadsAUnitThatOccursTwiceInAStageTwice) {
  bundle_.plan.stages = {{0, 0}, {0, 0, 3}};  // s0 adds 1
  bundle_.plan.artifacts[0].floats_in = bundle_.plan.artifacts[0].floats_out = 1;
  auto model = Start();
  EXPECT_EQ(engine_.loads(), 2);
  model->LoadInBackground();
  ASSERT_TRUE(model->WaitForLoading().ok());
  EXPECT_EQ(engine_.loads(), 3);
  EXPECT_EQ(engine_.alive(), 3);
  const float zero = 0;
  std::vector<float> logits;
  ASSERT_TRUE(model->Infer({&zero, 1}, &logits).ok());
  EXPECT_EQ(logits, std::vector<float>{1 + 1 + 2});
}

// In a child process, where nothing but the limit keeps threads from being made. One that was made
// before looks on.
int LoadWithoutThreads(ProgressiveModel* model) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NPROC, &limit) != 0) return 10;
  const rlimit none{0, limit.rlim_max};
  if (setgid(65534) != 0 || setuid(65534) != 0) return 11;
  std::atomic<bool> over{false};
  std::thread onlooker([&] {
    while (!over) (void)model->WaitForLoading(std::chrono::nanoseconds(0));
  });
  const bool limited = setrlimit(RLIMIT_NPROC, &none) == 0;
  bool refused = true;
  for (int i = 0; i < 100; ++i) {
    refused = refused && model->LoadInBackground(3).code() == Code::kRuntime;
  }
  over = true;
  onlooker.join();
  if (!limited) return 12;
  if (!refused) return 1;
  if (model->WaitForLoading().code() != Code::kRuntime) return 2;
  if (setrlimit(RLIMIT_NPROC, &limit) != 0) return 13;
  model->LoadInBackground();
  if (!model->WaitForLoading().ok()) return 3;
  return model->active_stage() == 3 ? 0 : 4;
}

TEST_F(LoadingContract, SaysThatNoThreadIsToBeHadAndLoadsLater) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "not under sanitizers: they end a forked child that makes threads";
#endif
  if (getuid() != 0) GTEST_SKIP() << "only root can become a user whose threads can be counted";
  std::filesystem::permissions(folder_.path(), std::filesystem::perms::all);
  auto model = Start();
  const pid_t child = fork();
  if (child == 0) _exit(LoadWithoutThreads(model.get()));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace pwl
