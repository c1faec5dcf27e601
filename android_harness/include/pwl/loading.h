// Loading one artefact: what is checked before and after the engine sees it.
#ifndef PWL_LOADING_H_
#define PWL_LOADING_H_

#include <memory>
#include <string>

#include "pwl/engine.h"
#include "pwl/plan.h"
#include "pwl/status.h"

namespace pwl {

// Whether the first and the last byte of a file are in the page cache, which costs microseconds to
// ask. False where the kernel does not say.
bool LooksResident(const std::string& path);

// Asks the kernel to read a file ahead, which takes the calling thread milliseconds for a large
// one. A hint: failures show later, when the file is loaded.
void Prefetch(const std::string& path);

// Checks that a file has the size, and by `verify` the sha256, that the plan says. Messages begin
// with the artefact's id. `times`, unless null, is told how long it took.
//
// The sha256 matters for more than right answers: ExecuTorch's own checks let some damaged programs
// through to XNNPACK, which crashes on them.
Status CheckArtefact(const Artefact& artefact, Verify verify, LoadTimes* times);

// Loads an artefact that has the size, and by `verify` the sha256, that the plan says, and whose
// program reads and writes as many floats as the plan says. Messages begin with the artefact's id.
Result<std::shared_ptr<Program>> LoadArtefact(const Artefact& artefact, Verify verify,
                                              Engine* engine, LoadTimes* times);

}  // namespace pwl

#endif  // PWL_LOADING_H_
