#include "pwl/bundle.h"

#include <unordered_map>
#include <utility>

#include "pwl/engine.h"
#include "runtime/guard.h"
#include "runtime/plan_text.h"

namespace pwl {
namespace {

constexpr char kPlan[] = "loading.plan";
constexpr char kPlanFormat[] = "pwl-loading-plan 1";

// Numbers with dots between them.
bool IsVersion(std::string_view word) {
  return !word.empty() && word.front() != '.' && word.back() != '.' &&
         word.find("..") == std::string_view::npos &&
         word.find_first_not_of("0123456789.") == std::string_view::npos;
}

class Parser {
 public:
  Result<LoadingPlan> Parse(std::string_view text) {
    if (Status status = ReadDirectives(text, kPlanFormat,
                                       [this](const Words& words) { return Directive(words); });
        !status.ok()) {
      return status;
    }
    if (Status status = Complete(); !status.ok()) return status;
    return std::move(plan_);
  }

 private:
  Status Directive(const Words& words) {
    const std::string_view name = words[0];
    if (name == "artifact") return ReadArtifact(words);
    if (name == "stage") return ReadStage(words);
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
    if (name == "favor") {
      if (words[1] != "accuracy" && words[1] != "memory") {
        return Wrong("favor is accuracy or memory");
      }
      plan_.favor = words[1] == "memory" ? Favor::kMemory : Favor::kAccuracy;
      return {};
    }
    if (name == "loaders") {
      if (words[1] != "1" && words[1] != "2" && words[1] != "auto") {
        return Wrong("loaders is 1, 2 or auto");
      }
      plan_.loaders = words[1] == "auto" ? LoadingPlan::kAutoLoaders : words[1].front() - '0';
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

  Status ReadArtifact(const Words& words) {
    Artifact artifact;
    if (!ParseArtifact(words, &artifact)) {
      return Wrong("artifact ID PATH BYTES SHA256 FLOATS_IN FLOATS_OUT is expected");
    }
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
      if (index == 0) plan_.artifacts[found->second].in_first_stage = true;
      units.push_back(found->second);
    }
    plan_.stages.push_back(std::move(units));
    return {};
  }

  // What can be said only when everything has been read.
  Status Complete() {
    const auto missing = [](const char* what) {
      return Wrong(std::string("the plan has no `") + what + "`");
    };
    if (plan_.backend.empty()) return missing("backend");
    if (plan_.floats_in == 0) return missing("input");
    if (plan_.classes == 0) return missing("classes");
    if (plan_.stages.empty()) return missing("stage");
    for (size_t k = 0; k < plan_.stages.size(); ++k) {
      const std::vector<size_t>& units = plan_.stages[k];
      if (plan_.artifacts[units.front()].floats_in != plan_.floats_in ||
          plan_.artifacts[units.back()].floats_out != plan_.classes) {
        return Wrong("stage " + std::to_string(k) + " does not lead from the input to the classes");
      }
    }
    return {};
  }

  LoadingPlan plan_;
  std::unordered_map<std::string, size_t> index_;  // of the artifacts, by their ids
};

}  // namespace

Result<LoadingPlan> ParseLoadingPlan(std::string_view text) noexcept {
  return Guarded("reading a plan failed", [&] { return Parser().Parse(text); });
}

Result<ProgramSource> FolderFiles::Open(const std::string& path) const {
  return ProgramSource::Open(folder_ + "/" + path);
}

Result<Bundle> Bundle::Open(const std::string& folder) noexcept {
  return Guarded("opening a bundle failed",
                 [&] { return Read(std::make_shared<const FolderFiles>(folder)); });
}

Result<Bundle> Bundle::Open(std::shared_ptr<const BundleFiles> files) noexcept {
  return Guarded("opening a bundle failed", [&]() -> Result<Bundle> {
    if (files == nullptr) return Status(Code::kUsage, "a bundle has files");
    return Read(std::move(files));
  });
}

Result<Bundle> Bundle::Read(std::shared_ptr<const BundleFiles> files) {
  const Result<ProgramSource> source = files->Open(kPlan);
  if (!source.ok()) return source.status();
  const Result<std::string> text = ReadPlanText(*source);
  if (!text.ok()) return text.status();
  Result<LoadingPlan> plan = ParseLoadingPlan(*text);
  if (!plan.ok()) return plan.status();
  return Bundle{std::move(*plan), std::move(files)};
}

}  // namespace pwl
