#include "ops/cpu/blas_kernels.h"

#include <cblas.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace concord {

void choose_blas_kernels(char** argv) {
#if defined(__x86_64__)
  if (getenv("OPENBLAS_CORETYPE")) return;
  const std::string_view core = openblas_get_corename();
  const bool fallback = core == "Prescott" || core == "Core2" || core == "Nehalem";
  if (!fallback) return;
  const char* better = nullptr;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    better = "SkylakeX";
  } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    better = "Haswell";
  }
  if (!better) return;
  setenv("OPENBLAS_CORETYPE", better, 1);
  execv("/proc/self/exe", argv);  // where /proc is missing this returns, and the program goes on with slow kernels
#else
  (void)argv;
#endif
}

}  // namespace concord
