#include "pwl/plan.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <locale>
#include <sstream>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "pwl/program_source.h"

namespace pwl {
namespace {

constexpr size_t kLongestPlan = 1 << 20;
constexpr int kMostThreads = 64;
// Far above any model; keeps sums of sizes from overflowing.
constexpr uint64_t kMostFloats = std::min<uint64_t>(uint64_t{1} << 32, SIZE_MAX / 8);

using Words = std::vector<std::string_view>;

Words Split(std::string_view line) {
  Words words;
  while (true) {
    const size_t end = line.find(' ');
    words.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return words;
    line.remove_prefix(end + 1);
  }
}

bool ParseNumber(std::string_view word, uint64_t least, uint64_t most, uint64_t* number) {
  const char* end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, *number);
  return error == std::errc() && rest == end && *number >= least && *number <= most;
}

// With a point, whatever the app's locale writes numbers with.
bool ParseFloat(std::string_view word, float* number) {
  std::istringstream stream{std::string(word)};
  stream.imbue(std::locale::classic());
  stream >> std::noskipws >> *number;
  return !stream.fail() && stream.eof() && *number - *number == 0.0f;
}

// Numbers with dots between them.
bool IsVersion(std::string_view word) {
  return !word.empty() && word.front() != '.' && word.back() != '.' &&
         word.find("..") == std::string_view::npos &&
         word.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool IsSha256(std::string_view word) {
  return word.size() == 64 && std::all_of(word.begin(), word.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// Relative, and without a step upwards: a plan cannot reach outside its folder.
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

class Parser {
 public:
  explicit Parser(std::string root) : root_(std::move(root)) {}

  Result<Plan> Parse(std::string_view text) {
    bool ended = false;
    while (!text.empty()) {
      ++line_;
      const size_t end = text.find('\n');
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      if (ended) return Wrong("nothing may follow `end`");
      if (line == "end") {
        ended = true;
        continue;
      }
      const Words words = Split(line);
      if (line_ == 1) {
        if (line != "pwl-plan 1") return Wrong("the first line must be `pwl-plan 1`");
        continue;
      }
      if (Status status = Directive(words); !status.ok()) return status;
    }
    if (!ended) return Status(Code::kInvalidPlan, "the plan is cut short: it has no `end`");
    if (Status status = Complete(); !status.ok()) return status;
    return std::move(plan_);
  }

 private:
  Status Wrong(const std::string& what) const {
    return {Code::kInvalidPlan, "plan line " + std::to_string(line_) + ": " + what};
  }

  Status Directive(const Words& words) {
    const std::string_view name = words[0];
    if (name == "artifact") return ReadArtifact(words);
    if (name == "stage") return ReadStage(words);
    if (name == "control") return ReadControl(words);
    if (name == "golden") return ReadGolden(words);
    if (name == "evaluation") return ReadEvaluation(words);
    if (name == "normalize") return ReadNormalize(words);
    if (name == "exporter") {
      if (words.size() != 3) return Wrong("exporter NAME VERSION is expected");
      plan_.exporter = std::string(words[1]) + " " + std::string(words[2]);
      return {};
    }
    if (words.size() != 2) return Wrong("unknown directive or wrong number of words");
    if (name == "backend") {
      plan_.backend = words[1];
      return {};
    }
    if (name == "runtime") {
      if (!IsVersion(words[1])) return Wrong("runtime is a version such as 1.5.0");
      plan_.minimum_runtime = words[1];
      return {};
    }
    if (name == "verify") {
      if (words[1] != "size" && words[1] != "sha256") return Wrong("verify is size or sha256");
      plan_.verify = words[1] == "size" ? Verify::kSize : Verify::kSha256;
      return {};
    }
    uint64_t number = 0;
    if (!ParseNumber(words[1], 1, name == "threads" ? kMostThreads : kMostFloats, &number)) {
      return Wrong("a positive number is expected");
    }
    if (name == "threads") {
      plan_.threads = static_cast<int>(number);
    } else if (name == "input") {
      plan_.floats_in = number;
    } else if (name == "classes") {
      plan_.classes = number;
    } else {
      return Wrong("unknown directive `" + std::string(name) + "`");
    }
    return {};
  }

  // PATH BYTES SHA256 from words[at].
  bool ReadFile(const Words& words, size_t at, Artifact* artifact) const {
    if (!IsInside(words[at]) || !IsSha256(words[at + 2])) return false;
    artifact->path = root_ + "/" + std::string(words[at]);
    artifact->sha256 = words[at + 2];
    return ParseNumber(words[at + 1], 0, UINT64_MAX, &artifact->bytes);
  }

  Status ReadArtifact(const Words& words) {
    Artifact artifact;
    uint64_t in = 0;
    uint64_t out = 0;
    if (words.size() != 7 || !ReadFile(words, 2, &artifact) ||
        !ParseNumber(words[5], 1, kMostFloats, &in) ||
        !ParseNumber(words[6], 1, kMostFloats, &out)) {
      return Wrong("artifact ID PATH BYTES SHA256 FLOATS_IN FLOATS_OUT is expected");
    }
    artifact.id = words[1];
    artifact.floats_in = in;
    artifact.floats_out = out;
    if (!index_.emplace(artifact.id, plan_.artifacts.size()).second) {
      return Wrong("artifact " + artifact.id + " occurs twice");
    }
    plan_.artifacts.push_back(std::move(artifact));
    return {};
  }

  Status ReadStage(const Words& words) {
    uint64_t index = 0;
    if (words.size() < 3 || !ParseNumber(words[1], 0, UINT32_MAX, &index) ||
        index != plan_.stages.size()) {
      return Wrong("stage " + std::to_string(plan_.stages.size()) + " ID... is expected");
    }
    std::vector<size_t> units;
    for (size_t i = 2; i < words.size(); ++i) {
      const auto found = index_.find(std::string(words[i]));
      if (found == index_.end()) return Wrong("no artifact is called " + std::string(words[i]));
      const Artifact& unit = plan_.artifacts[found->second];
      if (!units.empty() && plan_.artifacts[units.back()].floats_out != unit.floats_in) {
        return Wrong(unit.id + " does not fit behind " + plan_.artifacts[units.back()].id);
      }
      units.push_back(found->second);
    }
    plan_.stages.push_back(std::move(units));
    return {};
  }

  Status ReadControl(const Words& words) {
    Control control;
    uint64_t stage = 0;
    if (words.size() != 6 || !ReadFile(words, 2, &control.artifact) ||
        !ParseNumber(words[5], 0, UINT32_MAX, &stage)) {
      return Wrong("control NAME PATH BYTES SHA256 STAGE is expected");
    }
    control.artifact.id = words[1];
    if (!controls_.insert(control.artifact.id).second) {
      return Wrong("control " + control.artifact.id + " occurs twice");
    }
    control.stage = stage;
    plan_.controls.push_back(std::move(control));
    return {};
  }

  Status ReadGolden(const Words& words) {
    Golden golden;
    uint64_t count = 0;
    if (words.size() < 4 || !ParseNumber(words[1], 1, UINT16_MAX, &count) ||
        !std::all_of(words.begin() + 2, words.end(), IsInside)) {
      return Wrong("golden COUNT INPUTS OUTPUTS... is expected");
    }
    golden.count = count;
    golden.inputs = root_ + "/" + std::string(words[2]);
    for (size_t i = 3; i < words.size(); ++i) {
      golden.outputs.push_back(root_ + "/" + std::string(words[i]));
    }
    plan_.golden = std::move(golden);
    return {};
  }

  Status ReadEvaluation(const Words& words) {
    Evaluation evaluation;
    uint64_t count = 0;
    uint64_t channels = 0;
    if (words.size() != 5 || !ParseNumber(words[1], 1, UINT32_MAX, &count) ||
        !ParseNumber(words[2], 1, UINT16_MAX, &channels) || !IsInside(words[3]) ||
        !IsInside(words[4])) {
      return Wrong("evaluation COUNT CHANNELS IMAGES LABELS is expected");
    }
    evaluation.count = count;
    evaluation.channels = channels;
    evaluation.images = root_ + "/" + std::string(words[3]);
    evaluation.labels = root_ + "/" + std::string(words[4]);
    plan_.evaluation = std::move(evaluation);
    return {};
  }

  Status ReadNormalize(const Words& words) {
    float mean = 0;
    float std = 0;
    if (!plan_.evaluation || words.size() != 3 || !ParseFloat(words[1], &mean) ||
        !ParseFloat(words[2], &std) || !(std > 0)) {
      return Wrong("normalize MEAN STD is expected, behind `evaluation`");
    }
    plan_.evaluation->mean.push_back(mean);
    plan_.evaluation->std.push_back(std);
    return {};
  }

  // What can be said only when everything has been read.
  Status Complete() {
    const auto missing = [](const char* what) {
      return Status(Code::kInvalidPlan, std::string("the plan has no `") + what + "`");
    };
    if (plan_.backend.empty()) return missing("backend");
    if (plan_.floats_in == 0) return missing("input");
    if (plan_.classes == 0) return missing("classes");
    if (plan_.stages.empty()) return missing("stage");
    for (size_t k = 0; k < plan_.stages.size(); ++k) {
      const std::vector<size_t>& units = plan_.stages[k];
      if (plan_.artifacts[units.front()].floats_in != plan_.floats_in ||
          plan_.artifacts[units.back()].floats_out != plan_.classes) {
        return {Code::kInvalidPlan,
                "stage " + std::to_string(k) + " does not lead from the input to the classes"};
      }
    }
    for (Control& control : plan_.controls) {
      if (control.stage >= plan_.stages.size()) {
        return {Code::kInvalidPlan, "control " + control.artifact.id + " names no stage"};
      }
      control.artifact.floats_in = plan_.floats_in;
      control.artifact.floats_out = plan_.classes;
    }
    if (plan_.golden && plan_.golden->outputs.size() != plan_.stages.size()) {
      return {Code::kInvalidPlan, "golden needs one file of outputs per stage"};
    }
    if (plan_.evaluation && (plan_.evaluation->mean.size() != plan_.evaluation->channels ||
                             plan_.floats_in % plan_.evaluation->channels != 0)) {
      return {Code::kInvalidPlan, "evaluation needs one `normalize` per channel"};
    }
    return {};
  }

  const std::string root_;
  Plan plan_;
  std::unordered_map<std::string, size_t> index_;  // of the artifacts, by their ids
  std::unordered_set<std::string> controls_;       // ids
  int line_ = 0;
};

}  // namespace

const Control* Plan::FindControl(std::string_view name) const {
  for (const Control& control : controls) {
    if (control.artifact.id == name) return &control;
  }
  return nullptr;
}

Result<Plan> ParsePlan(std::string_view text, const std::string& root) {
  return Parser(root).Parse(text);
}

Result<Plan> ReadPlan(const std::string& path) {
  const Result<ProgramSource> file = ProgramSource::Open(path);
  if (!file.ok()) return file.status();
  if (file->size() > kLongestPlan) {
    return Status(Code::kInvalidPlan, path + ": longer than a plan");
  }
  std::string text(static_cast<size_t>(file->size()), '\0');
  if (Status status = file->Read(0, text.data(), text.size()); !status.ok()) return status;
  const size_t slash = path.rfind('/');
  return ParsePlan(text, slash == std::string::npos ? "." : path.substr(0, slash));
}

}  // namespace pwl
