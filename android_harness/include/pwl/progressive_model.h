// ProgressiveModel: answers at once with the student, and becomes the teacher block by block.
//
//   auto bundle = Bundle::Open(folder);
//   auto model = ProgressiveModel::Start(*bundle, engine, options, observer, nullptr);  // stage 0
//   (*model)->LoadInBackground();                                                    // the others
//   auto stage = (*model)->Infer(input, &logits);                                    // any time
//
// A stage becomes active only when all of its programs are loaded and checked. The change happens
// between two inferences: an inference runs from beginning to end on one stage. When a program is
// missing, damaged or unfit, the stage that serves goes on serving and the observer is told why.
// When a program fails while it infers, it is never called again: the stage before is brought back
// and answers instead. Programs that a new stage does not use are destroyed as soon as the last
// inference on them has ended, never by a thread whose inference went well.
//
// Every member may be called from every thread, also from an observer and from `may_load` unless it
// says otherwise. No member throws. Each says what it blocks on; none blocks on anything else. The
// files must not be written in place while the model lives (see program_source.h).
#ifndef PWL_PROGRESSIVE_MODEL_H_
#define PWL_PROGRESSIVE_MODEL_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "pwl/bundle.h"
#include "pwl/engine.h"
#include "pwl/observer.h"
#include "pwl/status.h"
#include "pwl/verified_files.h"

namespace pwl {

// How a file is checked before it is loaded.
enum class Verify {
  kSize,    // it exists and has the right size; its sha256 was checked when it was installed
  kSha256,  // and its sha256 is right
};

struct ProgressiveOptions {
  Verify verify = Verify::kSha256;
  // Asked on the loading thread before a later stage is loaded; may block, for instance until the
  // app is idle. False ends the loading at the stage before. What it throws counts as a failure of
  // the stage. Where it is set, nothing of a stage is loaded before it was asked for.
  std::function<bool(size_t stage)> may_load;
  // Files whose sha256 was checked in an earlier start and that have not changed are not hashed
  // again; new ones are remembered, and saved when loading ends, or with the model. Must outlive
  // it. Null: with Verify::kSha256 every file is hashed at every start.
  VerifiedFiles* verified = nullptr;
  // Later stages begin to be loaded when the first inference has ended, so that loading takes no
  // processor from the first answer; but so long after LoadInBackground at the latest, for apps
  // that do not ask at once. 0: at once. `may_load` is asked after that.
  std::chrono::nanoseconds wait_for_first_answer = std::chrono::milliseconds(100);
  // New programs run once on the loading thread, on zeros, before their stage becomes active: a
  // first inference touches memory for the first time, which at 224 pixels takes as long as
  // computing. Only while the app pauses between its inferences: to one that asks without pause, it
  // would take more than it gives. Ends where programs touch little; a program that fails then is a
  // stage that could not be loaded. Plans that favor memory do without.
  bool warm_up = true;
};

class ProgressiveModel {
 public:
  // Loads stage 0 on the calling thread, and blocks as long as that takes. `engine` must outlive
  // the model, and so must `observer` unless it is null. `load`, unless null, is told what the
  // loading took. kUsage for a bundle without files or stages, or without an engine.
  static Result<std::unique_ptr<ProgressiveModel>> Start(Bundle bundle, Engine* engine,
                                                         ProgressiveOptions options,
                                                         Observer* observer,
                                                         StageLoad* load) noexcept;

  // Waits for the inferences that run, the programs that are being loaded, and the observer if it
  // is being called; not for `may_load`, whose answer is ignored then. Engine and observer are not
  // touched afterwards. No other member may be called any more.
  ~ProgressiveModel();

  ProgressiveModel(const ProgressiveModel&) = delete;
  ProgressiveModel& operator=(const ProgressiveModel&) = delete;

  // Begins to load the stages after the active one, up to `up_to` or the last, on one background
  // thread (or two: see LoadingPlan::loaders), which waits for the first answer (see
  // ProgressiveOptions); never blocks. While loading goes on, it changes where loading ends. May be
  // called again after a failure, to go on from where loading stopped. kUsage when there is no such
  // stage, kRuntime when no thread is to be had (loading can be asked for again). WaitForLoading
  // gives the failure, too.
  void LoadInBackground() noexcept;
  Status LoadInBackground(size_t up_to) noexcept;

  // Begins to go back to an earlier stage, whose programs are loaded again and then replace those
  // of the active one; never blocks. Does nothing if the active stage is not a later one. For apps
  // that have to give memory back. Errors as for LoadInBackground.
  Status ReturnInBackground(size_t stage) noexcept;

  // Ends loading at the stage that is active: what is being loaded right now is dropped when it is
  // there. Never blocks. LoadInBackground goes on from there.
  void CancelLoading() noexcept;

  // Blocks until nothing is being loaded any more, or `at_most` has passed. kOk when loading ended
  // as asked, or at a stage that `may_load` refused; kCancelled, kTimedOut; otherwise the reason
  // why it failed. Not for observers and `may_load` (kUsage): they would wait for themselves.
  Status WaitForLoading() noexcept;
  Status WaitForLoading(std::chrono::nanoseconds at_most) noexcept;

  // Runs one inference on the stage that is active when it begins, and gives the stage that
  // answered. `logits` becomes as long as the model has classes; a vector that is used again costs
  // no allocation. Several threads take turns, so it blocks for the inferences before it. kUsage
  // when `input` has another size than the model's or `logits` is null. When a program fails, the
  // stages before are tried one after the other, which blocks as long as loading them takes; the
  // result is an error only when none of them can answer.
  Result<size_t> Infer(Floats input, std::vector<float>* logits) noexcept;

  // The stage that the next inference would run on. Never blocks.
  size_t active_stage() const noexcept;
  // How many stages the plan has. Never blocks.
  size_t stages() const noexcept;

 private:
  class Core;

  explicit ProgressiveModel(std::shared_ptr<Core> core);

  // Shared with the loading thread, which may still be inside of `may_load` when the model is gone.
  const std::shared_ptr<Core> core_;
};

}  // namespace pwl

#endif  // PWL_PROGRESSIVE_MODEL_H_
