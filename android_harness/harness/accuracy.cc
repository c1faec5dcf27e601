// accuracy: what every stage says about the evaluation images.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "harness/data.h"
#include "harness/json_line.h"
#include "harness/stages.h"
#include "harness/tasks.h"
#include "pwl/make_engine.h"

namespace pwl::harness {

Status RunAccuracy(const Options& options, const Plan& plan) {
  const Result<Rows> inputs = ReadEvaluationInputs(plan);
  if (!inputs.ok()) return inputs.status();
  const Result<std::unique_ptr<Engine>> engine =
      MakeEngine(plan.backend, EngineOptionsOf(options, plan));
  if (!engine.ok()) return engine.status();
  const auto predict = [&](size_t stage, ProgressiveModel& model) -> Status {
    std::vector<int64_t> predictions;
    std::vector<float> logits;
    for (size_t i = 0; i < inputs->count(); ++i) {
      const Result<size_t> served = model.Infer(inputs->row(i), &logits);
      if (!served.ok()) return served.status();
      if (*served != stage) return {Code::kRuntime, "an inference ran on another stage"};
      predictions.push_back(std::max_element(logits.begin(), logits.end()) - logits.begin());
    }
    JsonLine("predictions").Add("stage", stage).Add("predictions", predictions).Print();
    return {};
  };
  return VisitStages(plan, engine->get(), predict);
}

}  // namespace pwl::harness
