// Files: opened once, remembered when verified, caches built apart and believed only when whole.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engines/mapped_file.h"
#include "pwl/program_source.h"
#include "pwl/verified_files.h"
#include "pwl/weight_cache.h"
#include "runtime/cache_folder.h"
#include "runtime/descriptor.h"
#include "runtime/file_stamp.h"
#include "runtime/loading.h"
#include "runtime/sha256.h"
#include "tests/fake_engine.h"
#include "tests/free_space.h"
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

TEST(ProgramSource, TakesNoPartThatAFileDoesNotHave) {
  const TemporaryFolder folder;
  const auto file = ProgramSource::Open(folder.Write("apk", "0123456789"));
  ASSERT_TRUE(file.ok());
  const auto code = [&](uint64_t offset, uint64_t length) {
    return ProgramSource::FromDescriptor("part", file->descriptor(), offset, length)
        .status()
        .code();
  };
  EXPECT_EQ(code(0, 10), Code::kOk);
  EXPECT_EQ(code(10, 0), Code::kOk);
  constexpr uint64_t kMost = UINT64_MAX;
  for (const auto& [offset, length] :
       std::vector<std::pair<uint64_t, uint64_t>>{{0, 11},
                                                  {1, 10},
                                                  {10, 1},
                                                  {11, 0},
                                                  {5, kMost},
                                                  {kMost, 5},
                                                  {kMost, kMost},
                                                  {kMost - 4, 5},
                                                  {kMost / 2 + 1, kMost / 2 + 1},
                                                  {kMost / 2, kMost / 2}}) {
    EXPECT_EQ(code(offset, length), Code::kDamaged) << offset << " " << length;
  }
}

TEST(ProgramSource, TakesNoDescriptorOfSomethingElse) {
  const TemporaryFolder folder;
  const std::string fifo = folder.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  for (const std::string& path : {fifo, folder.path(), std::string("/dev/null")}) {
    const int other = open(path.c_str(), O_RDONLY | O_NONBLOCK);
    ASSERT_GE(other, 0) << path;
    const auto source = ProgramSource::FromDescriptor("part", other, 0, 0);
    EXPECT_EQ(source.status().code(), Code::kDamaged) << path;
    close(other);
  }
  const int closed = open(folder.Write("file", "program").c_str(), O_RDONLY);
  close(closed);
  EXPECT_EQ(ProgramSource::FromDescriptor("part", closed, 0, 1).status().code(), Code::kIo);
}

TEST(ProgramSource, OfAFileThatIsOpenForWritingAloneIsNotRead) {
  const TemporaryFolder folder;
  const int file = open(folder.Write("file", "program").c_str(), O_WRONLY);
  const auto source = ProgramSource::FromDescriptor("part", file, 0, 7);
  close(file);
  ASSERT_TRUE(source.ok());
  char byte = 0;
  EXPECT_EQ(source->Read(0, &byte, 1).code(), Code::kIo);
  EXPECT_EQ(MappedFile::Map(*source).status().code(), Code::kIo);
  EXPECT_FALSE(Sha256Of(*source).ok());
}

