// AheadLoad: the second loading thread, which prepares the stage after the one that is being made.
#ifndef PWL_SRC_RUNTIME_AHEAD_LOAD_H_
#define PWL_SRC_RUNTIME_AHEAD_LOAD_H_

#include <atomic>
#include <cstddef>
#include <memory>

#include "pwl/bundle.h"
#include "runtime/joined_thread.h"
#include "runtime/stage.h"

namespace pwl {

// How many threads load the stages of a plan: what it says, and where it leaves that to the device,
// two if this process has enough processors that inferences keep theirs. One where memory rules.
int LoadersFor(const LoadingPlan& plan);

// Loads the programs that a stage has and the one before it has not, on a thread of its own. Used
// by one thread. What cannot be loaded is left out: it is loaded, and its failure told, when the
// stage's turn comes.
class AheadLoad {
 public:
  // Null where no thread or no memory is to be had. The thread has the scheduling policy of the one
  // that calls. `factory` must outlive what is made.
  static std::unique_ptr<AheadLoad> Begin(const StageFactory* factory, size_t stage) noexcept;

  // Waits for the program that is being loaded, and drops all of them.
  ~AheadLoad() { unwanted_ = true; }
  AheadLoad(const AheadLoad&) = delete;
  AheadLoad& operator=(const AheadLoad&) = delete;

  size_t stage() const { return stage_; }

  // Waits until all is loaded, and gives it away.
  PreparedUnits Take();

 private:
  explicit AheadLoad(size_t stage) : stage_(stage) {}

  const size_t stage_;
  std::atomic<bool> unwanted_{false};
  PreparedUnits prepared_;  // the thread's, until it has ended
  JoinedThread thread_;     // the last member: it ends first
};

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_AHEAD_LOAD_H_
