#include "runtime/loading.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#ifdef __ANDROID__
#include <linux/fs.h>  // RWF_NOWAIT, which bionic's <sys/uio.h> does not have
#endif

#include <memory>
#include <string>
#include <utility>

#include "runtime/clock.h"
#include "runtime/guard.h"
#include "runtime/sha256.h"

namespace pwl {
namespace {

Status Named(const Artifact& artifact, const Status& status) {
  return {status.code(), artifact.id + ": " + status.message()};
}

Status CheckSha256(const Artifact& artifact, const ProgramSource& source, VerifiedFiles* verified) {
  if (verified != nullptr && verified->Knows(source, artifact.sha256)) return {};
  const Result<std::string> digest = Sha256Of(source);
  if (!digest.ok()) return digest.status();
  if (*digest != artifact.sha256) {
    return {Code::kDamaged,
            "sha256 is " + digest->substr(0, 12) + ", should be " + artifact.sha256.substr(0, 12)};
  }
  if (verified != nullptr) verified->Remember(source, artifact.sha256);
  return {};
}

}  // namespace

bool LooksResident(const ProgramSource& source) {
#if defined(SYS_preadv2) && defined(RWF_NOWAIT)
  if (source.size() == 0) return false;
  for (const uint64_t place : {uint64_t{0}, source.size() - 1}) {
    const auto at = static_cast<off_t>(source.offset() + place);
    char byte = 0;
    iovec target{&byte, 1};
    // The C library of older Androids has no wrapper. A read that would have to wait fails.
    if (syscall(SYS_preadv2, source.descriptor(), &target, 1, at, 0, RWF_NOWAIT) != 1) return false;
  }
  return true;
#else
  (void)source;
  return false;
#endif
}

void Prefetch(const ProgramSource& source) noexcept {
  (void)posix_fadvise(source.descriptor(), static_cast<off_t>(source.offset()),
                      static_cast<off_t>(source.size()), POSIX_FADV_WILLNEED);
}

Result<ProgramSource> OpenArtifact(const BundleFiles& files, const Artifact& artifact,
                                   const Checks& checks, LoadTimes* times) {
  LoadTimes unused;
  if (times == nullptr) times = &unused;
  const int64_t begin = NowNs();
  Result<ProgramSource> source = files.Open(artifact.path);
  if (!source.ok()) return Named(artifact, source.status());
  if (source->size() != artifact.bytes) {
    return Named(artifact, {Code::kDamaged, std::to_string(source->size()) + " bytes, should be " +
                                                std::to_string(artifact.bytes)});
  }
  const int64_t located = NowNs();
  times->locate_ns += located - begin;
  if (checks.verify == Verify::kSha256) {
    const Status status = CheckSha256(artifact, *source, checks.verified);
    times->verify_ns += NowNs() - located;
    if (!status.ok()) return Named(artifact, status);
  }
  return source;
}

Status CheckArtifact(const BundleFiles& files, const Artifact& artifact, const Checks& checks,
                     LoadTimes* times) {
  return OpenArtifact(files, artifact, checks, times).status();
}

Result<std::shared_ptr<Program>> LoadArtifact(const BundleFiles& files, const Artifact& artifact,
                                              const Checks& checks, Engine* engine,
                                              LoadTimes* times) noexcept {
  return Guarded("loading failed", [&]() -> Result<std::shared_ptr<Program>> {
    const Result<ProgramSource> source = OpenArtifact(files, artifact, checks, times);
    if (!source.ok()) return source.status();
    const ProgramSpec spec{artifact.sha256, artifact.floats_in, artifact.floats_out,
                           artifact.in_first_stage};
    Result<std::unique_ptr<Program>> program =
        Guarded("the engine failed", [&] { return engine->Load(*source, spec, times); });
    if (!program.ok()) return Named(artifact, program.status());
    if (Status status = spec.Fits((*program)->floats_in(), (*program)->floats_out());
        !status.ok()) {
      return Named(artifact, status);
    }
    return std::shared_ptr<Program>(std::move(*program));
  });
}

}  // namespace pwl
