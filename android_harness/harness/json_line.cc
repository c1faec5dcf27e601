#include "harness/json_line.h"

#include <cmath>
#include <cstdio>

namespace pwl::harness {
namespace {

std::string Quote(std::string_view value) {
  std::string text = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) {
      // Bytes beyond ASCII are shown one by one: a path need not be valid UTF-8.
      char escape[7];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned char>(c));
      text += escape;
    } else {
      text += c;
    }
  }
  return text + '"';
}

template <typename T, typename Print>
std::string Array(const std::vector<T>& values, Print print) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += ',';
    text += print(values[i]);
  }
  return text + ']';
}

}  // namespace

JsonLine::JsonLine(std::string_view event) : text_("{\"event\":" + Quote(event)) {}

void JsonLine::Key(std::string_view key) { text_ += ',' + Quote(key) + ':'; }

JsonLine& JsonLine::Add(std::string_view key, int64_t value) {
  Key(key);
  text_ += std::to_string(value);
  return *this;
}

JsonLine& JsonLine::Add(std::string_view key, std::string_view value) {
  Key(key);
  text_ += Quote(value);
  return *this;
}

JsonLine& JsonLine::Add(std::string_view key, const std::vector<int64_t>& values) {
  Key(key);
  text_ += Array(values, [](int64_t value) { return std::to_string(value); });
  return *this;
}

JsonLine& JsonLine::Add(std::string_view key, const std::vector<float>& values) {
  Key(key);
  text_ += Array(values, [](float value) -> std::string {
    if (!std::isfinite(value)) return "null";
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.9g", static_cast<double>(value));
    return digits;
  });
  return *this;
}

void JsonLine::Print() const {
  std::fputs((text_ + "}\n").c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace pwl::harness
