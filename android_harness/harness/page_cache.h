// The page cache of the whole system.
#ifndef PWL_HARNESS_PAGE_CACHE_H_
#define PWL_HARNESS_PAGE_CACHE_H_

#include "pwl/status.h"

namespace pwl::harness {

// Has Android's init drop every clean page, which the user "shell" may ask for from Android 12 on
// (API level 31): it takes the property perf.drop_caches back to 0 when that is done. kNotCold
// where the property cannot be set or stays as it is.
Status DropPageCache();

}  // namespace pwl::harness

#endif  // PWL_HARNESS_PAGE_CACHE_H_
