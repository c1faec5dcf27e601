// accuracy: what every stage says about the evaluation images. All of it is printed, also where the
// task fails in the end because some logits are no numbers. Of label maps counts are: a map has as
// many labels as its image has pixels. Of embeddings their cosines to the teacher's are.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/answer.h"
#include "harness/data.h"
#include "harness/embeddings.h"
#include "harness/json_line.h"
#include "harness/label_maps.h"
#include "harness/stages.h"
#include "harness/tasks.h"
#include "pwl/make_engine.h"

namespace pwl::harness {
namespace {

// Gives the logits of an image by its number.
using Answer = std::function<Status(size_t image, std::vector<float>* logits)>;

// Prints the labels that a stage gives to images; `lost` becomes how many it gives none.
Status SayLabels(size_t stage, size_t count, const Answer& infer, int64_t* lost) {
  std::vector<int64_t> predictions;
  std::vector<float> logits;
  for (size_t i = 0; i < count; ++i) {
    if (Status status = infer(i, &logits); !status.ok()) return status;
    predictions.push_back(Label(logits));
  }
  JsonLine("predictions").Add("stage", stage).Add("predictions", predictions).Print();
  *lost = std::count(predictions.begin(), predictions.end(), kNoLabel);
  return {};
}

// Label maps in memory, and what the host answers.
struct ReadMaps {
  size_t classes = 0;
  size_t pixels = 0;
  std::vector<uint8_t> labels;       // [count, pixels]
  std::vector<uint8_t> predictions;  // [stages, count, pixels]
};

Result<ReadMaps> ReadLabelMaps(const LabelMaps& maps, size_t count, const LoadingPlan& plan) {
  if (plan.classes % maps.classes != 0) {
    return Status(Code::kInvalidPlan, "an answer does not have that many classes");
  }
  ReadMaps read;
  read.classes = maps.classes;
  read.pixels = plan.classes / maps.classes;
  Result<std::vector<uint8_t>> labels = ReadByteRows(maps.labels, count, read.pixels);
  if (!labels.ok()) return labels.status();
  // Every number was multiplied once already, when the file was found to be that large.
  Result<std::vector<uint8_t>> predictions =
      ReadByteRows(maps.predictions, plan.stages.size(), count * read.pixels);
  if (!predictions.ok()) return predictions.status();
  read.labels = std::move(*labels);
  read.predictions = std::move(*predictions);
  return read;
}

// Prints what of a stage's label maps is right; `lost` becomes how many images have none.
Status SayMaps(size_t stage, size_t count, const ReadMaps& maps, const Answer& infer,
               int64_t* lost) {
  MapCounts counts(maps.classes);
  const uint8_t* const expected = maps.predictions.data() + stage * maps.labels.size();
  std::vector<float> logits;
  for (size_t i = 0; i < count; ++i) {
    if (Status status = infer(i, &logits); !status.ok()) return status;
    const size_t place = i * maps.pixels;
    if (!counts.Add(logits, maps.labels.data() + place, expected + place, maps.pixels)) {
      return {Code::kDamaged, "the label map of image " + std::to_string(i) + " has other classes"};
    }
  }
  JsonLine("maps")
      .Add("stage", stage)
      .Add("right", counts.right)
      .Add("labeled", counts.labeled)
      .Add("differing", counts.differing)
      .Add("hits", counts.hits)
      .Add("given", counts.given)
      .Add("there", counts.there)
      .Add("lost", counts.lost)
      .Print();
  *lost = counts.lost;
  return {};
}

// Prints how near a stage's embeddings are to the teacher's; `lost` becomes how many are no vector.
Status SayCosines(size_t stage, size_t count, const Rows& teachers, const Answer& infer,
                  int64_t* lost) {
  EmbeddingCosines found;
  std::vector<float> embedding;
  for (size_t i = 0; i < count; ++i) {
    if (Status status = infer(i, &embedding); !status.ok()) return status;
    if (!found.Add(embedding, teachers.row(i))) {
      return {Code::kDamaged, "the teacher's embeddings have another width"};
    }
  }
  JsonLine("embeddings")
      .Add("stage", stage)
      .Add("cosines", found.cosines)
      .Add("lost", found.lost)
      .Print();
  *lost = found.lost;
  return {};
}

}  // namespace

Status RunAccuracy(const Options& options, const MeasurementPlan& plan, const Bundle& bundle) {
  const Result<Rows> inputs = ReadEvaluationInputs(plan, bundle.plan.floats_in);
  if (!inputs.ok()) return inputs.status();
  Result<ReadMaps> maps = ReadMaps{};
  if (plan.label_maps) {
    maps = ReadLabelMaps(*plan.label_maps, inputs->count(), bundle.plan);
    if (!maps.ok()) return maps.status();
  }
  Result<Rows> teachers = Rows({}, 1);
  if (plan.embeddings) {
    teachers = ReadFloatRows(*plan.embeddings, inputs->count(), bundle.plan.classes);
    if (!teachers.ok()) return teachers.status();
  }
  const Result<std::unique_ptr<Engine>> engine = MakeEngineFor(bundle.plan, options);
  if (!engine.ok()) return engine.status();
  const size_t asked = static_cast<size_t>(options.inferences);
  const size_t count = asked == 0 ? inputs->count() : std::min(asked, inputs->count());
  std::string faults;  // stages that gave no label, and how often
  const auto predict = [&](size_t stage, ProgressiveModel& model) -> Status {
    const Answer infer = [&](size_t image, std::vector<float>* logits) -> Status {
      const Result<size_t> served = model.Infer(inputs->row(image), logits);
      if (!served.ok()) return served.status();
      if (*served != stage) return {Code::kRuntime, "an inference ran on another stage"};
      return {};
    };
    int64_t lost = 0;
    Status said = plan.embeddings   ? SayCosines(stage, count, *teachers, infer, &lost)
                  : plan.label_maps ? SayMaps(stage, count, *maps, infer, &lost)
                                    : SayLabels(stage, count, infer, &lost);
    if (!said.ok()) return said;
    if (lost > 0) {
      faults += "; stage-" + std::to_string(stage) + ": logits of " + std::to_string(lost) +
                " of " + std::to_string(count) + " images hold NaN or infinity";
    }
    return {};
  };
  if (Status status = VisitStages(bundle, plan.verify, engine->get(), predict); !status.ok()) {
    return status;
  }
  if (!faults.empty()) return {Code::kNotFinite, faults.substr(2)};
  return {};
}

}  // namespace pwl::harness
