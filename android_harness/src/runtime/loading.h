// Loading one artifact: what is checked before and after the engine sees it.
#ifndef PWL_SRC_RUNTIME_LOADING_H_
#define PWL_SRC_RUNTIME_LOADING_H_

#include <memory>
#include <string>

#include "pwl/bundle.h"
#include "pwl/engine.h"
#include "pwl/program_source.h"
#include "pwl/progressive_model.h"
#include "pwl/status.h"
#include "pwl/verified_files.h"

namespace pwl {

// Whether the first and the last byte of a program are in the page cache, which costs microseconds
// to ask. False where the kernel does not say.
bool LooksResident(const ProgramSource& source);

// Asks the kernel to read a program ahead, which takes the calling thread milliseconds for a large
// one. A hint: failures show later, when it is loaded.
void Prefetch(const ProgramSource& source) noexcept;

// How files are checked before an engine sees them.
struct Checks {
  Verify verify = Verify::kSha256;
  // Files that were verified before and have not changed since are not hashed again, and those
  // that are hashed now are remembered. Null: every file is hashed.
  VerifiedFiles* verified = nullptr;

  Checks(Verify how) : verify(how) {}  // NOLINT(google-explicit-constructor)
  Checks(Verify how, VerifiedFiles* files) : verify(how), verified(files) {}
};

// Opens a file of a bundle that has the size, and by `checks` the sha256, that the plan says.
// Messages begin with the artifact's id. `times`, unless null, is told how long it took.
//
// The sha256 matters for more than right answers: ExecuTorch's own checks let some damaged programs
// through to XNNPACK, which crashes on them.
Result<ProgramSource> OpenArtifact(const BundleFiles& files, const Artifact& artifact,
                                   const Checks& checks, LoadTimes* times);

// The same for a file that is not needed now.
Status CheckArtifact(const BundleFiles& files, const Artifact& artifact, const Checks& checks,
                     LoadTimes* times);

// Loads an artifact that has the size, and by `checks` the sha256, that the plan says, and whose
// program reads and writes as many floats as the plan says: the very file that was checked, even if
// another one has its name by now. Messages begin with the artifact's id. Throws nothing, whatever
// the engine throws.
Result<std::shared_ptr<Program>> LoadArtifact(const BundleFiles& files, const Artifact& artifact,
                                              const Checks& checks, Engine* engine,
                                              LoadTimes* times) noexcept;

}  // namespace pwl

#endif  // PWL_SRC_RUNTIME_LOADING_H_
