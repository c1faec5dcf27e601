#include "engines/litert/library.h"

#include <dlfcn.h>

namespace pwl::litert {

Result<std::unique_ptr<Library>> Library::Open(const std::string& path) {
  // Never closed: threads that the library started may still run in it.
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return Status(Code::kMissing, std::string("LiteRT: ") + dlerror());
  // Before 2.1.6 functions of the same names took no environment, and calling them crashes. This
  // one has been exported since that change.
  if (dlsym(handle, "LiteRtCreateModelFromFd") == nullptr) {
    return Status(Code::kIncompatible, path + " is no LiteRT of version " + kOldest + " or later");
  }
  auto library = std::make_unique<Library>();
  const char* missing = nullptr;
#define PWL_LITERT_FIND(name, result, parameters)                                        \
  library->name = reinterpret_cast<result(*) parameters>(dlsym(handle, "LiteRt" #name)); \
  if (library->name == nullptr) missing = "LiteRt" #name;
  PWL_LITERT_FUNCTIONS(PWL_LITERT_FIND)
#undef PWL_LITERT_FIND
  if (missing != nullptr) {
    return Status(Code::kIncompatible, path + " has no function " + missing);
  }
  return library;
}

}  // namespace pwl::litert
