// Whether a library agrees with the declarations of library.h.
#ifndef PWL_SRC_ENGINES_LITERT_DECLARATIONS_H_
#define PWL_SRC_ENGINES_LITERT_DECLARATIONS_H_

#include "engines/litert/library.h"
#include "pwl/status.h"

namespace pwl::litert {

// Asks the library for what it understood, before a program is loaded: that it runs on a processor
// and logs nothing, what a tensor of known type and shape is and weighs, and what it calls a
// processor. A value, tag or structure that has changed since is an error here instead of wrong
// answers or a crash later. Takes some microseconds.
//
// @param environment Made with the options kAccelerators = kCpu and kMinimumSeverity = kSilent.
// @return kIncompatible with what has changed.
Status RequireDeclarations(const Library& library, Environment environment);

}  // namespace pwl::litert

#endif  // PWL_SRC_ENGINES_LITERT_DECLARATIONS_H_
