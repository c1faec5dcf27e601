#include "harness/process.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>

namespace pwl::harness {
namespace {

// The number behind `key` in a file of "key: number" lines, or -1.
int64_t Field(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.compare(0, key.size(), key) == 0) return std::atoll(line.c_str() + key.size());
  }
  return -1;
}

}  // namespace

Memory ReadMemory() {
  Memory memory;
  memory.rss_kb = Field("/proc/self/status", "VmRSS:");
  memory.file_kb = Field("/proc/self/status", "RssFile:");
  memory.peak_kb = Field("/proc/self/status", "VmHWM:");
  return memory;
}

Resident ReadResident(const std::vector<std::string>& programs) {
  std::set<std::string> paths;
  for (const std::string& path : programs) {
    const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                           &std::free);
    paths.insert(real != nullptr ? real.get() : path);
  }
  std::ifstream file("/proc/self/smaps");
  if (!file) return {};
  Resident resident{0, 0, 0};
  int64_t rss = 0;
  bool of_program = false;
  std::string line;
  while (std::getline(file, line)) {
    // A mapping begins with its addresses; names of numbers begin with a large letter.
    if (line.empty() || line[0] < 'A' || line[0] > 'Z') {
      const size_t path = line.find('/');
      of_program = path != std::string::npos && paths.count(line.substr(path)) > 0;
    } else if (line.compare(0, 4, "Rss:") == 0) {
      rss = std::atoll(line.c_str() + 4);
    } else if (line.compare(0, 10, "Anonymous:") == 0) {
      const int64_t anonymous = std::atoll(line.c_str() + 10);
      resident.anonymous_kb += anonymous;
      (of_program ? resident.programs_kb : resident.files_kb) += rss - anonymous;
    }
  }
  return resident;
}

int64_t StorageBytesRead() { return Field("/proc/self/io", "read_bytes:"); }

int64_t SizeOf(const std::vector<std::string>& files) {
  int64_t sum = 0;
  struct stat found{};
  for (const std::string& path : files) {
    if (stat(path.c_str(), &found) == 0) sum += found.st_size;
  }
  return sum;
}

std::vector<std::string> CommandLine() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<std::string> words;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\0', begin);
    words.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  return words;
}

}  // namespace pwl::harness
