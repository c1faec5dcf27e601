#include "pwl/make_engine.h"

#include "pwl/executorch_engine.h"
#include "pwl/litert_engine.h"

namespace pwl {

Result<std::unique_ptr<Engine>> MakeEngine(const std::string& backend,
                                           const EngineOptions& options) {
  if (backend == "executorch") return MakeExecuTorchEngine(options.threads, options.cache);
  if (backend == "litert") {
    if (options.library.empty()) {
      return Status(Code::kUsage, "a LiteRT plan needs --library, the path of libLiteRt.so");
    }
    return MakeLiteRtEngine({options.library, options.threads, options.cache});
  }
  return Status(Code::kUsage, "no engine is called " + backend);
}

}  // namespace pwl
