#include "pwl/loading.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "pwl/clock.h"
#include "pwl/sha256.h"

namespace pwl {
namespace {

Status Locate(const Artefact& artefact) {
  struct stat found{};
  if (stat(artefact.path.c_str(), &found) != 0) {
    const Status status = FileError(artefact.path);
    return {status.code(), artefact.id + ": " + status.message()};
  }
  if (!S_ISREG(found.st_mode)) {
    return {Code::kDamaged, artefact.id + ": " + artefact.path + " is no file"};
  }
  if (static_cast<uint64_t>(found.st_size) != artefact.bytes) {
    return {Code::kDamaged, artefact.id + ": " + std::to_string(found.st_size) +
                                " bytes, should be " + std::to_string(artefact.bytes)};
  }
  return {};
}

Status CheckSha256(const Artefact& artefact) {
  const Result<std::string> digest = Sha256OfFile(artefact.path);
  if (!digest.ok()) return {digest.status().code(), artefact.id + ": " + digest.status().message()};
  if (*digest != artefact.sha256) {
    return {Code::kDamaged, artefact.id + ": sha256 is " + digest->substr(0, 12) + ", should be " +
                                artefact.sha256.substr(0, 12)};
  }
  return {};
}

}  // namespace

bool LooksResident(const std::string& path) {
#if defined(SYS_preadv2) && defined(RWF_NOWAIT)
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const off_t end = lseek(file, 0, SEEK_END);
  bool resident = end > 0;
  for (const off_t at : {off_t{0}, end - 1}) {
    char byte = 0;
    iovec target{&byte, 1};
    // The C library of older Androids has no wrapper. A read that would have to wait fails.
    if (resident) resident = syscall(SYS_preadv2, file, &target, 1, at, 0, RWF_NOWAIT) == 1;
  }
  close(file);
  return resident;
#else
  (void)path;
  return false;
#endif
}

void Prefetch(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  (void)posix_fadvise(file, 0, 0, POSIX_FADV_WILLNEED);
  close(file);
}

Status CheckArtefact(const Artefact& artefact, Verify verify, LoadTimes* times) {
  LoadTimes unused;
  if (times == nullptr) times = &unused;
  const int64_t begin = NowNs();
  if (Status status = Locate(artefact); !status.ok()) return status;
  const int64_t located = NowNs();
  times->locate_ns += located - begin;
  if (verify == Verify::kSize) return {};
  const Status status = CheckSha256(artefact);
  times->verify_ns += NowNs() - located;
  return status;
}

Result<std::shared_ptr<Program>> LoadArtefact(const Artefact& artefact, Verify verify,
                                              Engine* engine, LoadTimes* times) {
  if (Status status = CheckArtefact(artefact, verify, times); !status.ok()) return status;
  Result<std::unique_ptr<Program>> program = engine->Load(artefact.path, artefact.sha256, times);
  if (!program.ok()) {
    return Status(program.status().code(), artefact.id + ": " + program.status().message());
  }
  if ((*program)->floats_in() != artefact.floats_in ||
      (*program)->floats_out() != artefact.floats_out) {
    return Status(Code::kIncompatible,
                  artefact.id + ": reads " + std::to_string((*program)->floats_in()) +
                      " and writes " + std::to_string((*program)->floats_out()) +
                      " floats, should be " + std::to_string(artefact.floats_in) + " and " +
                      std::to_string(artefact.floats_out));
  }
  return std::shared_ptr<Program>(std::move(*program));
}

}  // namespace pwl
