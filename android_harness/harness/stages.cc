#include "harness/stages.h"

namespace pwl::harness {

Status VisitStages(const Plan& plan, Engine* engine,
                   const std::function<Status(size_t stage, ProgressiveModel& model)>& visit) {
  ProgressiveOptions options;
  options.verify = plan.verify;
  auto started = ProgressiveModel::Start(plan, engine, std::move(options), nullptr, nullptr);
  if (!started.ok()) return started.status();
  ProgressiveModel& model = **started;
  for (size_t stage = 0; stage < model.stages(); ++stage) {
    if (Status status = model.LoadInBackground(stage); !status.ok()) return status;
    if (Status status = model.WaitForLoading(); !status.ok()) return status;
    if (Status status = visit(stage, model); !status.ok()) return status;
  }
  return {};
}

}  // namespace pwl::harness
