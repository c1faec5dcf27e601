// What a ProgressiveModel of Kotlin owns: files, engine, model, and what they are told through.
#ifndef PWL_JNI_MODEL_SESSION_H_
#define PWL_JNI_MODEL_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "java_callbacks.h"
#include "layered_files.h"
#include "pwl/install.h"
#include "pwl/make_engine.h"
#include "pwl/progressive_model.h"
#include "pwl/weight_cache_builder.h"

namespace pwl::jni {

struct SessionOptions {
  int threads = 0;      // of one inference; 0: as many as the plan says
  std::string library;  // of LiteRT: a path, or a name for the dynamic linker
  bool verify = true;   // the sha256 of every file
  std::string stamps;   // the file that remembers which were verified; empty: none
};

// Used by one thread until Start has succeeded; then all but Use... and Start is safe for use from
// several.
class ModelSession {
 public:
  ModelSession() : files_(std::make_shared<LayeredFiles>()) {}
  // Waits as ProgressiveModel's destructor does.
  ~ModelSession() = default;
  ModelSession(const ModelSession&) = delete;
  ModelSession& operator=(const ModelSession&) = delete;

  LayeredFiles& files() { return *files_; }

  // Has programs loaded with the weight caches that are there, and BuildCache build others, within
  // a quota of bytes. The folder exists and belongs to the app alone.
  void UseCaches(std::string folder, std::string runtime, uint64_t quota);

  // An engine in place of those of this build.
  void UseEngine(std::unique_ptr<Engine> engine) { engine_ = std::move(engine); }

  // Reads the plan, makes the engine unless there is one, and loads stage 0.
  Status Start(const SessionOptions& options, std::shared_ptr<JavaCallbacks> callbacks);

  // In place of Start: checks all files and builds the weight caches that are missing. See
  // pwl::Install; `options.verify` counts for nothing.
  Result<Installed> Install(const SessionOptions& options,
                            std::function<bool(const InstallStep&)> may_go_on);

  ProgressiveModel& model() { return *model_; }
  const LoadingPlan& plan() const { return bundle_->plan; }

  // Makes ready for BuildCache, and gives the number of programs. kUsage where the session uses no
  // caches, and while somebody else is between this and EndCaches.
  Result<size_t> BeginCaches();

  // Builds the weight cache of a program (see WeightCacheBuilder) on the calling thread, which has
  // background priority from then on. kUsage without BeginCaches.
  Result<WeightCacheBuilder::Outcome> BuildCache(size_t program);

  // Gives back what BeginCaches has made.
  void EndCaches();

 private:
  Status MakeEngineFor(const LoadingPlan& plan, const SessionOptions& options);

  // In this order: the model uses what stands before it.
  const std::shared_ptr<LayeredFiles> files_;
  std::optional<Bundle> bundle_;
  std::optional<VerifiedFiles> verified_;
  EngineOptions engine_options_;
  std::unique_ptr<Engine> engine_;
  std::shared_ptr<JavaCallbacks> callbacks_;
  std::unique_ptr<ProgressiveModel> model_;

  uint64_t cache_quota_ = 0;
  std::mutex caches_mutex_;  // guards what follows
  std::unique_ptr<Engine> building_engine_;
  std::unique_ptr<WeightCacheBuilder> builder_;
};

}  // namespace pwl::jni

#endif  // PWL_JNI_MODEL_SESSION_H_
