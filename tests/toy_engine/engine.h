// The engine of tests/toy_backend.py: a program is an affine map.
#ifndef PWL_TESTS_TOY_ENGINE_ENGINE_H_
#define PWL_TESTS_TOY_ENGINE_ENGINE_H_

#include <memory>

#include "pwl/engine.h"

namespace pwl {

Result<std::unique_ptr<Engine>> MakeToyEngine();

}  // namespace pwl

#endif  // PWL_TESTS_TOY_ENGINE_ENGINE_H_
