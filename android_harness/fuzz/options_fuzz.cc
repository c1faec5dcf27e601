// Whatever words are given, separated by NUL: options that hold together, or kUsage.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "harness/options.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::string> words{"pwl_harness"};
  std::string word;
  for (size_t i = 0; i < size; ++i) {
    if (data[i] == 0) {
      words.push_back(std::move(word));
      word.clear();
    } else {
      word += static_cast<char>(data[i]);
    }
  }
  words.push_back(word);
  std::vector<char*> argv;
  for (std::string& each : words) argv.push_back(each.data());
  const auto options = pwl::harness::ParseOptions(static_cast<int>(argv.size()), argv.data());
  if (!options.ok()) {
    Require(options.status().code() == pwl::Code::kUsage);
    return 0;
  }
  Require(!options->task.empty() && !options->plan.empty() && !options->nonce.empty());
  Require(options->inferences >= 0 && options->hold >= 0);
  Require(!options->cache.enabled() || !options->cache.runtime.empty());
  return 0;
}
