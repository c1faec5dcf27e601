// A bundle of files whose weights an engine packs that knows no inference library.
#ifndef PWL_TESTS_PACKED_BUNDLE_H_
#define PWL_TESTS_PACKED_BUNDLE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "pwl/bundle.h"
#include "pwl/engine.h"
#include "pwl/weight_cache.h"
#include "runtime/sha256.h"
#include "tests/temporary_folder.h"

namespace pwl {

// Packs what a program's file holds, a byte for each of it, as an engine packs weights.
class PackingEngine final : public Engine {
 public:
  explicit PackingEngine(WeightCache cache) : cache_(std::move(cache)) {}

  class OneFloat final : public Program {
   public:
    size_t floats_in() const override { return 1; }
    size_t floats_out() const override { return 1; }
    Result<Floats> Run(Floats input) override { return input; }
  };

  Result<std::unique_ptr<Program>> Load(const ProgramSource& source, const ProgramSpec& spec,
                                        LoadTimes*) override {
    ++loads_;
    if (before_open_) before_open_();
    CacheUse use = cache_.Open(spec.sha256, source.size());
    if (!use.path().empty() && !use.filled()) {
      std::ofstream(use.path()) << std::string(source.size() + extra_, 'w');
    }
    if (Status kept = use.Keep(); !kept.ok()) return kept;
    return std::unique_ptr<Program>(std::make_unique<OneFloat>());
  }

  std::string Name() const override { return "packing 1"; }
  std::string Version() const override { return "1"; }

  size_t extra_ = 0;
  std::function<void()> before_open_;
  std::atomic<int> loads_{0};

 private:
  const WeightCache cache_;
};

// Three units of 100, 300 and 200 bytes, each a stage of its own.
class PackedBundle : public testing::Test {
 protected:
  PackedBundle() : cache_{MadeFolder("caches"), "runtime"}, engine_(cache_) {
    MadeFolder("bundle");
    for (const size_t bytes : {100, 300, 200}) AddUnit(bytes);
  }

  std::string MadeFolder(const std::string& name) {
    const std::string path = folder_.path() + "/" + name;
    std::filesystem::create_directory(path);
    return path;
  }

  void AddUnit(size_t bytes) {
    const std::string path = folder_.Write("bundle/unit-" + std::to_string(bytes),
                                           std::string(bytes, static_cast<char>('a' + bytes % 7)));
    const std::string sha256 = *Sha256Of(*ProgramSource::Open(path));
    bundle_.plan.artifacts.push_back(
        {"unit", "unit-" + std::to_string(bytes), bytes, sha256, 1, 1});
    bundle_.plan.stages.push_back({bundle_.plan.artifacts.size() - 1});
    bundle_.files = std::make_shared<const FolderFiles>(folder_.path() + "/bundle");
  }

  const std::string& Sha256(size_t unit) const { return bundle_.plan.artifacts[unit].sha256; }
  bool HasCache(size_t unit) const { return !cache_.ExistingFileOf(Sha256(unit)).empty(); }

  TemporaryFolder folder_;
  WeightCache cache_;
  PackingEngine engine_;
  Bundle bundle_;
};

}  // namespace pwl

#endif  // PWL_TESTS_PACKED_BUNDLE_H_
