#include "harness/task_metric.h"

#include <algorithm>
#include <string>
#include <utility>

#include "harness/answer.h"
#include "harness/data.h"
#include "harness/embeddings.h"
#include "harness/json_line.h"
#include "harness/label_maps.h"

namespace pwl::harness {
namespace {

using Made = Result<std::unique_ptr<TaskMetric>>;

// Labels are printed, for the host to compare.
class Labels final : public TaskMetric {
 public:
  Status Add(size_t, const std::vector<float>& answer) override {
    predictions_.push_back(Label(answer));
    return {};
  }

  int64_t Print(size_t stage) override {
    const std::vector<int64_t> found = std::exchange(predictions_, {});
    JsonLine("predictions").Add("stage", stage).Add("predictions", found).Print();
    return std::count(found.begin(), found.end(), kNoLabel);
  }

 private:
  std::vector<int64_t> predictions_;
};

// Of label maps counts are: a map has as many labels as its image has pixels.
class Maps final : public TaskMetric {
 public:
  static Made Read(const LabelMaps& maps, size_t count, const LoadingPlan& loading) {
    if (loading.classes % maps.classes != 0) {
      return Status(Code::kInvalidPlan, "an answer does not have that many classes");
    }
    const size_t pixels = loading.classes / maps.classes;
    Result<std::vector<uint8_t>> labels = ReadByteRows(maps.labels, count, pixels);
    if (!labels.ok()) return labels.status();
    // Every number was multiplied once already, when the file was found to be that large.
    Result<std::vector<uint8_t>> predictions =
        ReadByteRows(maps.predictions, loading.stages.size(), count * pixels);
    if (!predictions.ok()) return predictions.status();
    return std::unique_ptr<TaskMetric>(
        new Maps(maps.classes, pixels, std::move(*labels), std::move(*predictions)));
  }

  Status Add(size_t stage, const std::vector<float>& answer) override {
    const size_t image = counts_.right.size();
    const size_t place = image * pixels_;
    const uint8_t* const expected = predictions_.data() + stage * labels_.size() + place;
    if (counts_.Add(answer, labels_.data() + place, expected, pixels_)) return {};
    return {Code::kDamaged,
            "the label map of image " + std::to_string(image) + " has other classes"};
  }

  int64_t Print(size_t stage) override {
    const MapCounts found = std::exchange(counts_, MapCounts(counts_.hits.size()));
    JsonLine("maps")
        .Add("stage", stage)
        .Add("right", found.right)
        .Add("labeled", found.labeled)
        .Add("differing", found.differing)
        .Add("hits", found.hits)
        .Add("given", found.given)
        .Add("there", found.there)
        .Add("lost", found.lost)
        .Print();
    return found.lost;
  }

 private:
  Maps(size_t classes, size_t pixels, std::vector<uint8_t> labels, std::vector<uint8_t> predictions)
      : pixels_(pixels),
        labels_(std::move(labels)),
        predictions_(std::move(predictions)),
        counts_(classes) {}

  const size_t pixels_;
  const std::vector<uint8_t> labels_;       // [count, pixels]
  const std::vector<uint8_t> predictions_;  // [stages, count, pixels]
  MapCounts counts_;
};

// Of embeddings their cosines to the teacher's are.
class Embeddings final : public TaskMetric {
 public:
  static Made Read(const std::string& path, size_t count, const LoadingPlan& loading) {
    Result<Rows> teachers = ReadFloatRows(path, count, loading.classes);
    if (!teachers.ok()) return teachers.status();
    return std::unique_ptr<TaskMetric>(new Embeddings(std::move(*teachers)));
  }

  Status Add(size_t, const std::vector<float>& answer) override {
    if (found_.Add(answer, teachers_.row(found_.cosines.size()))) return {};
    return {Code::kDamaged, "the teacher's embeddings have another width"};
  }

  int64_t Print(size_t stage) override {
    const EmbeddingCosines found = std::exchange(found_, {});
    JsonLine("embeddings")
        .Add("stage", stage)
        .Add("cosines", found.cosines)
        .Add("lost", found.lost)
        .Print();
    return found.lost;
  }

 private:
  explicit Embeddings(Rows teachers) : teachers_(std::move(teachers)) {}

  const Rows teachers_;
  EmbeddingCosines found_;
};

}  // namespace

Result<std::unique_ptr<TaskMetric>> MakeTaskMetric(const MeasurementPlan& plan, size_t count,
                                                   const LoadingPlan& loading) {
  if (plan.label_maps) return Maps::Read(*plan.label_maps, count, loading);
  if (plan.embeddings) return Embeddings::Read(*plan.embeddings, count, loading);
  return std::unique_ptr<TaskMetric>(std::make_unique<Labels>());
}

}  // namespace pwl::harness
