#include "harness/measurement_plan.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>

#include "pwl/program_source.h"
#include "runtime/plan_text.h"

namespace pwl::harness {
namespace {

constexpr char kMeasurementFormat[] = "pwl-measurement-plan 1";

class Parser {
 public:
  explicit Parser(const std::string& folder) { plan_.folder = folder; }

  Result<MeasurementPlan> Parse(std::string_view text) {
    if (Status status = ReadDirectives(text, kMeasurementFormat,
                                       [this](const Words& words) { return Directive(words); });
        !status.ok()) {
      return status;
    }
    if (plan_.bundle.empty()) return Wrong("the plan has no `bundle`");
    if (plan_.evaluation && plan_.evaluation->mean.size() != plan_.evaluation->channels) {
      return Wrong("evaluation needs one `normalize` per channel");
    }
    return std::move(plan_);
  }

 private:
  Status Directive(const Words& words) {
    const std::string_view name = words[0];
    if (name == "bundle") return ReadBundle(words);
    if (name == "verify") return ReadVerify(words);
    if (name == "program") return ReadProgram(words);
    if (name == "arm" || name == "chain") return ReadArm(words, name == "chain");
    if (name == "golden") return ReadGolden(words);
    if (name == "evaluation") return ReadEvaluation(words);
    if (name == "evaluation-inputs") return ReadEvaluationInputs(words);
    if (name == "label-maps") return ReadLabelMaps(words);
    if (name == "embeddings") return ReadEmbeddings(words);
    if (name == "normalize") return ReadNormalize(words);
    return Wrong("unknown directive `" + std::string(name) + "`");
  }

  std::string Below(std::string_view path) const { return plan_.folder + "/" + std::string(path); }

  Status ReadBundle(const Words& words) {
    if (words.size() != 2 || !IsInside(words[1])) return Wrong("bundle FOLDER is expected");
    plan_.bundle = Below(words[1]);
    return {};
  }

  Status ReadVerify(const Words& words) {
    if (words.size() != 2 || (words[1] != "size" && words[1] != "sha256")) {
      return Wrong("verify is size or sha256");
    }
    plan_.verify = words[1] == "size" ? Verify::kSize : Verify::kSha256;
    return {};
  }

  Status ReadProgram(const Words& words) {
    Artifact program;
    if (!ParseArtifact(words, &program)) {
      return Wrong("program ID PATH BYTES SHA256 FLOATS_IN FLOATS_OUT is expected");
    }
    const std::string id = program.id;
    if (!programs_.emplace(id, std::move(program)).second) {
      return Wrong("program " + id + " occurs twice");
    }
    return {};
  }

  Status ReadArm(const Words& words, bool parallel) {
    if (words.size() < 3) return Wrong(std::string(words[0]) + " NAME ID... is expected");
    Arm arm{std::string(words[1]), {}, parallel};
    if (plan_.FindArm(arm.name) != nullptr) return Wrong("arm " + arm.name + " occurs twice");
    for (size_t i = 2; i < words.size(); ++i) {
      const auto found = programs_.find(std::string(words[i]));
      if (found == programs_.end()) return Wrong("no program is called " + std::string(words[i]));
      if (!arm.programs.empty() && arm.programs.back().floats_out != found->second.floats_in) {
        return Wrong(found->first + " does not fit behind " + arm.programs.back().id);
      }
      arm.programs.push_back(found->second);
    }
    plan_.arms.push_back(std::move(arm));
    return {};
  }

  Status ReadGolden(const Words& words) {
    uint64_t count = 0;
    if (words.size() != 3 || !ParseNumber(words[1], 1, UINT16_MAX, &count) || !IsInside(words[2])) {
      return Wrong("golden COUNT INPUTS is expected");
    }
    plan_.golden = Golden{static_cast<size_t>(count), Below(words[2])};
    return {};
  }

  Status ReadEvaluation(const Words& words) {
    uint64_t count = 0;
    uint64_t channels = 0;
    if (words.size() != 4 || !ParseNumber(words[1], 1, UINT32_MAX, &count) ||
        !ParseNumber(words[2], 1, UINT16_MAX, &channels) || !IsInside(words[3])) {
      return Wrong("evaluation COUNT CHANNELS IMAGES is expected");
    }
    plan_.evaluation = Evaluation{
        static_cast<size_t>(count), static_cast<size_t>(channels), Below(words[3]), {}, {}};
    return {};
  }

  Status ReadEvaluationInputs(const Words& words) {
    uint64_t count = 0;
    if (words.size() != 3 || !ParseNumber(words[1], 1, UINT32_MAX, &count) || !IsInside(words[2])) {
      return Wrong("evaluation-inputs COUNT INPUTS is expected");
    }
    plan_.evaluation = Evaluation{static_cast<size_t>(count), 0, Below(words[2]), {}, {}};
    return {};
  }

  Status ReadLabelMaps(const Words& words) {
    uint64_t classes = 0;
    if (!plan_.evaluation || plan_.embeddings || words.size() != 4 ||
        !ParseNumber(words[1], 1, 255, &classes) || !IsInside(words[2]) || !IsInside(words[3])) {
      return Wrong("label-maps CLASSES LABELS PREDICTIONS is expected, behind the evaluation");
    }
    plan_.label_maps = LabelMaps{static_cast<size_t>(classes), Below(words[2]), Below(words[3])};
    return {};
  }

  Status ReadEmbeddings(const Words& words) {
    if (!plan_.evaluation || plan_.label_maps || words.size() != 2 || !IsInside(words[1])) {
      return Wrong("embeddings TEACHERS is expected, behind the evaluation");
    }
    plan_.embeddings = Below(words[1]);
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

  MeasurementPlan plan_;
  std::unordered_map<std::string, Artifact> programs_;  // by id
};

}  // namespace

const Arm* MeasurementPlan::FindArm(std::string_view name) const {
  const auto found =
      std::find_if(arms.begin(), arms.end(), [&](const Arm& arm) { return arm.name == name; });
  return found == arms.end() ? nullptr : &*found;
}

Result<MeasurementPlan> ParseMeasurementPlan(std::string_view text, const std::string& folder) {
  return Parser(folder).Parse(text);
}

Result<MeasurementPlan> ReadMeasurementPlan(const std::string& path) {
  const Result<ProgramSource> source = ProgramSource::Open(path);
  if (!source.ok()) return source.status();
  const Result<std::string> text = ReadPlanText(*source);
  if (!text.ok()) return text.status();
  const size_t slash = path.rfind('/');
  return ParseMeasurementPlan(*text, slash == std::string::npos ? "." : path.substr(0, slash));
}

}  // namespace pwl::harness
