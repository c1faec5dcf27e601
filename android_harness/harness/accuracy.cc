// accuracy: what every stage says about the evaluation images. All of it is printed, also where the
// task fails in the end because some logits are no numbers.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/data.h"
#include "harness/stages.h"
#include "harness/task_metric.h"
#include "harness/tasks.h"
#include "pwl/make_engine.h"

namespace pwl::harness {

Status RunAccuracy(const Options& options, const MeasurementPlan& plan, const Bundle& bundle) {
  const Result<Rows> inputs = ReadEvaluationInputs(plan, bundle.plan.floats_in);
  if (!inputs.ok()) return inputs.status();
  const auto metric = MakeTaskMetric(plan, inputs->count(), bundle.plan);
  if (!metric.ok()) return metric.status();
  const Result<std::unique_ptr<Engine>> engine = MakeEngineFor(bundle.plan, options);
  if (!engine.ok()) return engine.status();
  const size_t asked = static_cast<size_t>(options.inferences);
  const size_t count = asked == 0 ? inputs->count() : std::min(asked, inputs->count());
  std::string faults;  // stages that lost answers, and how many
  const auto predict = [&](size_t stage, ProgressiveModel& model) -> Status {
    std::vector<float> logits;
    for (size_t image = 0; image < count; ++image) {
      const Result<size_t> served = model.Infer(inputs->row(image), &logits);
      if (!served.ok()) return served.status();
      if (*served != stage) return {Code::kRuntime, "an inference ran on another stage"};
      if (Status added = (*metric)->Add(stage, logits); !added.ok()) return added;
    }
    if (const int64_t lost = (*metric)->Print(stage); lost > 0) {
      faults += "; stage-" + std::to_string(stage) + ": logits of " + std::to_string(lost) +
                " of " + std::to_string(count) + " images hold NaN or infinity";
    }
    return {};
  };
  if (Status status = VisitStages(bundle, plan.verify, engine->get(), predict); !status.ok()) {
    return status;
  }
  if (!faults.empty()) return {Code::kNotFinite, faults.substr(2)};
  return {};
}

}  // namespace pwl::harness
