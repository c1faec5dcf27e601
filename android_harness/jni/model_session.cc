#include "model_session.h"

#include <sys/resource.h>

#include <utility>

#include "pwl/make_engine.h"

namespace pwl::jni {
namespace {

// What Android calls THREAD_PRIORITY_BACKGROUND.
constexpr int kBackground = 10;

// Linux has a priority for each thread: 0 is the calling one. The inferring threads, which are the
// app's own, keep theirs.
void YieldToTheApp() { (void)setpriority(PRIO_PROCESS, 0, kBackground); }

}  // namespace

Status ModelSession::Start(const SessionOptions& options,
                           std::shared_ptr<JavaCallbacks> callbacks) {
  Result<Bundle> bundle = Bundle::Open(files_);
  if (!bundle.ok()) return bundle.status();
  plan_ = bundle->plan;
  EngineOptions wanted;
  wanted.threads = options.threads > 0 ? options.threads : plan_.threads;
  wanted.library = options.library;
  wanted.minimum_runtime = plan_.minimum_runtime;
  Result<std::unique_ptr<Engine>> engine = MakeEngine(plan_.backend, wanted);
  if (!engine.ok()) return engine.status();
  engine_ = std::move(*engine);
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
      std::move(*bundle), engine_.get(), std::move(progressive), callbacks_.get(), nullptr);
  if (!model.ok()) return model.status();
  model_ = std::move(*model);
  return {};
}

}  // namespace pwl::jni
