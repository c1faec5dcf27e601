#include "engines/toy/engine.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace pwl {
namespace {

// "toy1", how many floats it reads and writes, then an offset and a row of weights for each that it
// writes.
struct Header {
  uint32_t magic;
  uint32_t in;
  uint32_t out;
};
constexpr uint32_t kMagic = 0x31796f74;

class ToyProgram final : public Program {
 public:
  ToyProgram(size_t in, std::vector<float> values)
      : in_(in), values_(std::move(values)), outputs_(values_.size() / (in + 1)) {}

  size_t floats_in() const override { return in_; }
  size_t floats_out() const override { return outputs_.size(); }

  Result<Floats> Run(Floats input) override {
    if (Status status = RequireFloats(input, in_); !status.ok()) return status;
    const float* row = values_.data();
    for (float& output : outputs_) {
      output = *row++;
      for (size_t i = 0; i < in_; ++i) output += *row++ * input.data[i];
    }
    return Floats{outputs_.data(), outputs_.size()};
  }

 private:
  const size_t in_;
  const std::vector<float> values_;
  std::vector<float> outputs_;
};

class ToyEngine final : public Engine {
 public:
  Result<std::unique_ptr<Program>> Load(const ProgramSource& source, const ProgramSpec& spec,
                                        LoadTimes*) override {
    Header header;
    if (Status status = source.Read(0, &header, sizeof(header)); !status.ok()) return status;
    if (header.magic != kMagic) return Status(Code::kDamaged, source.path() + " is no toy");
    if (Status status = spec.Fits(header.in, header.out); !status.ok()) return status;
    std::vector<float> values((size_t{header.in} + 1) * header.out);
    Status status = source.Read(sizeof(header), values.data(), values.size() * sizeof(float));
    if (!status.ok()) return status;
    return std::unique_ptr<Program>(std::make_unique<ToyProgram>(header.in, std::move(values)));
  }

  std::string Name() const override { return "toy 1.0.0"; }
  std::string Version() const override { return "1.0.0"; }
};

}  // namespace

Result<std::unique_ptr<Engine>> MakeToyEngine() {
  return std::unique_ptr<Engine>(std::make_unique<ToyEngine>());
}

}  // namespace pwl
