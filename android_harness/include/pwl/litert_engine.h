// The LiteRT engine: .tflite programs on the XNNPACK delegate, through libLiteRt.so (2.1.6 or
// later).
#ifndef PWL_LITERT_ENGINE_H_
#define PWL_LITERT_ENGINE_H_

#include <memory>
#include <string>

#include "pwl/engine.h"
#include "pwl/weight_cache.h"

namespace pwl {

struct LiteRtOptions {
  std::string library = "libLiteRt.so";  // a path, or a name for the dynamic linker to find
  int threads = 1;                       // that a single inference uses
  WeightCache cache;
};

// kMissing where there is no such library, kIncompatible where it is another one or older. For
// every thread; blocks as long as loading the library takes; throws nothing.
Result<std::unique_ptr<Engine>> MakeLiteRtEngine(const LiteRtOptions& options) noexcept;

}  // namespace pwl

#endif  // PWL_LITERT_ENGINE_H_
