// progress: one thread infers while another loads the later stages: at full speed, or whenever a
// frame comes.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "harness/cpu_clock.h"
#include "harness/data.h"
#include "harness/frames.h"
#include "harness/json_line.h"
#include "harness/process.h"
#include "harness/programs.h"
#include "harness/tasks.h"
#include "pwl/make_engine.h"
#include "pwl/progressive_model.h"
#include "runtime/clock.h"

namespace pwl::harness {
namespace {

// Collects what the loading thread says. Read by the inferring thread after WaitForLoading.
class Recorder final : public Observer {
 public:
  void StageActive(const StageLoad& load) override {
    loads_.push_back(load);
    memory_.push_back(ReadMemory());
  }
  void StageFailed(size_t, const Status&) override {}  // WaitForLoading gives the reason too

  const std::vector<StageLoad>& loads() const { return loads_; }
  const std::vector<Memory>& memory() const { return memory_; }

 private:
  std::vector<StageLoad> loads_;
  std::vector<Memory> memory_;
};

// Lets a stage be loaded after the one before has served for a while.
class Pace {
 public:
  explicit Pace(int hold) : hold_(hold) {}

  void Served(size_t stage) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      served_ = stage == stage_ ? served_ + 1 : 1;
      stage_ = stage;
    }
    changed_.notify_all();
  }

  bool MayLoad(size_t stage) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return ended_ || (stage_ + 1 == stage && served_ >= hold_); });
    return !ended_;
  }

  void End() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
  }

 private:
  const int hold_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t stage_ = 0;
  int served_ = 0;
  bool ended_ = false;
};

// Every inference, with times since the origin.
class Inferences {
 public:
  explicit Inferences(int64_t origin) : origin_(origin) {}

  int64_t origin() const { return origin_; }

  // `frame`: the one that was answered; negative at full speed.
  void Add(int64_t begin, int64_t end, int64_t cpu, size_t stage, int64_t frame) {
    begin_.push_back(begin - origin_);
    duration_.push_back(end - begin);
    cpu_.push_back(cpu);
    stage_.push_back(static_cast<int64_t>(stage));
    if (frame >= 0) frame_.push_back(frame);
  }

  void Print() const {
    JsonLine("inferences")
        .Add("begin_ns", begin_)
        .Add("duration_ns", duration_)
        .Add("cpu_ns", cpu_)
        .Add("stage", stage_)
        .Add("frame", frame_)
        .Print();
  }

 private:
  const int64_t origin_;
  std::vector<int64_t> begin_;
  std::vector<int64_t> duration_;
  std::vector<int64_t> cpu_;
  std::vector<int64_t> stage_;
  std::vector<int64_t> frame_;
};

// Infers until loading has ended, and `options.inferences` times more.
Status Serve(const Options& options, Floats input, const std::atomic<bool>& loading,
             ProgressiveModel* model, Pace* pace, Inferences* served) {
  std::optional<Frames> frames;
  if (options.fps > 0) frames.emplace(served->origin(), options.fps);
  int64_t frame = -1;
  std::vector<float> logits;
  for (int after = 0; loading || after < options.inferences;) {
    const bool done = !loading;
    if (frames) frame = frames->WaitForFrameAfter(frame);
    const int64_t before_cpu = CpuNs();
    const int64_t before = NowNs();
    const Result<size_t> stage = model->Infer(input, &logits);
    const int64_t now = NowNs();
    if (!stage.ok()) return stage.status();
    served->Add(before, now, CpuNs() - before_cpu, *stage, frame);
    pace->Served(*stage);
    if (done) ++after;
  }
  return {};
}

void Print(const StageLoad& load, const Memory& memory, int64_t origin) {
  JsonLine("stage")
      .Add("stage", load.stage)
      .Add("load_begin_ns", load.begin_ns - origin)
      .Add("ready_ns", load.ready_ns - origin)
      .Add("warm_ns", load.warm_ns)
      .Add("ahead_begin_ns", load.ahead_ns > 0 ? load.ahead_begin_ns - origin : 0)
      .Add("ahead_ns", load.ahead_ns)
      .Add("commit_ns", load.commit_ns)
      .Add("locate_ns", load.times.locate_ns)
      .Add("verify_ns", load.times.verify_ns)
      .Add("map_ns", load.times.map_ns)
      .Add("parse_ns", load.times.parse_ns)
      .Add("prepare_ns", load.times.prepare_ns)
      .Add("bytes", static_cast<int64_t>(load.bytes))
      .Add("rss_kb", memory.rss_kb)
      .Add("peak_rss_kb", memory.peak_kb)
      .Print();
}

}  // namespace

Status RunProgress(const Options& options, const StartState& start, int64_t main_ns) {
  const Result<MeasurementPlan> plan = ReadMeasurementPlan(options.plan);
  if (!plan.ok()) return plan.status();
  const Result<Bundle> described = Bundle::Open(plan->bundle);
  if (!described.ok()) return described.status();
  const Result<Rows> inputs = ReadGoldenInputs(*plan, described->plan.floats_in);
  if (!inputs.ok()) return inputs.status();

  const int64_t origin_cpu = CpuNs();
  const int64_t origin = NowNs();
  Result<Bundle> bundle = Bundle::Open(plan->bundle);
  if (!bundle.ok()) return bundle.status();
  const Result<std::unique_ptr<Engine>> engine = MakeEngineFor(bundle->plan, options);
  if (!engine.ok()) return engine.status();
  Pace pace(options.hold);
  Recorder recorder;
  StageLoad first;
  // At full speed nobody is asked: asking waits for the inference that still runs on the stage
  // before, so that its programs are gone.
  ProgressiveOptions how;
  how.verify = plan->verify;
  if (options.hold > 0) how.may_load = [&](size_t stage) { return pace.MayLoad(stage); };
  auto started = ProgressiveModel::Start(std::move(*bundle), engine->get(), how, &recorder, &first);
  if (!started.ok()) return started.status();
  ProgressiveModel& model = **started;
  const Memory first_memory = ReadMemory();
  model.LoadInBackground();

  // A model whose loading failed never reaches its last stage, so it serves until that is known.
  std::atomic<bool> loading{true};
  Status outcome;
  std::thread waiter([&] {
    outcome = model.WaitForLoading();
    loading = false;
  });
  Inferences served(origin);
  const Status failure = Serve(options, inputs->row(0), loading, &model, &pace, &served);
  pace.End();
  waiter.join();
  if (!failure.ok()) return failure;

  const int64_t end = NowNs();
  const int64_t end_cpu = CpuNs();
  const Memory last = ReadMemory();
  JsonLine("progress")
      .Add("state", start.state)
      .Add("pages", start.pages)
      .Add("resident_pages", start.resident_pages)
      .Add("process_to_origin_ns", origin - start.exec_ns)
      .Add("start_ns", main_ns - start.exec_ns)
      .Add("hold", options.hold)
      .Add("fps", options.fps)
      .Add("wall_ns", end - origin)
      .Add("cpu_ns", end_cpu - origin_cpu)
      .Add("rss_kb", last.rss_kb)
      .Add("peak_rss_kb", last.peak_kb)
      .Add("bytes_read", StorageBytesRead())
      .Add("cache_bytes", CacheBytes(options, *plan, described->plan))
      .Print();
  Print(first, first_memory, origin);
  for (size_t i = 0; i < recorder.loads().size(); ++i) {
    Print(recorder.loads()[i], recorder.memory()[i], origin);
  }
  served.Print();
  return outcome;
}

}  // namespace pwl::harness
