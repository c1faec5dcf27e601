#include "tests/free_space.h"

#include <dlfcn.h>
#include <sys/statvfs.h>

#include <atomic>
#include <cstdint>

namespace pwl {
namespace {

std::atomic<bool> pretending{false};

}  // namespace

PretendedFreeSpace::PretendedFreeSpace() { pretending = true; }
PretendedFreeSpace::~PretendedFreeSpace() { pretending = false; }

}  // namespace pwl

// Of the program as a whole, before the C library's.
extern "C" int statvfs(const char* path, struct statvfs* found) noexcept {
  using Function = int (*)(const char*, struct statvfs*);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "statvfs"));
  const int result = real(path, found);
  if (pwl::pretending) {
    found->f_frsize = 4096;
    found->f_bavail = (uint64_t{1} << 40) / found->f_frsize;
  }
  return result;
}
