#include "model_session.h"

#include <sys/resource.h>

#include <utility>

namespace pwl::jni {
namespace {

// What Android calls THREAD_PRIORITY_BACKGROUND.
constexpr int kBackground = 10;

// Linux has a priority for each thread: 0 is the calling one. The inferring threads, which are the
// app's own, keep theirs.
void YieldToTheApp() { (void)setpriority(PRIO_PROCESS, 0, kBackground); }

}  // namespace

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
    YieldToTheApp();
    return asked->MayLoad(stage);
  };
  Result<std::unique_ptr<ProgressiveModel>> model = ProgressiveModel::Start(
      *bundle_, engine_.get(), std::move(progressive), callbacks_.get(), nullptr);
  if (!model.ok()) return model.status();
  model_ = std::move(*model);
  return {};
}

Status ModelSession::MakeEngineFor(const LoadingPlan& plan, const SessionOptions& options) {
  engine_options_.threads = options.threads > 0 ? options.threads : plan.threads;
  engine_options_.library = options.library;
  engine_options_.minimum_runtime = plan.minimum_runtime;
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
  YieldToTheApp();
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
