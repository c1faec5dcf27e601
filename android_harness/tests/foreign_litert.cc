// A library that has all of LiteRT's functions by name, and does nothing in any of them.

#include "engines/litert/library.h"

namespace pwl::litert {

#define PWL_FOREIGN(name, result, parameters) \
  extern "C" result LiteRt##name parameters { return result(); }
PWL_LITERT_FUNCTIONS(PWL_FOREIGN)
#undef PWL_FOREIGN

extern "C" void LiteRtCreateModelFromFd() {}

}  // namespace pwl::litert
