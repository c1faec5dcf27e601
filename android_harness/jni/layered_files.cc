#include "layered_files.h"

#include <utility>

namespace pwl::jni {

void LayeredFiles::AddFolder(std::string folder) {
  const std::lock_guard<std::mutex> lock(mutex_);
  folders_.push_back(std::move(folder));
}

Status LayeredFiles::AddSlice(std::string path, int descriptor, uint64_t offset, uint64_t length) {
  Result<ProgramSource> slice = ProgramSource::FromDescriptor(path, descriptor, offset, length);
  if (!slice.ok()) return slice.status();
  const std::lock_guard<std::mutex> lock(mutex_);
  slices_.insert_or_assign(std::move(path), std::move(*slice));
  return {};
}

Result<ProgramSource> LayeredFiles::Open(const std::string& path) const {
  std::vector<std::string> folders;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto found = slices_.find(path); found != slices_.end()) {
      const ProgramSource& slice = found->second;
      return ProgramSource::FromDescriptor(path, slice.descriptor(), slice.offset(), slice.size());
    }
    folders = folders_;
  }
  // Opened without the lock: storage may take its time.
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    Result<ProgramSource> file = ProgramSource::Open(*folder + "/" + path);
    if (file.ok() || file.status().code() != Code::kMissing) return file;
  }
  return Status(Code::kMissing, path +
                                    " is not there, or not yet: it is neither in the app nor in " +
                                    std::to_string(folders.size()) + " folders of packs");
}

}  // namespace pwl::jni
