#include "pwl/progressive_model.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/guard.h"
#include "runtime/progressive_core.h"
#include "runtime/stage.h"

namespace pwl {
Result<std::unique_ptr<ProgressiveModel>> ProgressiveModel::Start(Bundle bundle, Engine* engine,
                                                                  ProgressiveOptions options,
                                                                  Observer* observer,
                                                                  StageLoad* load) noexcept {
  return Guarded("starting failed", [&]() -> Result<std::unique_ptr<ProgressiveModel>> {
    if (engine == nullptr) return Status(Code::kUsage, "a model needs an engine");
    if (bundle.files == nullptr) return Status(Code::kUsage, "the bundle has no files");
    if (Status status = RequireWholeStages(bundle.plan); !status.ok()) return status;
    auto core = std::make_shared<Core>(std::move(bundle), engine, std::move(options), observer);
    StageLoad first;
    if (Status status = core->LoadFirst(&first); !status.ok()) return status;
    if (load != nullptr) *load = first;
    return std::unique_ptr<ProgressiveModel>(new ProgressiveModel(std::move(core)));
  });
}

ProgressiveModel::ProgressiveModel(std::shared_ptr<Core> core) : core_(std::move(core)) {}

ProgressiveModel::~ProgressiveModel() { core_->Close(); }

void ProgressiveModel::LoadInBackground() noexcept { (void)LoadInBackground(stages() - 1); }

Status ProgressiveModel::LoadInBackground(size_t up_to) noexcept {
  return Guarded("loading failed", [&] { return core_->Begin(up_to, Core::Direction::kUp); });
}

Status ProgressiveModel::ReturnInBackground(size_t stage) noexcept {
  return Guarded("loading failed", [&] { return core_->Begin(stage, Core::Direction::kDown); });
}

void ProgressiveModel::CancelLoading() noexcept { core_->Cancel(); }

Status ProgressiveModel::WaitForLoading() noexcept { return WaitForLoading(kForever); }

Status ProgressiveModel::WaitForLoading(std::chrono::nanoseconds at_most) noexcept {
  return Guarded("waiting failed", [&] {
    return core_->Wait(std::min<std::chrono::nanoseconds>(at_most, kForever));
  });
}

Result<size_t> ProgressiveModel::Infer(Floats input, std::vector<float>* logits) noexcept {
  const std::shared_ptr<Core> core = core_;  // lives until the last inference is told of
  return Guarded("inference failed", [&] { return core->Infer(input, logits); });
}

size_t ProgressiveModel::active_stage() const noexcept { return core_->active_stage(); }

size_t ProgressiveModel::stages() const noexcept { return core_->stages(); }

}  // namespace pwl
