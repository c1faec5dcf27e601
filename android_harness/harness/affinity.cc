#include "harness/affinity.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>

namespace pwl::harness {
namespace {

bool ParseCore(std::string_view word, int64_t* core) {
  const char* end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, *core);
  return error == std::errc() && rest == end && *core >= 0 && *core < CPU_SETSIZE;
}

bool ParseRange(std::string_view range, std::vector<int64_t>* cores) {
  const size_t dash = range.find('-');
  int64_t first = 0;
  if (!ParseCore(range.substr(0, dash), &first)) return false;
  int64_t last = first;
  if (dash != std::string_view::npos && !ParseCore(range.substr(dash + 1), &last)) return false;
  for (int64_t core = first; core <= last; ++core) cores->push_back(core);
  return first <= last;
}

std::string Named(const std::vector<int64_t>& cores) {
  std::string text;
  for (const int64_t core : cores) text += (text.empty() ? "" : ",") + std::to_string(core);
  return text.empty() ? "none" : text;
}

}  // namespace

bool ParseCores(std::string_view text, std::vector<int64_t>* cores) {
  cores->clear();
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    if (!ParseRange(text.substr(begin, comma - begin), cores)) return false;
    begin = comma + 1;
  }
  std::sort(cores->begin(), cores->end());
  cores->erase(std::unique(cores->begin(), cores->end()), cores->end());
  return true;
}

std::vector<int64_t> CoresAllowed() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  std::vector<int64_t> cores;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &allowed)) cores.push_back(core);
  }
  return cores;
}

Status RunOnCores(const std::vector<int64_t>& cores) {
  if (cores.empty() || CoresAllowed() == cores) return {};
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  for (const int64_t core : cores) CPU_SET(static_cast<int>(core), &wanted);
  if (sched_setaffinity(0, sizeof wanted, &wanted) != 0) {
    return {Code::kIo, "cores " + Named(cores) + " cannot be had: " + std::strerror(errno)};
  }
  return CheckCores(cores);
}

Status CheckCores(const std::vector<int64_t>& cores) {
  if (cores.empty()) return {};
  const std::vector<int64_t> allowed = CoresAllowed();
  if (allowed == cores) return {};
  return {Code::kIo, "cores " + Named(cores) + " were asked for, and " + Named(allowed) +
                         " is where the process runs"};
}

}  // namespace pwl::harness
