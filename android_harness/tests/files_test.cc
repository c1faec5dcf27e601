// Files: opened once, remembered when verified, caches built apart and believed only when whole.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "pwl/program_source.h"
#include "pwl/verified_files.h"
#include "pwl/weight_cache.h"
#include "runtime/loading.h"
#include "runtime/sha256.h"
#include "tests/fake_engine.h"
#include "tests/temporary_folder.h"

namespace pwl {
namespace {

namespace fs = std::filesystem;

std::string DigestOf(const std::string& text) {
  Sha256 digest;
  digest.Update(text.data(), text.size());
  return digest.Finish();
}

std::string Text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Makes a file look as if it had been written some time ago, which its stamp asks for.
void Settle() { usleep(150000); }

Artifact Described(const std::string& name, const std::string& text) {
  Artifact artifact;
  artifact.id = "unit";
  artifact.path = name;
  artifact.bytes = text.size();
  artifact.sha256 = DigestOf(text);
  artifact.floats_in = artifact.floats_out = 1;
  return artifact;
}

TEST(ProgramSource, OpensWhatIsAFileAndNothingElse) {
  const TemporaryFolder folder;
  const std::string fifo = folder.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(ProgramSource::Open(fifo).status().code(), Code::kDamaged);  // and does not hang
  EXPECT_EQ(ProgramSource::Open(folder.path()).status().code(), Code::kDamaged);
  EXPECT_EQ(ProgramSource::Open("/dev/null").status().code(), Code::kDamaged);
  EXPECT_EQ(ProgramSource::Open(folder.path() + "/none").status().code(), Code::kMissing);
  EXPECT_TRUE(ProgramSource::Open(folder.Write("file", "")).ok());
}

TEST(ProgramSource, StaysTheFileThatItWasWhenAnotherGetsItsName) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("file", "before");
  const auto source = ProgramSource::Open(path);
  ASSERT_TRUE(source.ok());
  fs::rename(folder.Write("other", "behind"), path);
  EXPECT_EQ(*Sha256Of(*source), DigestOf("before"));
}

TEST(ProgramSource, SeesThatItsFileIsChangedInPlace) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("file", "before");
  const auto source = ProgramSource::Open(path);
  ASSERT_TRUE(source.ok());
  EXPECT_FALSE(source->Changed());
  fs::resize_file(path, 3);
  EXPECT_TRUE(source->Changed());
  char buffer[6];
  EXPECT_EQ(source->Read(0, buffer, 6).code(), Code::kDamaged);
}

TEST(ProgramSource, IsAPartOfAFileWhereItIsToldSo) {
  const TemporaryFolder folder;
  const auto file = ProgramSource::Open(folder.Write("apk", "before|asset|behind"));
  ASSERT_TRUE(file.ok());
  auto asset = ProgramSource::FromDescriptor("asset", file->descriptor(), 7, 5);
  ASSERT_TRUE(asset.ok());
  EXPECT_NE(asset->descriptor(), file->descriptor());
  EXPECT_EQ(asset->size(), 5u);
  EXPECT_EQ(*Sha256Of(*asset), DigestOf("asset"));
  char buffer[6];
  EXPECT_EQ(asset->Read(0, buffer, 6).code(), Code::kDamaged);
  EXPECT_EQ(asset->Read(UINT64_MAX, buffer, 2).code(), Code::kDamaged);
  const auto wrong = ProgramSource::FromDescriptor("asset", file->descriptor(), 7, 13);
  EXPECT_EQ(wrong.status().code(), Code::kDamaged);
  EXPECT_EQ(ProgramSource::FromDescriptor("asset", -1, 0, 1).status().code(), Code::kIo);
}

