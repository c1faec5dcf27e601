// Kernels for what programs run outside of the delegate: lookups of tokens, and nothing else.
#ifndef PWL_SRC_ENGINES_EXECUTORCH_LOOKUP_KERNELS_H_
#define PWL_SRC_ENGINES_EXECUTORCH_LOOKUP_KERNELS_H_

#include <executorch/runtime/kernel/operator_registry.h>

#include <vector>

namespace pwl {

// For one program each. They are not registered in the process, where an app may have kernels of
// the same names, and where a name registered twice ends the process.
std::vector<executorch::runtime::Kernel> LookupKernels();

}  // namespace pwl

#endif  // PWL_SRC_ENGINES_EXECUTORCH_LOOKUP_KERNELS_H_
