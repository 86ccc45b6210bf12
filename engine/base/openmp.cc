#include "engine/base/openmp.h"

// From libgomp, declared here because clang has no omp.h of its own.
extern "C" void omp_set_num_threads(int);

namespace tern {

void KeepOpenMpOnThisThread() {
  thread_local const bool once = [] {
    omp_set_num_threads(1);
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace tern
