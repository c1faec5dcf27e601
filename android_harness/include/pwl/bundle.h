// Bundle: what to load, in which order, and where its files are.
//
// `python -m pipeline.build` writes loading.plan into every bundle: plain text, one directive a
// line, words separated by one space.
//
//   pwl-loading-plan 1
//   backend executorch
//   runtime 1.5.0                                          the oldest that can read the programs
//   threads 1                                              of one inference
//   favor accuracy                                         or memory
//   loaders 1                                              threads that load: 1, 2 or auto
//   input FLOATS                                           floats that the first program reads
//   classes COUNT                                          floats that the last program writes:
//                                                          one a class, or so many of each pixel
//   artifact ID PATH BYTES SHA256 FLOATS_IN FLOATS_OUT
//   stage INDEX ID...                                      artifact ids in execution order
//   end
//
// PATH is relative to the bundle. `runtime`, `favor` and `loaders` may be missing. `end` proves
// that nothing was cut off.
#ifndef PWL_BUNDLE_H_
#define PWL_BUNDLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pwl/engine.h"
#include "pwl/program_source.h"
#include "pwl/status.h"

namespace pwl {

// A program file and its place in a chain.
struct Artifact {
  std::string id;
  std::string path;  // relative to the bundle
  uint64_t bytes = 0;
  std::string sha256;
  size_t floats_in = 0;
  size_t floats_out = 0;
  bool in_first_stage = false;
};

struct LoadingPlan {
  std::string backend;
  std::string minimum_runtime;  // empty: any
  int threads = 1;
  Favor favor = Favor::kAccuracy;
  // Threads that load stages: 2 prepare the next stage while one is being made, unless memory is
  // favored. kAutoLoaders: 2 where this process may run on four processors or more.
  int loaders = 1;
  static constexpr int kAutoLoaders = 0;
  size_t floats_in = 0;
  size_t classes = 0;
  std::vector<Artifact> artifacts;
  // Per stage the indices into `artifacts`, in execution order; each chain fits together.
  std::vector<std::vector<size_t>> stages;
};

// Reads the text of a loading.plan. kInvalidPlan, with the line, for anything else; kRuntime when
// there is no memory. For every thread; throws nothing.
Result<LoadingPlan> ParseLoadingPlan(std::string_view text) noexcept;

// The files of a bundle, wherever they are. An app whose files lie in an APK or in packs that
// arrive later derives from it. Used by several threads at once, also by those that infer, and for
// as long as a model lives. It must not call the model. What it throws counts as a failure.
class BundleFiles {
 public:
  virtual ~BundleFiles() = default;

  // Opens the file that a plan calls `path`. kMissing where it is not there (yet), kDamaged for
  // what is no file, or kIo.
  virtual Result<ProgramSource> Open(const std::string& path) const = 0;
};

// The files of a folder. They must be replaced by a rename only (see program_source.h).
class FolderFiles final : public BundleFiles {
 public:
  explicit FolderFiles(std::string folder) : folder_(std::move(folder)) {}

  Result<ProgramSource> Open(const std::string& path) const override;
  const std::string& folder() const { return folder_; }

 private:
  const std::string folder_;
};

// A value that may be copied: copies share the files.
struct Bundle {
  LoadingPlan plan;
  std::shared_ptr<const BundleFiles> files;

  // Reads the loading.plan of a folder, or of files elsewhere. For every thread; blocks as long as
  // that takes, which is far less than loading a program; throws nothing. kMissing, kInvalidPlan,
  // or what opening gives.
  static Result<Bundle> Open(const std::string& folder) noexcept;
  static Result<Bundle> Open(std::shared_ptr<const BundleFiles> files) noexcept;

 private:
  static Result<Bundle> Read(std::shared_ptr<const BundleFiles> files);
};

}  // namespace pwl

#endif  // PWL_BUNDLE_H_
