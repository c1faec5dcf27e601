// parity: the logits of the golden inputs, all printed for the host to compare. The task fails
// where some are no numbers: nothing compares with those.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/answer.h"
#include "harness/data.h"
#include "harness/json_line.h"
#include "harness/label_maps.h"
#include "harness/programs.h"
#include "harness/stages.h"
#include "harness/tasks.h"
#include "pwl/make_engine.h"

namespace pwl::harness {

Status RunParity(const Options& options, const MeasurementPlan& plan, const Bundle& bundle) {
  const Result<Rows> inputs = ReadGoldenInputs(plan, bundle.plan.floats_in);
  if (!inputs.ok()) return inputs.status();
  const Result<std::unique_ptr<Engine>> engine = MakeEngineFor(bundle.plan, options);
  if (!engine.ok()) return engine.status();
  std::vector<float> logits;
  std::map<std::string, size_t> lost;  // by program: golden inputs whose logits are no numbers
  const auto print = [&](const std::string& name, size_t input) {
    // Those of label maps are too many to print.
    JsonLine("logits")
        .Add("name", name)
        .Add("input", input)
        .Add("logits", plan.label_maps ? Excerpt(logits) : logits)
        .Print();
    if (!AllFinite(logits)) ++lost[name];
  };
  const auto compute = [&](size_t stage, ProgressiveModel& model) -> Status {
    for (size_t i = 0; i < inputs->count(); ++i) {
      const Result<size_t> served = model.Infer(inputs->row(i), &logits);
      if (!served.ok()) return served.status();
      if (*served != stage) return {Code::kRuntime, "an inference ran on another stage"};
      print("stage-" + std::to_string(stage), i);
    }
    return {};
  };
  if (Status status = VisitStages(bundle, plan.verify, engine->get(), compute); !status.ok()) {
    return status;
  }
  for (const Arm& arm : plan.arms) {
    LoadTimes times;
    const Result<Chain> chain = LoadArm(plan, arm, engine->get(), &times);
    if (!chain.ok()) return chain.status();
    for (size_t i = 0; i < inputs->count(); ++i) {
      const Result<Floats> output = RunChain(*chain, inputs->row(i));
      if (!output.ok()) return output.status();
      logits.assign(output->data, output->data + output->size);
      print(arm.name, i);
    }
  }
  if (lost.empty()) return {};
  std::string faults;
  for (const auto& [name, count] : lost) {
    faults += "; " + name + ": logits of " + std::to_string(count) + " of " +
              std::to_string(inputs->count()) + " golden inputs hold NaN or infinity";
  }
  return {Code::kNotFinite, faults.substr(2)};
}

}  // namespace pwl::harness
