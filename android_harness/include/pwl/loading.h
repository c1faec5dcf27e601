// Loading one artefact: what is checked before and after the engine sees it.
#ifndef PWL_LOADING_H_
#define PWL_LOADING_H_

#include <memory>

#include "pwl/engine.h"
#include "pwl/plan.h"
#include "pwl/status.h"

namespace pwl {

// Loads an artefact that has the size, and by `verify` the sha256, that the plan says, and whose
// program reads and writes as many floats as the plan says. Messages begin with the artefact's id.
Result<std::shared_ptr<Program>> LoadArtefact(const Artefact& artefact, Verify verify,
                                              Engine* engine, LoadTimes* times);

}  // namespace pwl

#endif  // PWL_LOADING_H_
