// The ExecuTorch engine: .pte programs on the XNNPACK delegate.
#ifndef PWL_EXECUTORCH_ENGINE_H_
#define PWL_EXECUTORCH_ENGINE_H_

#include <memory>

#include "pwl/engine.h"
#include "pwl/weight_cache.h"

namespace pwl {

// `threads` is how many threads a single inference uses, in the whole process: ExecuTorch has one
// pool. Loading never uses more than the thread that calls Load. kUsage while engines with another
// number live. For every thread; blocks as long as making the threads takes; throws nothing.
Result<std::unique_ptr<Engine>> MakeExecuTorchEngine(int threads, WeightCache cache = {}) noexcept;

}  // namespace pwl

#endif  // PWL_EXECUTORCH_ENGINE_H_
