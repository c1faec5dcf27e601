#include "harness/stages.h"

#include <chrono>

namespace pwl::harness {

Status VisitStages(const Bundle& bundle, Verify verify, Engine* engine,
                   const std::function<Status(size_t stage, ProgressiveModel& model)>& visit) {
  ProgressiveOptions options;
  options.verify = verify;
  options.wait_for_first_answer = std::chrono::nanoseconds(0);  // each is visited when it is there
  auto started = ProgressiveModel::Start(bundle, engine, std::move(options), nullptr, nullptr);
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
