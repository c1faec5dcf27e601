#include "pwl/verified_files.h"

#include <fstream>
#include <utility>

#include "runtime/file_stamp.h"

namespace pwl {
namespace {

constexpr char kFirstLine[] = "pwl-verified 2";
constexpr char kLastLine[] = "end";
// One line a file, and a file for each program that was ever installed: an app has dozens.
constexpr size_t kMost = 4096;

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
  const std::string stamp = FileStamp(source);
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = seen_.find(stamp);
  return !stamp.empty() && found != seen_.end() && found->second == sha256;
}

void VerifiedFiles::Remember(const ProgramSource& source, const std::string& sha256) {
  const std::string stamp = FileStamp(source);
  if (stamp.empty()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (seen_.size() >= kMost) seen_.clear();
  seen_[stamp] = sha256;
  changed_ = true;
}

Status VerifiedFiles::Save() {
  std::string text = kFirstLine;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!changed_) return {};
    for (const auto& [stamp, sha256] : seen_) text += "\n" + sha256 + " " + stamp;
    changed_ = false;
  }
  const Status status = ReplaceFile(path_, text + "\n" + kLastLine + "\n");
  if (status.ok()) return status;
  const std::lock_guard<std::mutex> lock(mutex_);
  changed_ = true;
  return status;
}

}  // namespace pwl
