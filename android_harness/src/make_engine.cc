#include "pwl/make_engine.h"

#include <cstdlib>

#include "pwl/executorch_engine.h"
#include "pwl/litert_engine.h"

namespace pwl {
namespace {

Result<std::unique_ptr<Engine>> MakeAny(const std::string& backend, const EngineOptions& options) {
  if (backend == "executorch") return MakeExecuTorchEngine(options.threads, options.cache);
  if (backend == "litert") {
    if (options.library.empty()) {
      return Status(Code::kUsage, "a LiteRT plan needs --library, the path of libLiteRt.so");
    }
    return MakeLiteRtEngine({options.library, options.threads, options.cache});
  }
  return Status(Code::kUsage, "no engine is called " + backend);
}

}  // namespace

bool IsAtLeast(const std::string& version, const std::string& minimum) {
  const char* have = version.c_str();
  const char* want = minimum.c_str();
  while (*want != '\0') {
    char* rest = nullptr;
    const long wanted = std::strtol(want, &rest, 10);
    want = *rest == '.' ? rest + 1 : "";
    const long found = std::strtol(have, &rest, 10);  // 0 where there are no more
    have = *rest == '.' ? rest + 1 : "";
    if (found != wanted) return found > wanted;
  }
  return true;
}

Result<std::unique_ptr<Engine>> MakeEngine(const std::string& backend,
                                           const EngineOptions& options) {
  Result<std::unique_ptr<Engine>> engine = MakeAny(backend, options);
  if (engine.ok() && !IsAtLeast((*engine)->Version(), options.minimum_runtime)) {
    return Status(Code::kIncompatible, "the programs need " + backend + " " +
                                           options.minimum_runtime + ", this is " +
                                           (*engine)->Version());
  }
  return engine;
}

}  // namespace pwl
