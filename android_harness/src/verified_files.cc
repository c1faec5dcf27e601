#include "pwl/verified_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <utility>

namespace pwl {
namespace {

constexpr char kFirstLine[] = "pwl-verified 1";
constexpr char kLastLine[] = "end";
// Coarser than the clock that any file system keeps its times by.
constexpr int kSettledSeconds = 2;
// One line a file, and a file for each program that was ever installed: an app has dozens.
constexpr size_t kMost = 4096;

std::string IdentityOf(const struct stat& file) {
  char text[192];
  std::snprintf(text, sizeof text, "%llu %llu %lld %lld.%09ld %lld.%09ld",
                static_cast<unsigned long long>(file.st_dev),
                static_cast<unsigned long long>(file.st_ino), static_cast<long long>(file.st_size),
                static_cast<long long>(file.st_mtim.tv_sec), long{file.st_mtim.tv_nsec},
                static_cast<long long>(file.st_ctim.tv_sec), long{file.st_ctim.tv_nsec});
  return text;
}

}  // namespace

VerifiedFiles::VerifiedFiles(std::string path) : path_(std::move(path)) {
  std::ifstream file(path_);
  std::string line;
  if (!std::getline(file, line) || line != kFirstLine) return;
  std::map<std::string, std::string> seen;
  while (std::getline(file, line) && line != kLastLine && seen.size() < kMost) {
    const size_t space = line.find(' ');
    if (space != 64) return;
    seen.emplace(line.substr(space + 1), line.substr(0, space));
  }
  if (line == kLastLine) seen_ = std::move(seen);
}

bool VerifiedFiles::Knows(const ProgramSource& source, const std::string& sha256) const {
  const std::string identity = IdentityOf(source.identity());
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = seen_.find(identity);
  return found != seen_.end() && found->second == sha256;
}

void VerifiedFiles::Remember(const ProgramSource& source, const std::string& sha256) {
  if (source.Changed() || source.identity().st_ctim.tv_sec + kSettledSeconds > std::time(nullptr)) {
    return;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (seen_.size() >= kMost) seen_.clear();
  seen_[IdentityOf(source.identity())] = sha256;
  changed_ = true;
}

Status VerifiedFiles::Save() {
  std::string text = kFirstLine;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!changed_) return {};
    for (const auto& [identity, sha256] : seen_) text += "\n" + sha256 + " " + identity;
    changed_ = false;
  }
  text += std::string("\n") + kLastLine + "\n";
  const std::string partial = path_ + "." + std::to_string(getpid()) + ".part";
  const int file =
      open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  bool written = file >= 0;
  for (size_t at = 0; written && at < text.size();) {
    const ssize_t count = write(file, text.data() + at, text.size() - at);
    written = count > 0;
    if (written) at += static_cast<size_t>(count);
  }
  written = written && fsync(file) == 0;
  if (file >= 0) close(file);
  if (written && rename(partial.c_str(), path_.c_str()) == 0) return {};
  const Status failure = FileError(path_);
  unlink(partial.c_str());
  const std::lock_guard<std::mutex> lock(mutex_);
  changed_ = true;
  return failure;
}

}  // namespace pwl
