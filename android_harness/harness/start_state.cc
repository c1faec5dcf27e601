#include "harness/start_state.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "harness/cpu_clock.h"
#include "harness/page_cache.h"
#include "harness/process.h"
#include "runtime/clock.h"
#include "runtime/descriptor.h"

namespace pwl::harness {
namespace {

constexpr char kVariable[] = "PWL_START_STATE";
// Pages that are being written or read just now escape the first attempt.
constexpr int kAttempts = 20;

int OpenFile(const std::string& path) {
  return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

// Pages that have not been written yet cannot be dropped.
Status Write(const Descriptor& file, const std::string& path) {
  if (!file.valid()) return FileError(path);
  if (fdatasync(file.get()) != 0 && errno != EROFS && errno != EINVAL) return FileError(path);
  return {};
}

Status Evict(const std::string& path) {
  const Descriptor file(OpenFile(path));
  if (Status status = Write(file, path); !status.ok()) return status;
  const int error = posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  if (error != 0) {
    errno = error;
    return FileError(path);
  }
  return {};
}

// Everything that is clean, and the programs and libraries among it. From Android 12 on, init does
// it for the user "shell".
Status DropCaches(const std::vector<std::string>& files) {
  for (const std::string& path : files) {
    if (Status status = Write(Descriptor(OpenFile(path)), path); !status.ok()) return status;
  }
  return DropPageCache();
}

Status ReadThrough(const std::string& path) {
  const Descriptor file(OpenFile(path));
  if (!file.valid()) return FileError(path);
  std::vector<char> buffer(1 << 18);
  ssize_t count = 0;
  while ((count = read(file.get(), buffer.data(), buffer.size())) > 0) {
  }
  return count == 0 ? Status() : FileError(path);
}

Status CountAll(const std::vector<std::string>& files, int64_t* pages, int64_t* resident) {
  *pages = 0;
  *resident = 0;
  for (const std::string& path : files) {
    int64_t these = 0;
    int64_t in_memory = 0;
    if (Status status = CountResident(path, &these, &in_memory); !status.ok()) return status;
    *pages += these;
    *resident += in_memory;
  }
  return {};
}

}  // namespace

Status CountResident(const std::string& path, int64_t* pages, int64_t* resident) {
  const Descriptor file(OpenFile(path));
  struct stat found{};
  if (!file.valid() || fstat(file.get(), &found) != 0) return FileError(path);
  *pages = 0;
  *resident = 0;
  if (found.st_size == 0) return {};
  const auto size = static_cast<size_t>(found.st_size);
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* mapped = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) return FileError(path);
  std::vector<unsigned char> states((size + page - 1) / page);
  const int failed = mincore(mapped, size, states.data());
  const int error = errno;
  munmap(mapped, size);
  if (failed != 0) {
    errno = error;
    return FileError(path);
  }
  *pages = static_cast<int64_t>(states.size());
  *resident = std::count_if(states.begin(), states.end(), [](unsigned char s) { return s & 1; });
  return {};
}

std::optional<StartState> CurrentStartState() {
  const char* text = std::getenv(kVariable);
  if (text == nullptr) return std::nullopt;
  StartState state;
  char name[16];
  long long exec = 0;
  long long pages = 0;
  long long resident = 0;
  long long cpu = 0;
  if (std::sscanf(text, "%15s %lld %lld %lld %lld", name, &exec, &pages, &resident, &cpu) != 5) {
    return std::nullopt;
  }
  return StartState{name, exec, pages, resident, cpu};
}

Status EnterStartState(const std::string& state, const std::vector<std::string>& files,
                       bool drop_caches) {
  const bool cold = state != "warm";
  if (cold && drop_caches) {
    if (Status status = DropCaches(files); !status.ok()) return status;
  }
  int64_t pages = 0;
  int64_t resident = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    for (const std::string& path : files) {
      Status status = cold ? Evict(path) : ReadThrough(path);
      if (!status.ok()) return status;
    }
    if (Status status = CountAll(files, &pages, &resident); !status.ok()) return status;
    if (resident == (cold ? 0 : pages)) break;
    usleep(5000);
  }
  if (cold && resident > 0) {
    return {Code::kNotCold, std::to_string(resident) + " of " + std::to_string(pages) +
                                " pages stay in memory; is the folder on a tmpfs?"};
  }
  const std::vector<std::string> words = CommandLine();
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  char value[128];
  std::snprintf(value, sizeof value, "%s %lld %lld %lld %lld", state.c_str(),
                static_cast<long long>(NowNs()), static_cast<long long>(pages),
                static_cast<long long>(resident), static_cast<long long>(CpuNs()));
  setenv(kVariable, value, 1);
  execv("/proc/self/exe", argv.data());
  return FileError("/proc/self/exe");
}

}  // namespace pwl::harness
