#include "pwl/loading.h"

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

#include "guard.h"
#include "pwl/clock.h"
#include "pwl/sha256.h"

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

bool LooksResident(const std::string& path) {
#if defined(SYS_preadv2) && defined(RWF_NOWAIT)
  const Result<ProgramSource> source = ProgramSource::Open(path);
  if (!source.ok() || source->size() == 0) return false;
  for (const off_t at : {off_t{0}, static_cast<off_t>(source->size() - 1)}) {
    char byte = 0;
    iovec target{&byte, 1};
    // The C library of older Androids has no wrapper. A read that would have to wait fails.
    if (syscall(SYS_preadv2, source->descriptor(), &target, 1, at, 0, RWF_NOWAIT) != 1)
      return false;
  }
  return true;
#else
  (void)path;
  return false;
#endif
}

void Prefetch(const std::string& path) noexcept {
  (void)Guarded("reading ahead failed", [&] {
    const Result<ProgramSource> source = ProgramSource::Open(path);
    if (source.ok()) (void)posix_fadvise(source->descriptor(), 0, 0, POSIX_FADV_WILLNEED);
    return source.status();
  });
}

Result<ProgramSource> OpenArtifact(const Artifact& artifact, const Checks& checks,
                                   LoadTimes* times) {
  LoadTimes unused;
  if (times == nullptr) times = &unused;
  const int64_t begin = NowNs();
  Result<ProgramSource> source = ProgramSource::Open(artifact.path);
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

Status CheckArtifact(const Artifact& artifact, const Checks& checks, LoadTimes* times) {
  return OpenArtifact(artifact, checks, times).status();
}

Result<std::shared_ptr<Program>> LoadArtifact(const Artifact& artifact, const Checks& checks,
                                              Engine* engine, LoadTimes* times) noexcept {
  return Guarded("loading failed", [&]() -> Result<std::shared_ptr<Program>> {
    const Result<ProgramSource> source = OpenArtifact(artifact, checks, times);
    if (!source.ok()) return source.status();
    const ProgramSpec spec{artifact.sha256, artifact.floats_in, artifact.floats_out};
    Result<std::unique_ptr<Program>> program =
        Guarded("the engine failed", [&] { return engine->LoadFrom(*source, spec, times); });
    if (!program.ok()) return Named(artifact, program.status());
    if (Status status = spec.Fits((*program)->floats_in(), (*program)->floats_out());
        !status.ok()) {
      return Named(artifact, status);
    }
    return std::shared_ptr<Program>(std::move(*program));
  });
}

}  // namespace pwl
