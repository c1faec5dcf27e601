#include "pwl/install.h"

#include <pthread.h>

#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "pwl/weight_cache_builder.h"
#include "runtime/background.h"
#include "runtime/file_stamp.h"
#include "runtime/guard.h"
#include "runtime/loading.h"
#include "runtime/program_order.h"
#include "runtime/stage.h"

namespace pwl {
namespace {

// How often it is looked whether whoever builds in the same folder is done.
constexpr auto kLook = std::chrono::milliseconds(50);

class Installation {
 public:
  Installation(const Bundle& bundle, Engine* engine, const InstallOptions& options)
      : bundle_(bundle),
        engine_(engine),
        options_(options),
        verified_(options.verified == nullptr ? &forgotten_ : options.verified) {}

  Result<Installed> Run() {
    if (bundle_.files == nullptr) return Status(Code::kUsage, "the bundle has no files");
    if (Status status = RequireWholeStages(bundle_.plan); !status.ok()) return status;
    if (builds() && engine_ == nullptr) {
      return Status(Code::kUsage, "caches need an engine that builds them");
    }
    order_ = ProgramOrder(bundle_.plan);
    step_.steps = order_.size() * (builds() ? 2 : 1);
    Status status = CheckAll();
    if (options_.verified != nullptr) {
      // Also of what ended early: the next install goes on from there.
      Status saved = options_.verified->Save();
      if (status.ok()) status = std::move(saved);
    }
    if (status.ok() && builds()) status = BuildAll();
    if (!status.ok()) return status;
    return installed_;
  }

 private:
  bool builds() const { return options_.cache.enabled(); }
  const Artifact& program(size_t number) const { return bundle_.plan.artifacts[order_[number]]; }

  bool MayGoOn() const { return !options_.may_go_on || options_.may_go_on(step_); }

  Status Next(size_t number) {
    step_.path = program(number).path;
    return MayGoOn() ? Status() : Status(Code::kCancelled, "installing was cancelled");
  }

  Status CheckAll() {
    Status failed;
    for (size_t number = 0; number < order_.size(); ++number, ++step_.number) {
      if (Status status = Next(number); !status.ok()) return status;
      const Status status = Check(program(number));
      if (status.ok()) continue;
      const std::string before = failed.ok() ? "" : failed.message() + "; ";
      failed = {failed.ok() ? status.code() : failed.code(),
                before + WithPath(status, program(number).path)};
    }
    return failed;
  }

  Status Check(const Artifact& artifact) {
    const Result<ProgramSource> file =
        OpenArtifact(*bundle_.files, artifact, Verify::kSize, nullptr);
    if (!file.ok()) return file.status();
    if (verified_->Knows(*file, artifact.sha256)) {
      ++installed_.known;
      return {};
    }
    // One that is hashed at once after it was written is not remembered.
    if (options_.verified != nullptr) std::this_thread::sleep_for(UntilSettled(*file));
    const Checks checks{Verify::kSha256, verified_};
    Status status = CheckArtifact(*bundle_.files, artifact, checks, nullptr);
    if (status.ok()) ++installed_.hashed;
    return status;
  }

  Status BuildAll() {
    using Outcome = WeightCacheBuilder::Outcome;
    step_.packs = true;
    const auto builder =
        WeightCacheBuilder::Make(bundle_, engine_, options_.cache, options_.quota, verified_);
    if (!builder.ok()) return builder.status();
    for (size_t number = 0; number < order_.size();) {
      if (Status status = Next(number); !status.ok()) return status;
      const auto outcome = (*builder)->Build(number);
      if (!outcome.ok()) {
        return {outcome.status().code(), WithPath(outcome.status(), program(number).path)};
      }
      if (*outcome == Outcome::kBusy) {
        std::this_thread::sleep_for(kLook);
        continue;
      }
      if (*outcome == Outcome::kBuilt) ++installed_.built;
      if (*outcome == Outcome::kThere) ++installed_.there;
      if (*outcome == Outcome::kWithout) ++installed_.without;
      ++number, ++step_.number;
    }
    return {};
  }

  static std::string WithPath(const Status& status, const std::string& path) {
    const bool named = status.message().find(path) != std::string::npos;
    return named ? status.message() : status.message() + " (" + path + ")";
  }

  const Bundle& bundle_;
  Engine* const engine_;
  const InstallOptions& options_;
  VerifiedFiles forgotten_{""};  // what was checked, where it is not to be remembered
  VerifiedFiles* const verified_;
  std::vector<size_t> order_;
  InstallStep step_;
  Installed installed_;
};

}  // namespace

Result<Installed> Install(const Bundle& bundle, Engine* engine,
                          const InstallOptions& options) noexcept {
  return Guarded("installing failed", [&]() -> Result<Installed> {
    Result<Installed> result = Status();
    std::thread worker([&] {
      TakeBackgroundPriority();
      result =
          Guarded("installing failed", [&] { return Installation(bundle, engine, options).Run(); });
    });
    (void)pthread_setname_np(worker.native_handle(), "pwl-install");
    worker.join();
    return result;
  });
}

}  // namespace pwl
