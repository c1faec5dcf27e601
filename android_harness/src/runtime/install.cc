#include "pwl/install.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "pwl/weight_cache_builder.h"
#include "runtime/background.h"
#include "runtime/descriptor.h"
#include "runtime/file_stamp.h"
#include "runtime/guard.h"
#include "runtime/loading.h"
#include "runtime/program_order.h"
#include "runtime/stage.h"

namespace pwl {
namespace {

constexpr char kLock[] = "/install.lock";
// How often it is looked whether another install has ended.
constexpr auto kLook = std::chrono::milliseconds(50);

class Installation {
 public:
  Installation(const Bundle& bundle, Engine* engine, const InstallOptions& options)
      : bundle_(bundle), engine_(engine), options_(options) {}

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
    if (options_.verified != nullptr && options_.verified->Knows(*file, artifact.sha256)) {
      ++installed_.known;
      return {};
    }
    // One that is hashed at once after it was written is not remembered.
    if (options_.verified != nullptr) std::this_thread::sleep_for(UntilSettled(*file));
    const Checks checks{Verify::kSha256, options_.verified};
    Status status = CheckArtifact(*bundle_.files, artifact, checks, nullptr);
    if (status.ok()) ++installed_.hashed;
    return status;
  }

  Status BuildAll() {
    if (Status status = WaitForTurn(); !status.ok()) return status;
    const auto builder = WeightCacheBuilder::Make(bundle_, engine_, options_.cache, options_.quota,
                                                  options_.verified);
    if (!builder.ok()) return builder.status();
    for (size_t number = 0; number < order_.size(); ++number, ++step_.number) {
      if (Status status = Next(number); !status.ok()) return status;
      const auto outcome = (*builder)->Build(number);
      if (!outcome.ok()) {
        return {outcome.status().code(), WithPath(outcome.status(), program(number).path)};
      }
      if (*outcome == WeightCacheBuilder::Outcome::kBuilt) ++installed_.built;
      if (*outcome == WeightCacheBuilder::Outcome::kThere) ++installed_.there;
      if (*outcome == WeightCacheBuilder::Outcome::kWithout) ++installed_.without;
    }
    return {};
  }

  // Two that build at once would find each other's programs being built, and leave them out.
  Status WaitForTurn() {
    step_.packs = true;
    const std::string path = options_.cache.folder + kLock;
    turn_ = std::make_unique<Descriptor>(
        open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!turn_->valid()) return FileError(path);
    while (flock(turn_->get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return FileError(path);
      if (Status status = Next(0); !status.ok()) return status;
      std::this_thread::sleep_for(kLook);
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
  std::vector<size_t> order_;
  InstallStep step_;
  Installed installed_;
  std::unique_ptr<Descriptor> turn_;
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
