// The ExecuTorch engine: .pte programs on the XNNPACK delegate.
#ifndef PWL_EXECUTORCH_ENGINE_H_
#define PWL_EXECUTORCH_ENGINE_H_

#include <memory>

#include "pwl/engine.h"
#include "pwl/weight_cache.h"

namespace pwl {

// `threads` is how many threads a single inference uses. One: that which calls, and no other is
// made. More: ExecuTorch has one pool of them in a process, so kUsage while engines with another
// number above one live. Loading never uses more than the thread that calls Load. For every thread;
// blocks as long as making the threads takes; throws nothing.
//
// Programs that run in turns, such as those of a first stage, share one workspace in the process,
// and where memory is favored, all do: one of them runs at a time, and none while the weights of
// another one are being packed. Those with a weight cache never share one.
Result<std::unique_ptr<Engine>> MakeExecuTorchEngine(int threads, WeightCache cache = {},
                                                     Favor favor = Favor::kAccuracy) noexcept;

}  // namespace pwl

#endif  // PWL_EXECUTORCH_ENGINE_H_
