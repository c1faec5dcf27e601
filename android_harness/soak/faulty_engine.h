// An engine whose programs fail at random, in every way that engines do.
#ifndef PWL_SOAK_FAULTY_ENGINE_H_
#define PWL_SOAK_FAULTY_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>

#include "pwl/engine.h"

namespace pwl::soak {

// Decides at random, in several threads, whether something fails.
class Chance {
 public:
  explicit Chance(uint32_t seed) : random_(seed) {}

  // True with that probability, unless nothing is to fail.
  bool Of(double probability) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return on_ && std::uniform_real_distribution<>(0, 1)(random_) < probability;
  }
  uint32_t Below(uint32_t limit) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::uniform_int_distribution<uint32_t>(0, limit - 1)(random_);
  }
  void Set(bool on) {
    const std::lock_guard<std::mutex> lock(mutex_);
    on_ = on;
  }

 private:
  std::mutex mutex_;
  std::mt19937 random_;
  bool on_ = false;
};

// Fails in one of the ways that engines do.
inline Status Fail(Chance* chance, Code code) {
  switch (chance->Below(3)) {
    case 0:
      throw std::bad_alloc();
    case 1:
      throw std::logic_error("injected");
    default:
      return {code, "injected"};
  }
}

struct Faults {
  std::atomic<uint64_t> loads{0};
  std::atomic<uint64_t> runs{0};
};

class FaultyProgram : public Program {
 public:
  FaultyProgram(std::unique_ptr<Program> program, Chance* chance, Faults* faults)
      : program_(std::move(program)), chance_(chance), faults_(faults) {}
  size_t floats_in() const override { return program_->floats_in(); }
  size_t floats_out() const override { return program_->floats_out(); }
  Result<Floats> Run(Floats input) override {
    if (chance_->Of(0.002)) {
      ++faults_->runs;
      return Fail(chance_, Code::kRuntime);
    }
    return program_->Run(input);
  }

 private:
  const std::unique_ptr<Program> program_;
  Chance* const chance_;
  Faults* const faults_;
};

class FaultyEngine : public Engine {
 public:
  FaultyEngine(std::unique_ptr<Engine> engine, Chance* chance, Faults* faults)
      : engine_(std::move(engine)), chance_(chance), faults_(faults) {}

  Result<std::unique_ptr<Program>> Load(const ProgramSource& source, const ProgramSpec& spec,
                                        LoadTimes* times) override {
    return Spoilt([&] { return engine_->Load(source, spec, times); });
  }
  std::string WeightsFile(const std::string& sha256) const override {
    return engine_->WeightsFile(sha256);
  }
  std::string Name() const override { return engine_->Name(); }
  std::string Version() const override { return engine_->Version(); }

 private:
  template <typename Load>
  Result<std::unique_ptr<Program>> Spoilt(const Load& load) {
    if (chance_->Of(0.02)) {
      ++faults_->loads;
      // Fails at the very end: what was loaded has to go again.
      if (chance_->Below(4) == 0) (void)load();
      return Fail(chance_, Code::kDamaged);
    }
    auto program = load();
    if (!program.ok()) return program.status();
    return std::unique_ptr<Program>(
        std::make_unique<FaultyProgram>(std::move(*program), chance_, faults_));
  }

  const std::unique_ptr<Engine> engine_;
  Chance* const chance_;
  Faults* const faults_;
};

}  // namespace pwl::soak

#endif  // PWL_SOAK_FAULTY_ENGINE_H_
