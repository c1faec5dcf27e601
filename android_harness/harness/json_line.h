// One JSON object on one line of stdout: how the harness reports.
#ifndef PWL_HARNESS_JSON_LINE_H_
#define PWL_HARNESS_JSON_LINE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pwl::harness {

class JsonLine {
 public:
  // Every line says what it is in its first member, "event".
  explicit JsonLine(std::string_view event);

  JsonLine& Add(std::string_view key, int64_t value);
  JsonLine& Add(std::string_view key, size_t value) {
    return Add(key, static_cast<int64_t>(value));
  }
  JsonLine& Add(std::string_view key, int value) { return Add(key, int64_t{value}); }
  JsonLine& Add(std::string_view key, std::string_view value);
  JsonLine& Add(std::string_view key, const char* value) {
    return Add(key, std::string_view(value));
  }
  JsonLine& Add(std::string_view key, const std::vector<int64_t>& values);
  // Nine significant digits: enough to give back the same float. NaN and infinity become null.
  JsonLine& Add(std::string_view key, const std::vector<float>& values);

  // Writes the line and flushes it, so that it is out even if the process dies next.
  void Print() const;

 private:
  void Key(std::string_view key);

  std::string text_;
};

}  // namespace pwl::harness

#endif  // PWL_HARNESS_JSON_LINE_H_
