// The ExecuTorch engine: .pte programs on the XNNPACK delegate.
#ifndef PWL_EXECUTORCH_ENGINE_H_
#define PWL_EXECUTORCH_ENGINE_H_

#include <memory>

#include "pwl/engine.h"
#include "pwl/weight_cache.h"

namespace pwl {

// `threads` is how many threads a single inference uses, in the whole process: ExecuTorch has one
// pool. Loading never uses more than the thread that calls Load.
Result<std::unique_ptr<Engine>> MakeExecuTorchEngine(int threads, WeightCache cache = {});

}  // namespace pwl

#endif  // PWL_EXECUTORCH_ENGINE_H_
