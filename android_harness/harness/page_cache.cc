#include "harness/page_cache.h"

#include <unistd.h>

#include <cstdio>
#include <string>

namespace pwl::harness {
namespace {

constexpr char kSet[] = "setprop perf.drop_caches 3 2>&1";
constexpr char kGet[] = "getprop perf.drop_caches 2>/dev/null";
// Init waits for the kernel, which drops gigabytes in some hundred milliseconds.
constexpr int kLooks = 250;
constexpr useconds_t kPauseUs = 20000;

// What a command of the system's shell prints, and whether it ended well.
bool Ask(const char* command, std::string* answer) {
  answer->clear();
  FILE* pipe = popen(command, "re");
  if (pipe == nullptr) return false;
  char piece[256];
  while (std::fgets(piece, sizeof piece, pipe) != nullptr) *answer += piece;
  while (!answer->empty() && answer->back() == '\n') answer->pop_back();
  return pclose(pipe) == 0;
}

}  // namespace

Status DropPageCache() {
  std::string answer;
  if (!Ask(kSet, &answer)) {
    return {Code::kNotCold, "the property perf.drop_caches cannot be set: " + answer};
  }
  for (int look = 0; look < kLooks; ++look) {
    if (Ask(kGet, &answer) && answer == "0") return {};
    usleep(kPauseUs);
  }
  return {Code::kNotCold, "the property perf.drop_caches stays at " + answer + ", not 0"};
}

}  // namespace pwl::harness
