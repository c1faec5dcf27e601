// What a ProgressiveModel of Kotlin owns: files, engine, model, and what they are told through.
#ifndef PWL_JNI_MODEL_SESSION_H_
#define PWL_JNI_MODEL_SESSION_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "java_callbacks.h"
#include "layered_files.h"
#include "pwl/progressive_model.h"

namespace pwl::jni {

struct SessionOptions {
  int threads = 0;      // of one inference; 0: as many as the plan says
  std::string library;  // of LiteRT: a path, or a name for the dynamic linker
  bool verify = true;   // the sha256 of every file
  std::string stamps;   // the file that remembers which were verified; empty: none
};

// Used by one thread until Start has succeeded; then model() is safe for use from all.
class ModelSession {
 public:
  ModelSession() : files_(std::make_shared<LayeredFiles>()) {}
  // Waits as ProgressiveModel's destructor does.
  ~ModelSession() = default;
  ModelSession(const ModelSession&) = delete;
  ModelSession& operator=(const ModelSession&) = delete;

  LayeredFiles& files() { return *files_; }

  // Reads the plan, makes the engine, and loads stage 0.
  Status Start(const SessionOptions& options, std::shared_ptr<JavaCallbacks> callbacks);

  ProgressiveModel& model() { return *model_; }
  // Null before Start.
  bool started() const { return model_ != nullptr; }
  const LoadingPlan& plan() const { return plan_; }

 private:
  // In this order: the model uses what stands before it.
  const std::shared_ptr<LayeredFiles> files_;
  LoadingPlan plan_;
  std::optional<VerifiedFiles> verified_;
  std::unique_ptr<Engine> engine_;
  std::shared_ptr<JavaCallbacks> callbacks_;
  std::unique_ptr<ProgressiveModel> model_;
};

}  // namespace pwl::jni

#endif  // PWL_JNI_MODEL_SESSION_H_
