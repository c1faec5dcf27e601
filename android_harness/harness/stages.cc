#include "harness/stages.h"

namespace pwl::harness {

Status VisitStages(const Plan& plan, Engine* engine,
                   const std::function<Status(size_t stage, ProgressiveModel& model)>& visit) {
  size_t allowed = 0;  // read by the loading thread only while this one waits for it
  ProgressiveOptions options{plan.verify, [&](size_t stage) { return stage <= allowed; }};
  auto started = ProgressiveModel::Start(plan, engine, std::move(options), nullptr, nullptr);
  if (!started.ok()) return started.status();
  ProgressiveModel& model = **started;
  for (size_t stage = 0; stage < model.stages(); ++stage) {
    allowed = stage;
    model.LoadInBackground();
    if (Status status = model.WaitForLoading(); !status.ok()) return status;
    if (Status status = visit(stage, model); !status.ok()) return status;
  }
  return {};
}

}  // namespace pwl::harness
