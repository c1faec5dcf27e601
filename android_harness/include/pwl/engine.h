// Engine: what the runtime needs of an inference library.
#ifndef PWL_ENGINE_H_
#define PWL_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "pwl/program_source.h"
#include "pwl/status.h"

namespace pwl {

// A view of float32 values that somebody else owns.
struct Floats {
  const float* data = nullptr;
  size_t size = 0;
  // The values begin at a multiple of kAlignment bytes, and so many bytes behind them can be read.
  // What is padded can be read in place by every engine; other values may be copied first.
  bool padded = false;

  static constexpr size_t kAlignment = 64;
};

// kUsage unless there are values, and as many as that. Throws std::bad_alloc at most.
Status RequireFloats(Floats input, size_t count);

// The most threads of one inference, far above any phone's cores.
constexpr int kMostThreads = 64;

// kUsage for a number of threads that no inference can have. Throws std::bad_alloc at most.
Status RequireThreads(int threads);

// What rules where not everything can be had.
enum class Favor {
  kAccuracy,  // answers that wait for nothing, while later stages come
  kMemory,    // little memory at its highest
};

// Where the time of a load went, in nanoseconds.
struct LoadTimes {
  int64_t locate_ns = 0;   // finding the file and checking its size
  int64_t verify_ns = 0;   // checking its sha256, where the plan asks for it
  int64_t map_ns = 0;      // opening and mapping it
  int64_t parse_ns = 0;    // reading and checking the program's structure
  int64_t prepare_ns = 0;  // building the executable form, packing weights

  LoadTimes& operator+=(const LoadTimes& other) {
    locate_ns += other.locate_ns;
    verify_ns += other.verify_ns;
    map_ns += other.map_ns;
    parse_ns += other.parse_ns;
    prepare_ns += other.prepare_ns;
    return *this;
  }
};

// What a program has to be: the sha256 that names it, and how many floats it reads and writes.
struct ProgramSpec {
  std::string sha256;
  size_t floats_in = 0;   // 0: any number
  size_t floats_out = 0;  // 0: any number
  // It runs in turns with all that are loaded so, such as those that give the first answer: they
  // may share memory to compute in, which is touched once then.
  bool in_turns = false;

  // kIncompatible unless a program of so many floats is what is asked for. Engines ask as soon as
  // they know the numbers: before memory is allocated for what a damaged file declares. Throws
  // std::bad_alloc at most.
  Status Fits(size_t in, size_t out) const;
};

// A loaded program. Used by one thread at a time; different programs may run at the same time. What
// Run throws counts as a failure; nothing else may throw.
class Program {
 public:
  virtual ~Program() = default;

  virtual size_t floats_in() const = 0;
  virtual size_t floats_out() const = 0;

  // Runs once. `input` must hold floats_in() values and is not kept. The result belongs to the
  // program and is valid until its next Run or its destruction.
  virtual Result<Floats> Run(Floats input) = 0;
};

// Loads programs. Used by several threads at once, also while programs run. What Load and
// WeightsFile throw counts as a failure.
class Engine {
 public:
  virtual ~Engine() = default;

  // Loads a program that must fit `spec`, whose sha256 weight caches are named after, and adds the
  // time of each phase to `times`. Needs `source` no longer than the call. What is no program gives
  // kDamaged or kIncompatible. Blocks until the program can run. Against damage that hits the
  // program's inside, check the sha256 before.
  virtual Result<std::unique_ptr<Program>> Load(const ProgramSource& source,
                                                const ProgramSpec& spec, LoadTimes* times) = 0;

  // The file that Load would read weights from instead of from the program: its weight cache, or
  // empty where there is none.
  virtual std::string WeightsFile(const std::string& sha256) const {
    (void)sha256;
    return "";
  }

  // Name and version for reports, such as "executorch 1.5.1".
  virtual std::string Name() const = 0;

  // The version that the library is known to have at least, such as "1.5.1".
  virtual std::string Version() const = 0;
};

}  // namespace pwl

#endif  // PWL_ENGINE_H_
