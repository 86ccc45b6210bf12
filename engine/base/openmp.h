// Keeps oneDNN on the thread that calls it.
//
// oneDNN brings OpenMP, which would start a team of threads, one for each CPU,
// at the first parallel region of every thread that calls it: idle or spinning
// beside the engine's own pool, and up to 0.3 s of start-up where CPUs are few.
//
// Every function through which oneDNN is reached calls KeepOpenMpOnThisThread
// first: ThreadPool for what runs in it, and whoever makes primitives or
// reorders weights. It costs a check of a thread-local flag; any thread may
// call it, any number of times. It holds for the calling thread, as long as
// nobody calls omp_set_num_threads there.

#ifndef TERN_ENGINE_BASE_OPENMP_H_
#define TERN_ENGINE_BASE_OPENMP_H_

namespace tern {

void KeepOpenMpOnThisThread();

}  // namespace tern

#endif  // TERN_ENGINE_BASE_OPENMP_H_
