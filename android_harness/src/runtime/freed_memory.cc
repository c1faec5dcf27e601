#include "runtime/freed_memory.h"

#include <malloc.h>

namespace pwl {

void GiveBackFreedMemory() noexcept {
#if defined(M_PURGE)  // bionic's; systems before Android 9 refuse it
  (void)mallopt(M_PURGE, 0);
#elif defined(__GLIBC__)
  (void)malloc_trim(0);
#endif
}

}  // namespace pwl