// A part that lies so that it is mapped, and one that is copied.
TEST(ProgramSource, WhoseFileIsCutShortIsDamagedWhenItIsMapped) {
  const TemporaryFolder folder;
  for (const uint64_t offset : {0, 4}) {
    const std::string path = folder.Write("apk", std::string(5000, 'x'));
    const auto file = ProgramSource::Open(path);
    const auto source = ProgramSource::FromDescriptor("part", file->descriptor(), offset, 4096);
    ASSERT_TRUE(source.ok());
    fs::resize_file(path, 100);
    EXPECT_EQ(MappedFile::Map(*source).status().code(), Code::kDamaged) << offset;
  }
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

TEST(LoadingAnArtifact, OpensItsFileOnce) {
  class Counting : public BundleFiles {
   public:
    explicit Counting(const std::string& folder) : files_(folder) {}
    Result<ProgramSource> Open(const std::string& path) const override {
      ++opened;
      return files_.Open(path);
    }
    mutable int opened = 0;

   private:
    const FolderFiles files_;
  };
  const TemporaryFolder folder;
  folder.Write("unit-1", "program");
  const Counting files(folder.path());
  FakeEngine engine;
  LoadTimes times;
  EXPECT_TRUE(
      LoadArtifact(files, Described("unit-1", "program"), Verify::kSha256, &engine, &times).ok());
  EXPECT_EQ(files.opened, 1);
}

// What the kernel says, asked without the library: where it says nothing, nothing is resident.
TEST(LoadingAnArtifact, NeedsNoReadingAheadOfWhatIsInMemory) {
  const TemporaryFolder folder;
  const auto source = ProgramSource::Open(folder.Write("unit-1", "program"));
  ASSERT_TRUE(source.ok());
  constexpr int kNoWait = 8;  // RWF_NOWAIT
  char byte = 0;
  iovec target{&byte, 1};
  const bool there = syscall(SYS_preadv2, source->descriptor(), &target, 1, 0, 0, kNoWait) == 1;
  EXPECT_EQ(LooksResident(*source), there);
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
  Settle();
  EXPECT_FALSE(verified.Knows(*ProgramSource::Open(path), artifact.sha256));
  EXPECT_EQ(CheckArtifact(files, artifact, {Verify::kSha256, &verified}, nullptr).code(),
            Code::kDamaged);
}

TEST(VerifiedFiles, AreNotEvenRead) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("unit-1", "program");
  Settle();
  const Artifact another = Described("unit-1", "Program");
  VerifiedFiles verified(folder.path() + "/verified");
  verified.Remember(*ProgramSource::Open(path), another.sha256);
  const FolderFiles files(folder.path());
  EXPECT_TRUE(CheckArtifact(files, another, {Verify::kSha256, &verified}, nullptr).ok());
  EXPECT_EQ(CheckArtifact(files, another, Verify::kSha256, nullptr).code(), Code::kDamaged);
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

TEST(ReplaceFile, IsNotDisturbedByAnotherThreadThatReplacesTheSameFile) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/file";
  const auto replace = [&] {
    const Status status = ReplaceFile(path, [&](int file) {
      EXPECT_TRUE(WriteWhole(file, "first", 5));
      std::thread([&] { EXPECT_TRUE(ReplaceFile(path, "second").ok()); }).join();
      EXPECT_EQ(Text(path), "second");
      return WriteWhole(file, " whole", 6) ? Status() : FileError(path);
    });
    EXPECT_TRUE(status.ok()) << status.message();
  };
  std::thread(replace).join();  // the number of a thread is not always a process's
  EXPECT_EQ(Text(path), "first whole");
}

