// What the tests of both plans do with their texts.
#ifndef PWL_TESTS_PLAN_TEXTS_H_
#define PWL_TESTS_PLAN_TEXTS_H_

#include <gtest/gtest.h>

#include <string>

#include "pwl/status.h"

namespace pwl {

// `text` with another piece in the place of one that it has.
inline std::string With(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

// That what was parsed is no plan, and that the reason says so.
template <typename Plan>
void ExpectNoPlan(const Result<Plan>& plan, const std::string& text, const std::string& why) {
  ASSERT_FALSE(plan.ok()) << text;
  EXPECT_EQ(plan.status().code(), Code::kInvalidPlan);
  EXPECT_NE(plan.status().message().find(why), std::string::npos) << plan.status().message();
}

}  // namespace pwl

#endif  // PWL_TESTS_PLAN_TEXTS_H_
