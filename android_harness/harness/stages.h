// Walks a progressive model through its stages, doing something at each.
#ifndef PWL_HARNESS_STAGES_H_
#define PWL_HARNESS_STAGES_H_

#include <condition_variable>
#include <functional>
#include <mutex>

#include "pwl/bundle.h"
#include "pwl/engine.h"
#include "pwl/progressive_model.h"
#include "pwl/status.h"

namespace pwl::harness {

// Calls `visit` once per stage while the model stays at it. Ends at the first failure, of a visit
// or of a load, and gives its reason.
Status VisitStages(const Bundle& bundle, Verify verify, Engine* engine,
                   const std::function<Status(size_t stage, ProgressiveModel& model)>& visit);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_STAGES_H_
