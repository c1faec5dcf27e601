#include "runtime/plan_text.h"

#include <algorithm>
#include <charconv>
#include <locale>
#include <sstream>
#include <utility>

namespace pwl {
namespace {

constexpr size_t kLongestPlan = 1 << 20;

Words Split(std::string_view line) {
  Words words;
  while (true) {
    const size_t end = line.find(' ');
    words.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return words;
    line.remove_prefix(end + 1);
  }
}

bool IsSha256(std::string_view word) {
  return word.size() == 64 && std::all_of(word.begin(), word.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Status InLine(size_t line, const Status& status) {
  return {status.code(), "plan line " + std::to_string(line) + ": " + status.message()};
}

}  // namespace

Status Wrong(std::string what) { return {Code::kInvalidPlan, std::move(what)}; }

Status ReadDirectives(std::string_view text, std::string_view first,
                      const std::function<Status(const Words&)>& directive) {
  size_t number = 0;
  bool ended = false;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    Status status;
    if (ended) {
      status = Wrong("nothing may follow `end`");
    } else if (number == 1) {
      if (line != first) status = Wrong("the first line must be `" + std::string(first) + "`");
    } else if (line == "end") {
      ended = true;
    } else {
      status = directive(Split(line));
    }
    if (!status.ok()) return InLine(number, status);
  }
  return ended ? Status() : Wrong("the plan is cut short: it has no `end`");
}

Result<std::string> ReadPlanText(const ProgramSource& source) {
  if (source.size() > kLongestPlan) return Wrong(source.path() + ": longer than a plan");
  std::string text(static_cast<size_t>(source.size()), '\0');
  if (Status status = source.Read(0, text.data(), text.size()); !status.ok()) return status;
  return text;
}

bool ParseNumber(std::string_view word, uint64_t least, uint64_t most, uint64_t* number) {
  const char* end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, *number);
  return error == std::errc() && rest == end && *number >= least && *number <= most;
}

bool ParseFloat(std::string_view word, float* number) {
  std::istringstream stream{std::string(word)};
  stream.imbue(std::locale::classic());
  stream >> std::noskipws >> *number;
  return !stream.fail() && stream.eof() && *number - *number == 0.0f;
}

bool IsInside(std::string_view path) {
  if (path.empty() || path.front() == '/') return false;
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool ParseArtifact(const Words& words, Artifact* artifact) {
  uint64_t in = 0;
  uint64_t out = 0;
  if (words.size() != 7 || !IsInside(words[2]) ||
      !ParseNumber(words[3], 0, UINT64_MAX, &artifact->bytes) || !IsSha256(words[4]) ||
      !ParseNumber(words[5], 1, kMostFloats, &in) || !ParseNumber(words[6], 1, kMostFloats, &out)) {
    return false;
  }
  artifact->id = words[1];
  artifact->path = words[2];
  artifact->sha256 = words[4];
  artifact->floats_in = in;
  artifact->floats_out = out;
  return true;
}

}  // namespace pwl