TEST(ReplaceFile, LeavesTheFileAsItWasWhenNotAllCanBeWritten) {
  const TemporaryFolder folder;
  const std::string path = folder.Write("file", "before");
  const Status status = ReplaceFile(path, [&](int file) -> Status {
    EXPECT_TRUE(WriteWhole(file, "half", 4));
    return {Code::kDamaged, "the source is cut short"};
  });
  EXPECT_EQ(status.code(), Code::kDamaged);
  EXPECT_EQ(Text(path), "before");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(ReplaceFile, RemovesWhatWasLeftByAWriterThatIsGone) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/file";
  folder.Write("file.999999999.part", "half");  // more than the system has threads
  const std::string others = folder.Write("other.999999999.part", "half");
  const std::string own = folder.Write("file.new.part", "half");
  ASSERT_TRUE(ReplaceFile(path, "after").ok());
  EXPECT_FALSE(fs::exists(path + ".999999999.part"));
  EXPECT_TRUE(fs::exists(others) && fs::exists(own));
  EXPECT_EQ(Text(path), "after");
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
  EXPECT_FALSE(fs::exists(cache_.FileOf("unit") + ".part"));
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

TEST_F(WeightCacheTest, IsBuiltByOneAtATimeAlsoWhileLocksAreRemoved) {
  std::atomic<int> holders{0};
  std::atomic<bool> shared{false};
  const auto build = [&] {
    for (int round = 0; round < 2000; ++round) {
      if (round % 4 == 0) cache_.RemoveAbandoned();  // which takes the lock with it
      const Descriptor lock(LockCache(cache_.FileOf("unit")));
      if (!lock.valid()) continue;
      if (holders++ > 0) shared = true;
      std::this_thread::yield();
      --holders;
    }
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) threads.emplace_back(build);
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(shared);
}

TEST_F(WeightCacheTest, IsRemovedAndBuiltAnewWhenAByteChanges) {
  Build("packed");
  EXPECT_TRUE(cache_.Check("unit").ok());
  for (const char* content : {"pacKed", "pack", "", "packed+"}) {
    fs::permissions(cache_.FileOf("unit"), fs::perms::owner_all);
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

TEST_F(WeightCacheTest, IsHashedAgainWhenItWasWrittenTo) {
  Build("packed");
  Settle();
  ASSERT_TRUE(cache_.Check("unit").ok());
  fs::permissions(cache_.FileOf("unit"), fs::perms::owner_all);
  std::ofstream(cache_.FileOf("unit")) << "pacKed";
  EXPECT_EQ(cache_.Check("unit").code(), Code::kDamaged);
}

TEST_F(WeightCacheTest, IsForReadingOnlyWhenItIsWhole) {
  Build("packed");
  const fs::perms all = fs::status(cache_.FileOf("unit")).permissions();
  EXPECT_EQ(all, fs::perms::owner_read);
}

TEST_F(WeightCacheTest, IsNotBuiltWhereThereIsNoRoom) {
  EXPECT_TRUE(cache_.Open("unit", uint64_t{1} << 60).path().empty());
}

// A whole number of blocks of the file, of 512 bytes.
uint64_t RoomOf(const std::string& path) {
  struct stat found{};
  return stat(path.c_str(), &found) == 0 ? static_cast<uint64_t>(found.st_blocks) * 512 : 0;
}

TEST_F(WeightCacheTest, TakesTheRoomThatItNeedsAndGivesTheRestBack) {
  CacheUse use = cache_.Open("unit", 1 << 20);
  EXPECT_TRUE(use.Reserve());  // the engine has made no file yet: nothing is to be done
  std::ofstream(use.path()).flush();
  if (!use.Reserve()) GTEST_SKIP() << "not here: this file system takes no room in advance";
  EXPECT_GE(RoomOf(use.path()), uint64_t{3} << 19);
  EXPECT_EQ(fs::file_size(use.path()), 0u);
  std::ofstream(use.path(), std::ios::in) << "packed";
  ASSERT_TRUE(use.Keep().ok());
  EXPECT_EQ(Text(cache_.FileOf("unit")), "packed");
  EXPECT_LT(RoomOf(cache_.FileOf("unit")), uint64_t{1} << 16);
}

TEST_F(WeightCacheTest, IsBuiltInMemoryAndThenWritten) {
  CacheUse use = cache_.Open("unit", 100);
  const int memory = use.BuildInMemory();
  if (memory < 0) GTEST_SKIP() << "not here: this kernel has no files in memory";
  ASSERT_EQ(write(memory, "packed", 6), 6);
  close(memory);  // as an engine does it
  ASSERT_TRUE(use.Keep().ok());
  EXPECT_EQ(Text(cache_.FileOf("unit")), "packed");
}

TEST_F(WeightCacheTest, LeavesNothingOpenOfAnEngineThatDoesNotBuild) {
  const auto open_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const auto before = open_files();
  {
    CacheUse use = cache_.Open("unit", 100);
    (void)use.BuildInMemory();
    EXPECT_TRUE(use.Keep().ok());
  }
  EXPECT_EQ(open_files(), before);
  EXPECT_FALSE(fs::exists(cache_.FileOf("unit")));
}

// A disk that had room when it was looked at.
TEST_F(WeightCacheTest, IsNotKeptOnADiskThatFillsMeanwhile) {
  const std::string disk = folder_.path() + "/disk";
  fs::create_directory(disk);
  if (mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "not here: a tmpfs cannot be mounted";
  }
  const WeightCache cache{disk, "runtime"};
  EXPECT_TRUE(cache.Open("unit", 100).path().empty());
  {
    const PretendedFreeSpace pretended;
    CacheUse use = cache.Open("unit", 100);
    std::ofstream(use.path()).flush();
    EXPECT_FALSE(use.Reserve());
    EXPECT_TRUE(use.out_of_room());
    unlink(use.path().c_str());
    const int memory = use.BuildInMemory();
    const std::string packed(1 << 20, 'x');
    ASSERT_EQ(write(memory, packed.data(), packed.size()), static_cast<ssize_t>(packed.size()));
    close(memory);
    EXPECT_EQ(use.Keep().code(), Code::kIo);
  }
  EXPECT_FALSE(fs::exists(cache.FileOf("unit")));
  EXPECT_FALSE(fs::exists(cache.FileOf("unit") + ".part"));
  umount(disk.c_str());
}

TEST_F(WeightCacheTest, IsNotBuiltInAFolderThatCannotBeWritten) {
  EXPECT_TRUE((WeightCache{"/proc", "runtime"}.Open("unit", 100).path().empty()));
  EXPECT_TRUE((WeightCache{"/nowhere/at/all", "runtime"}.Open("unit", 100).path().empty()));
}

}  // namespace
}  // namespace pwl
