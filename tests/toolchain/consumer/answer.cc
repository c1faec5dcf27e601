#include <pwl/bundle.h>
#include <pwl/make_engine.h>
#include <pwl/observer.h>
#include <pwl/progressive_model.h>
#include <pwl/version.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

// Climbs to the last stage of the bundle in `folder` and prints what its first logit is at each.
extern "C" int answer(const char* folder, const char* library) {
  const auto bundle = pwl::Bundle::Open(folder);
  if (!bundle.ok()) return std::fprintf(stderr, "%s\n", bundle.status().message().c_str()), 2;
  pwl::EngineOptions options;
  options.threads = bundle->plan.threads;
  options.minimum_runtime = bundle->plan.minimum_runtime;
  options.library = library;
  const auto engine = pwl::MakeEngine(bundle->plan.backend, options);
  if (!engine.ok()) return std::fprintf(stderr, "%s\n", engine.status().message().c_str()), 3;
  const auto model = pwl::ProgressiveModel::Start(*bundle, engine->get(), {}, nullptr, nullptr);
  if (!model.ok()) return std::fprintf(stderr, "%s\n", model.status().message().c_str()), 4;
  std::vector<float> input(bundle->plan.floats_in);
  std::ifstream(std::string(folder) + "/golden/inputs.f32", std::ios::binary)
      .read(reinterpret_cast<char*>(input.data()),
            static_cast<std::streamsize>(input.size() * sizeof(float)));
  std::vector<float> logits;
  for (size_t stage = 0; stage < (*model)->stages(); ++stage) {
    (void)(*model)->LoadInBackground(stage);
    if (!(*model)->WaitForLoading().ok()) return 5;
    const auto served = (*model)->Infer({input.data(), input.size()}, &logits);
    if (!served.ok() || *served != stage) return 6;
    std::printf("%.9g\n", static_cast<double>(logits[0]));
  }
  return 0;
}
