#include "model_session.h"

#include <utility>

#include "runtime/background.h"

namespace pwl::jni {

void ModelSession::UseCaches(std::string folder, std::string runtime, uint64_t quota) {
  engine_options_.cache = {std::move(folder), std::move(runtime), /*build=*/false};
  cache_quota_ = quota;
}

Status ModelSession::Start(const SessionOptions& options,
                           std::shared_ptr<JavaCallbacks> callbacks) {
  Result<Bundle> bundle = Bundle::Open(files_);
  if (!bundle.ok()) return bundle.status();
  const LoadingPlan& plan = bundle_.emplace(std::move(*bundle)).plan;
  if (Status status = MakeEngineFor(plan, options); !status.ok()) return status;
  callbacks_ = std::move(callbacks);

  ProgressiveOptions progressive;
  progressive.verify = options.verify ? Verify::kSha256 : Verify::kSize;
  if (options.verify && !options.stamps.empty()) {
    progressive.verified = &verified_.emplace(options.stamps);
  }
  // Shared, because a function of the app that blocks is not waited for: it returns to a thread
  // whose session may be gone.
  progressive.may_load = [asked = callbacks_](size_t stage) {
    TakeBackgroundPriority();
    return asked->MayLoad(stage);
  };
  Result<std::unique_ptr<ProgressiveModel>> model = ProgressiveModel::Start(
      *bundle_, engine_.get(), std::move(progressive), callbacks_.get(), nullptr);
  if (!model.ok()) return model.status();
  model_ = std::move(*model);
  return {};
}

Result<Installed> ModelSession::Install(const SessionOptions& options,
                                        std::function<bool(const InstallStep&)> may_go_on) {
  Result<Bundle> bundle = Bundle::Open(files_);
  if (!bundle.ok()) return bundle.status();
  engine_options_.cache.build = true;
  if (engine_options_.cache.enabled()) {
    if (Status status = MakeEngineFor(bundle->plan, options); !status.ok()) return status;
  }
  InstallOptions install;
  if (!options.stamps.empty()) install.verified = &verified_.emplace(options.stamps);
  install.cache = engine_options_.cache;
  install.quota = cache_quota_;
  install.may_go_on = std::move(may_go_on);
  return pwl::Install(*bundle, engine_.get(), install);
}

Status ModelSession::MakeEngineFor(const LoadingPlan& plan, const SessionOptions& options) {
  engine_options_.threads = options.threads > 0 ? options.threads : plan.threads;
  engine_options_.library = options.library;
  engine_options_.minimum_runtime = plan.minimum_runtime;
  engine_options_.favor = plan.favor;
  if (engine_ != nullptr) return RequireVersion(*engine_, plan.backend, plan.minimum_runtime);
  Result<std::unique_ptr<Engine>> engine = MakeEngine(plan.backend, engine_options_);
  if (!engine.ok()) return engine.status();
  engine_ = std::move(*engine);
  return {};
}

Result<size_t> ModelSession::BeginCaches() {
  if (!engine_options_.cache.enabled()) return Status(Code::kUsage, "the model has no caches");
  const std::lock_guard<std::mutex> lock(caches_mutex_);
  if (builder_ != nullptr) return Status(Code::kUsage, "caches are being built already");
  EngineOptions options = engine_options_;
  options.cache.build = true;
  Result<std::unique_ptr<Engine>> engine = MakeEngine(plan().backend, options);
  if (!engine.ok()) return engine.status();
  Result<std::unique_ptr<WeightCacheBuilder>> builder = WeightCacheBuilder::Make(
      *bundle_, engine->get(), options.cache, cache_quota_, verified_ ? &*verified_ : nullptr);
  if (!builder.ok()) return builder.status();
  building_engine_ = std::move(*engine);
  builder_ = std::move(*builder);
  return builder_->programs();
}

Result<WeightCacheBuilder::Outcome> ModelSession::BuildCache(size_t program) {
  TakeBackgroundPriority();
  const std::lock_guard<std::mutex> lock(caches_mutex_);
  if (builder_ == nullptr) return Status(Code::kUsage, "no caches are being built");
  return builder_->Build(program);
}

void ModelSession::EndCaches() {
  const std::lock_guard<std::mutex> lock(caches_mutex_);
  builder_.reset();
  building_engine_.reset();
}

}  // namespace pwl::jni
