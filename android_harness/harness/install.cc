// install: what an app has done once, when its files have arrived.

#include "pwl/install.h"

#include <memory>

#include "harness/json_line.h"
#include "harness/tasks.h"
#include "pwl/make_engine.h"

namespace pwl::harness {
namespace {

// The control arms as one bundle: each is a stage, none is ever run. The programs of a parallel one
// are the bundle's own.
Bundle ArmsOf(const MeasurementPlan& plan) {
  Bundle arms;
  arms.files = std::make_shared<const FolderFiles>(plan.folder);
  for (const Arm& arm : plan.arms) {
    if (arm.parallel) continue;
    arms.plan.stages.emplace_back();
    for (const Artifact& program : arm.programs) {
      arms.plan.stages.back().push_back(arms.plan.artifacts.size());
      arms.plan.artifacts.push_back(program);
    }
  }
  return arms;
}

Status InstallAndPrint(const Bundle& bundle, Engine* engine, const WeightCache& cache) {
  InstallOptions options;
  options.cache = cache;
  const Result<Installed> installed = Install(bundle, engine, options);
  if (!installed.ok()) return installed.status();
  JsonLine("installed")
      .Add("hashed", installed->hashed)
      .Add("built", installed->built)
      .Add("there", installed->there)
      .Add("without", installed->without)
      .Print();
  return {};
}

}  // namespace

Status RunInstall(const Options& options, const MeasurementPlan& plan, const Bundle& bundle) {
  const Result<std::unique_ptr<Engine>> engine = MakeEngineFor(bundle.plan, options);
  if (!engine.ok()) return engine.status();
  Status status = InstallAndPrint(bundle, engine->get(), options.cache);
  const Bundle arms = ArmsOf(plan);
  if (!status.ok() || arms.plan.stages.empty()) return status;
  return InstallAndPrint(arms, engine->get(), options.cache);
}

}  // namespace pwl::harness
