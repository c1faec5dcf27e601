// What the answers of a task are judged by: labels, label maps or embeddings.
#ifndef PWL_HARNESS_TASK_METRIC_H_
#define PWL_HARNESS_TASK_METRIC_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "harness/measurement_plan.h"
#include "pwl/bundle.h"
#include "pwl/status.h"

namespace pwl::harness {

// Gathers what one stage after the other answers, and prints a line for each.
class TaskMetric {
 public:
  virtual ~TaskMetric() = default;
  // Takes what a stage answers to the next image, the first after Print to image 0. kDamaged where
  // that and the files of the plan do not fit together.
  virtual Status Add(size_t stage, const std::vector<float>& answer) = 0;
  // Prints what was added since the last call. Gives how many answers hold NaN or infinity.
  virtual int64_t Print(size_t stage) = 0;
};

// That of a plan's evaluation images, of which there are so many; its files are read. kDamaged and
// so on as they are.
Result<std::unique_ptr<TaskMetric>> MakeTaskMetric(const MeasurementPlan& plan, size_t count,
                                                   const LoadingPlan& loading);

}  // namespace pwl::harness

#endif  // PWL_HARNESS_TASK_METRIC_H_
