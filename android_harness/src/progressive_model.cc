#include "pwl/progressive_model.h"

#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "pwl/clock.h"
#include "pwl/loading.h"
#include "pwl/weight_cache.h"

namespace pwl {

Result<std::unique_ptr<ProgressiveModel>> ProgressiveModel::Start(Plan plan, Engine* engine,
                                                                  ProgressiveOptions options,
                                                                  Observer* observer,
                                                                  StageLoad* load) {
  std::unique_ptr<ProgressiveModel> model(
      new ProgressiveModel(std::move(plan), engine, std::move(options), observer));
  // All files are being read while the first one is being prepared.
  for (const std::string& file : model->FilesToRead(0)) Prefetch(file);
  StageLoad first;
  Result<std::shared_ptr<Stage>> stage = model->LoadStage(0, nullptr, &first);
  if (!stage.ok()) return stage.status();
  model->active_ = std::move(*stage);
  if (load != nullptr) *load = first;
  return model;
}

ProgressiveModel::ProgressiveModel(Plan plan, Engine* engine, ProgressiveOptions options,
                                   Observer* observer)
    : plan_(std::move(plan)), engine_(engine), options_(std::move(options)), observer_(observer) {}

ProgressiveModel::~ProgressiveModel() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  if (loader_.joinable()) loader_.join();
}

void ProgressiveModel::LoadInBackground() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (loading_ || stopping_) return;
    loading_ = true;
    failure_ = Status();
  }
  if (loader_.joinable()) loader_.join();  // has ended: loading_ was false
  loader_ = std::thread(&ProgressiveModel::LoadLaterStages, this);
}

Status ProgressiveModel::WaitForLoading() {
  if (loader_.joinable()) loader_.join();
  const std::lock_guard<std::mutex> lock(mutex_);
  return failure_;
}

Result<size_t> ProgressiveModel::Infer(Floats input, std::vector<float>* logits) {
  const std::lock_guard<std::mutex> turn(infer_mutex_);
  std::shared_ptr<Stage> stage;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stage = active_;
    serving_ = stage.get();
  }
  Result<size_t> answer = stage->index;
  Floats flow = input;
  for (const std::shared_ptr<Program>& program : stage->chain) {
    const Result<Floats> output = program->Run(flow);
    if (!output.ok()) {
      answer = output.status();
      break;
    }
    flow = *output;
  }
  // Copied while the stage is held: its programs may be destroyed as soon as it is let go.
  if (answer.ok()) logits->assign(flow.data, flow.data + flow.size);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    serving_ = nullptr;
    // While this stage is retired, the loading thread keeps it until it sees serving_ change, so
    // that letting go of it here never destroys a program.
    stage.reset();
  }
  served_.notify_all();
  return answer;
}

size_t ProgressiveModel::active_stage() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return active_->index;
}

Result<std::shared_ptr<ProgressiveModel::Stage>> ProgressiveModel::LoadStage(size_t index,
                                                                             const Stage* before,
                                                                             StageLoad* load) {
  load->stage = index;
  load->begin_ns = NowNs();
  auto stage = std::make_shared<Stage>();
  stage->index = index;
  for (const size_t unit : plan_.stages[index]) {
    std::shared_ptr<Program> program;
    if (before != nullptr) {
      const std::vector<size_t>& earlier = plan_.stages[before->index];
      for (size_t i = 0; i < earlier.size(); ++i) {
        if (earlier[i] == unit) program = before->chain[i];
      }
    }
    if (program == nullptr) {
      const Artefact& artefact = plan_.artefacts[unit];
      auto loaded = LoadArtefact(artefact, options_.verify, engine_, &load->times);
      if (!loaded.ok()) return loaded.status();
      program = std::move(*loaded);
      load->bytes += artefact.bytes;
    }
    stage->chain.push_back(std::move(program));
  }
  load->ready_ns = NowNs();
  return stage;
}

std::vector<std::string> ProgressiveModel::FilesToRead(size_t index) const {
  std::vector<std::string> files;
  if (index >= stages()) return files;
  const auto add = [&](const std::string& path) {
    if (!LooksResident(path)) files.push_back(path);
  };
  for (const size_t unit : plan_.stages[index]) {
    const Artefact& artefact = plan_.artefacts[unit];
    const std::string bulk = engine_->BulkOf(artefact.path, artefact.sha256);
    add(bulk);
    if (bulk != artefact.path && artefact.bytes <= kReadWhole) add(artefact.path);
  }
  return files;
}

void ProgressiveModel::LoadLaterStages() {
  std::shared_ptr<Stage> current;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    current = active_;
  }
  Status failure;
  // Nothing was being prepared yet while the first one of them could have been read.
  std::vector<std::string> to_read = FilesToRead(current->index + 1);
  for (size_t index = current->index + 1; index < stages(); ++index) {
    if (options_.may_load && !options_.may_load(index)) break;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) break;
    }
    // The next stage's files are read while this one's programs are being prepared, by a thread of
    // their own: submitting the reads takes as long as preparing a small block.
    for (std::string& file : FilesToRead(index + 1)) to_read.push_back(std::move(file));
    std::thread reader;
    if (!to_read.empty()) {
      try {
        reader = std::thread([files = std::exchange(to_read, {})] {
          for (const std::string& file : files) Prefetch(file);
        });
      } catch (const std::system_error&) {
        // No thread to be had: the files are read when they are loaded.
      }
    }
    StageLoad load;
    Result<std::shared_ptr<Stage>> next = LoadStage(index, current.get(), &load);
    if (reader.joinable()) reader.join();
    if (!next.ok()) {
      failure = next.status();
      if (observer_ != nullptr) observer_->StageFailed(index, failure);
      break;
    }
    current = *next;
    Activate(std::move(*next), &load);
    DestroyRetired(/*wait=*/false);
    if (observer_ != nullptr) observer_->StageActive(load);
  }
  current.reset();
  DestroyRetired(/*wait=*/true);
  const std::lock_guard<std::mutex> lock(mutex_);
  failure_ = failure;
  loading_ = false;
}

void ProgressiveModel::Activate(std::shared_ptr<Stage> next, StageLoad* load) {
  const int64_t begin = NowNs();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    active_.swap(next);
  }
  load->commit_ns = NowNs() - begin;
  retired_.push_back(std::move(next));
}

// Destroys the stages that no inference runs on any more, and with them the programs that no other
// stage uses. With `wait`, waits for the inference that still does.
void ProgressiveModel::DestroyRetired(bool wait) {
  std::vector<std::shared_ptr<Stage>> keep;
  for (std::shared_ptr<Stage>& stage : retired_) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (wait) served_.wait(lock, [&] { return serving_ != stage.get(); });
    const bool in_use = serving_ == stage.get();
    lock.unlock();
    if (in_use) keep.push_back(std::move(stage));
    stage.reset();
  }
  retired_ = std::move(keep);
}

}  // namespace pwl
