#include "pwl/verified_files.h"

#include <fstream>
#include <utility>

#include "runtime/file_stamp.h"
#include "runtime/guard.h"

namespace pwl {
namespace {

constexpr char kStampFormat[] = "pwl-verified 2";
constexpr char kLastLine[] = "end";
// One line a file, and a file for each program that was ever installed: an app has dozens.
constexpr size_t kMost = 4096;

}  // namespace

VerifiedFiles::VerifiedFiles(std::string path) noexcept : path_(std::move(path)) {
  (void)Guarded("reading what is verified failed", [&] {
    seen_ = Read();
    return Status();
  });
}

std::map<std::string, std::string> VerifiedFiles::Read() const {
  std::ifstream file(path_);
  std::string line;
  if (!std::getline(file, line) || line != kStampFormat) return {};
  std::map<std::string, std::string> seen;
  while (std::getline(file, line) && line != kLastLine && seen.size() < kMost) {
    const size_t space = line.find(' ');
    if (space != 64) return {};
    seen.emplace(line.substr(space + 1), line.substr(0, space));
  }
  if (line != kLastLine) seen.clear();
  return seen;
}

bool VerifiedFiles::Knows(const ProgramSource& source, const std::string& sha256) const noexcept {
  bool known = false;
  (void)Guarded("looking up failed", [&] {
    const std::string stamp = FileStamp(source);
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = seen_.find(stamp);
    known = !stamp.empty() && found != seen_.end() && found->second == sha256;
    return Status();
  });
  return known;
}

void VerifiedFiles::Remember(const ProgramSource& source, const std::string& sha256) noexcept {
  (void)Guarded("remembering failed", [&] {
    const std::string stamp = FileStamp(source);
    if (stamp.empty()) return Status();
    const std::lock_guard<std::mutex> lock(mutex_);
    if (seen_.size() >= kMost) seen_.clear();
    seen_.insert_or_assign(stamp, sha256);
    changed_ = true;
    return Status();
  });
}

Status VerifiedFiles::Save() noexcept {
  Status status = Guarded("saving what is verified failed", [&] { return Write(); });
  if (!status.ok()) {
    const std::lock_guard<std::mutex> lock(mutex_);
    changed_ = true;
  }
  return status;
}

Status VerifiedFiles::Write() {
  std::string text = kStampFormat;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!changed_) return {};
    // What another object has saved meanwhile, as when a bundle is installed beside its model.
    std::map<std::string, std::string> saved = Read();
    if (seen_.size() + saved.size() <= kMost) seen_.merge(saved);
    for (const auto& [stamp, sha256] : seen_) text += "\n" + sha256 + " " + stamp;
    changed_ = false;
  }
  return ReplaceFile(path_, text + "\n" + kLastLine + "\n");
}

}  // namespace pwl
