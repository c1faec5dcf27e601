#include "pwl/make_engine.h"

#include <cstdlib>

#include "runtime/guard.h"

#ifdef PWL_EXECUTORCH
#include "pwl/executorch_engine.h"
#endif
#ifdef PWL_LITERT
#include "pwl/litert_engine.h"
#endif

namespace pwl {
namespace {

using Made = Result<std::unique_ptr<Engine>>;

struct Entry {
  const char* backend;
  Made (*make)(const EngineOptions& options);
};

// The engines of this build: a line for each backend. It ends with a null.
constexpr Entry kEngines[] = {
#ifdef PWL_EXECUTORCH
    {"executorch",
     [](const EngineOptions& options) {
       return MakeExecuTorchEngine(options.threads, options.cache, options.favor);
     }},
#endif
#ifdef PWL_LITERT
    {"litert",
     [](const EngineOptions& options) {
       if (options.library.empty()) {
         return Made(Status(Code::kUsage, "LiteRT needs the path of libLiteRt.so"));
       }
       return MakeLiteRtEngine({options.library, options.threads, options.cache});
     }},
#endif
    {nullptr, nullptr},
};

Made Make(const std::string& backend, const EngineOptions& options) {
  std::string names;
  for (const Entry* entry = kEngines; entry->backend != nullptr; ++entry) {
    if (backend != entry->backend) {
      names += (names.empty() ? "" : ", ") + std::string(entry->backend);
      continue;
    }
    Made engine = entry->make(options);
    if (!engine.ok()) return engine;
    if (Status status = RequireVersion(**engine, backend, options.minimum_runtime); !status.ok()) {
      return status;
    }
    return engine;
  }
  return Status(Code::kUsage, "this build has no engine for " + backend + ", but for " + names);
}

}  // namespace

bool IsAtLeast(const std::string& version, const std::string& minimum) noexcept {
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

Status RequireVersion(const Engine& engine, const std::string& backend,
                      const std::string& minimum) {
  const std::string version = engine.Version();
  if (IsAtLeast(version, minimum)) return {};
  return {Code::kIncompatible,
          "the programs need " + backend + " " + minimum + ", this is " + version};
}

Result<std::unique_ptr<Engine>> MakeEngine(const std::string& backend,
                                           const EngineOptions& options) noexcept {
  return Guarded("making an engine failed", [&] { return Make(backend, options); });
}

}  // namespace pwl
