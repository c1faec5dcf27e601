// The tasks of the harness. Each prints JSON lines and says how it ended.
#ifndef PWL_HARNESS_TASKS_H_
#define PWL_HARNESS_TASKS_H_

#include "harness/measurement_plan.h"
#include "harness/options.h"
#include "harness/start_state.h"
#include "pwl/bundle.h"
#include "pwl/status.h"

namespace pwl::harness {

// What this build is, and what the device lets it see.
Status RunInfo(const Options& options, const Bundle& bundle);

// Installs the bundle and the control arms as an app does after they have arrived: files checked,
// weight caches built.
Status RunInstall(const Options& options, const MeasurementPlan& plan, const Bundle& bundle);

// Time to first inference of one arm, in this process, whose start state has been entered.
Status RunTtfi(const Options& options, const StartState& start, int64_t main_ns);

// Serves inferences from the first moment on while the later stages load and swap.
Status RunProgress(const Options& options, const StartState& start, int64_t main_ns);

// Steady latency of every stage and every control arm, in turns.
Status RunLatency(const Options& options, const MeasurementPlan& plan, const Bundle& bundle);

// What the resident memory of an arm is made of, step by step.
Status RunMemory(const Options& options, const MeasurementPlan& plan, const Bundle& bundle);

// Predictions for the evaluation images at every stage.
Status RunAccuracy(const Options& options, const MeasurementPlan& plan, const Bundle& bundle);

// Logits of the golden inputs at every stage and of every control arm.
Status RunParity(const Options& options, const MeasurementPlan& plan, const Bundle& bundle);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_TASKS_H_