TEST(LoadingAnArtifact, LoadsTheVeryFileThatItChecked) {
  // An engine that has another file put in its place just before it reads.
  class Swapper : public FakeEngine {
   public:
    Result<std::unique_ptr<Program>> Load(const ProgramSource& source, const ProgramSpec& spec,
                                          LoadTimes*) override {
      std::ofstream(source.path() + ".new") << "another";
      fs::rename(source.path() + ".new", source.path());
      read = *Sha256Of(source);
      wanted = spec.sha256;
      return Status(Code::kIncompatible, "seen enough");
    }
    std::string read;
    std::string wanted;
  };
  const TemporaryFolder folder;
  Swapper engine;
  LoadTimes times;
  folder.Write("unit-1", "program");
  const Artifact artifact = Described("unit-1", "program");
  (void)LoadArtifact(FolderFiles(folder.path()), artifact, Verify::kSha256, &engine, &times);
  EXPECT_EQ(engine.read, artifact.sha256);
  EXPECT_EQ(engine.wanted, artifact.sha256);
}

TEST(VerifiedFiles, AreNotHashedAgainUntilTheyChange) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("unit-1", "program");
  const std::string stamps = folder.path() + "/verified";
  Settle();
  const Artifact artifact = Described("unit-1", "program");
  const FolderFiles files(folder.path());
  {
    VerifiedFiles verified(stamps);
    EXPECT_FALSE(verified.Knows(*ProgramSource::Open(path), artifact.sha256));
    EXPECT_TRUE(CheckArtifact(files, artifact, {Verify::kSha256, &verified}, nullptr).ok());
    ASSERT_TRUE(verified.Save().ok());
  }
  VerifiedFiles verified(stamps);
  EXPECT_TRUE(verified.Knows(*ProgramSource::Open(path), artifact.sha256));
  EXPECT_FALSE(verified.Knows(*ProgramSource::Open(path), DigestOf("other")));
  // The same size, and the time of modification put back as it was.
  struct stat before{};
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  std::ofstream(path) << "Program";
  const timespec times[] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  EXPECT_FALSE(verified.Knows(*ProgramSource::Open(path), artifact.sha256));
  EXPECT_EQ(CheckArtifact(files, artifact, {Verify::kSha256, &verified}, nullptr).code(),
            Code::kDamaged);
}

TEST(VerifiedFiles, AreToldFromOtherPartsOfTheSameFile) {
  const TemporaryFolder folder;
  const auto file = ProgramSource::Open(folder.Write("apk", "one two"));
  Settle();
  const auto one = ProgramSource::FromDescriptor("one", file->descriptor(), 0, 3);
  const auto two = ProgramSource::FromDescriptor("two", file->descriptor(), 4, 3);
  VerifiedFiles verified(folder.path() + "/verified");
  verified.Remember(*one, DigestOf("one"));
  EXPECT_TRUE(verified.Knows(*one, DigestOf("one")));
  EXPECT_FALSE(verified.Knows(*two, DigestOf("one")));
}

TEST(VerifiedFiles, DoNotCountWhenTheyWereWrittenJustNow) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("unit-1", "program");
  VerifiedFiles verified(folder.path() + "/verified");
  verified.Remember(*ProgramSource::Open(path), DigestOf("program"));
  EXPECT_FALSE(verified.Knows(*ProgramSource::Open(path), DigestOf("program")));
}

TEST(VerifiedFiles, AreNoneWhenTheListIsCutOrDamaged) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("unit-1", "program");
  Settle();
  const std::string stamps = folder.path() + "/verified";
  VerifiedFiles verified(stamps);
  verified.Remember(*ProgramSource::Open(path), DigestOf("program"));
  ASSERT_TRUE(verified.Save().ok());
  const std::string whole = Text(stamps);
  for (size_t size = 0; size < whole.size() - 1; ++size) {
    folder.Write("verified", whole.substr(0, size));
    EXPECT_FALSE(VerifiedFiles(stamps).Knows(*ProgramSource::Open(path), DigestOf("program")));
  }
}

class WeightCacheTest : public testing::Test {
 protected:
  WeightCacheTest() : cache_{folder_.path(), "runtime"} {}

