// Engines by the name of the backend that plans give.
#ifndef PWL_MAKE_ENGINE_H_
#define PWL_MAKE_ENGINE_H_

#include <memory>
#include <string>

#include "pwl/engine.h"
#include "pwl/weight_cache.h"

namespace pwl {

struct EngineOptions {
  int threads = 1;      // that a single inference uses
  std::string library;  // of the engines that are loaded while the program runs: its path
  WeightCache cache;
  std::string minimum_runtime;     // the version that the programs ask for; empty: any
  Favor favor = Favor::kAccuracy;  // as the plan says
};

// Whether a version is the same as another or later. Both are numbers with dots between them.
// Throws nothing.
bool IsAtLeast(const std::string& version, const std::string& minimum) noexcept;

// kIncompatible when an engine is older than the programs of a backend ask for: what MakeEngine
// checks, for engines that it did not make. Throws std::bad_alloc at most.
Status RequireVersion(const Engine& engine, const std::string& backend, const std::string& minimum);

// The engine for the programs of a backend, as LoadingPlan::backend names it. For every thread;
// blocks as long as loading the inference library takes; throws nothing. kUsage when this build has
// none, kIncompatible when it is older than the programs ask for, or what the engine says.
Result<std::unique_ptr<Engine>> MakeEngine(const std::string& backend,
                                           const EngineOptions& options) noexcept;

}  // namespace pwl

#endif  // PWL_MAKE_ENGINE_H_
