// The text of plans: one directive a line, words separated by one space, closed by `end`.
#ifndef PWL_SRC_RUNTIME_PLAN_TEXT_H_
#define PWL_SRC_RUNTIME_PLAN_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pwl/bundle.h"
#include "pwl/program_source.h"
#include "pwl/status.h"

namespace pwl {

using Words = std::vector<std::string_view>;

// Far above any model; keeps sums of sizes from overflowing.
constexpr uint64_t kMostFloats = uint64_t{1} << 32;

// Calls `directive` with the words of every line between `first` and `end`. What it says is wrong
// is given with the number of the line. Everything else that is wrong is kInvalidPlan, too.
Status ReadDirectives(std::string_view text, std::string_view first,
                      const std::function<Status(const Words&)>& directive);

// The whole text of a plan. kInvalidPlan for a file that is longer than plans are.
Result<std::string> ReadPlanText(const ProgramSource& source);

// kInvalidPlan, for `directive` to give.
Status Wrong(std::string what);

// A whole number between two others.
bool ParseNumber(std::string_view word, uint64_t least, uint64_t most, uint64_t* number);

// A finite number, with a point whatever the app's locale writes numbers with.
bool ParseFloat(std::string_view word, float* number);

// Relative, and without a step upwards: a plan cannot reach outside its folder.
bool IsInside(std::string_view path);

// ID PATH BYTES SHA256 FLOATS_IN FLOATS_OUT, from words[1] to the last.
bool ParseArtifact(const Words& words, Artifact* artifact);

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_PLAN_TEXT_H_
