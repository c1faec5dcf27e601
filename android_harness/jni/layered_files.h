// The files of a bundle that an app gets in several ways: with the APK, and in packs that arrive
// later.
#ifndef PWL_JNI_LAYERED_FILES_H_
#define PWL_JNI_LAYERED_FILES_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "pwl/bundle.h"

namespace pwl::jni {

// A file is looked for among the slices first, then in the folders, in the newest first: a pack
// that was delivered again counts more than the outdated one before it. Safe for use from several
// threads.
class LayeredFiles final : public BundleFiles {
 public:
  void AddFolder(std::string folder);

  // A file that lies stored in another, as an asset in an APK. The descriptor is duplicated.
  Status AddSlice(std::string path, int descriptor, uint64_t offset, uint64_t length);

  Result<ProgramSource> Open(const std::string& path) const override;

 private:
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, ProgramSource> slices_;
  std::vector<std::string> folders_;
};

}  // namespace pwl::jni

#endif  // PWL_JNI_LAYERED_FILES_H_