  // As an engine does it that packs weights.
  void Build(const std::string& content) {
    CacheUse use = cache_.Open("unit", 100);
    ASSERT_FALSE(use.filled());
    ASSERT_FALSE(use.path().empty());
    std::ofstream(use.path()) << content;
    ASSERT_TRUE(use.Keep().ok());
  }

  TemporaryFolder folder_;
  WeightCache cache_;
};

TEST_F(WeightCacheTest, HasItsNameOnlyWhenItIsWhole) {
  {
    CacheUse use = cache_.Open("unit", 100);
    std::ofstream(use.path()) << "half";
    EXPECT_FALSE(fs::exists(cache_.FileOf("unit")));
  }  // the load failed
  EXPECT_FALSE(fs::exists(cache_.FileOf("unit")));
  Build("packed");
  EXPECT_EQ(Text(cache_.FileOf("unit")), "packed");
  const CacheUse use = cache_.Open("unit", 100);
  EXPECT_TRUE(use.filled());
  EXPECT_EQ(use.path(), cache_.FileOf("unit"));
}

TEST_F(WeightCacheTest, IsBuiltByOneAtATime) {
  const CacheUse one = cache_.Open("unit", 100);
  EXPECT_FALSE(one.path().empty());
  EXPECT_TRUE(cache_.Open("unit", 100).path().empty());
  EXPECT_FALSE(cache_.Open("other", 100).path().empty());
}

TEST_F(WeightCacheTest, IsRemovedAndBuiltAnewWhenAByteChanges) {
  Build("packed");
  EXPECT_TRUE(cache_.Check("unit").ok());
  for (const char* content : {"pacKed", "pack", "", "packed+"}) {
    std::ofstream(cache_.FileOf("unit")) << content;
    EXPECT_EQ(cache_.Check("unit").code(), Code::kDamaged) << content;
    EXPECT_FALSE(fs::exists(cache_.FileOf("unit")));
    Build("packed");
  }
}

TEST_F(WeightCacheTest, IsNotBelievedWithoutItsSha256) {
  std::ofstream(cache_.FileOf("unit")) << "from elsewhere";
  EXPECT_FALSE(cache_.Open("unit", 100).filled());
}

TEST_F(WeightCacheTest, IsNotHashedTwiceInOneBoot) {
  Build("packed");
  Settle();
  ASSERT_TRUE(cache_.Check("unit").ok());
  // Whoever does not look at the bytes believes the stamp: another sha256 goes unnoticed.
  const std::string record = cache_.FileOf("unit") + ".sha256";
  std::string text = Text(record);
  text[0] = text[0] == '0' ? '1' : '0';
  std::ofstream(record) << text;
  EXPECT_TRUE(cache_.Check("unit").ok());
  // Of another boot: it is looked at.
  const size_t boot = text.find('\n') + 1;
  text[boot] = text[boot] == '0' ? '1' : '0';
  std::ofstream(record) << text;
  EXPECT_EQ(cache_.Check("unit").code(), Code::kDamaged);
}

TEST_F(WeightCacheTest, IsNotBuiltWhereThereIsNoRoom) {
  EXPECT_TRUE(cache_.Open("unit", uint64_t{1} << 60).path().empty());
}

TEST_F(WeightCacheTest, IsNotBuiltOnAFullDisk) {
  const std::string disk = folder_.path() + "/disk";
  fs::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "a tmpfs cannot be mounted here";
  }
  EXPECT_TRUE((WeightCache{disk, "runtime"}.Open("unit", 100).path().empty()));
  umount(disk.c_str());
}

TEST_F(WeightCacheTest, IsNotBuiltInAFolderThatCannotBeWritten) {
  EXPECT_TRUE((WeightCache{"/proc", "runtime"}.Open("unit", 100).path().empty()));
  EXPECT_TRUE((WeightCache{"/nowhere/at/all", "runtime"}.Open("unit", 100).path().empty()));
}

}  // namespace
}  // namespace pwl
