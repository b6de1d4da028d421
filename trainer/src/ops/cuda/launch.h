// Kernels are started here and nowhere else.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "ops/cuda/state.h"

namespace concord {

// The shared memory that a kernel was launched with.
template <class V>
__device__ V* launched_shared_memory() {
  extern __shared__ __align__(16) unsigned char memory[];
  return reinterpret_cast<V*>(memory);
}

// kernel<<<grid, block, shared_bytes>>>(arguments...) on the handle's stream; an error names the kernel. Nothing where the grid is
// empty.
template <class... P, class... A>
void launch(Cuda& cuda, const char* name, dim3 grid, dim3 block, int64_t shared_bytes, void (*kernel)(P...), A... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  constexpr int64_t kWithoutAsking = 48 << 10;
  if (shared_bytes > kWithoutAsking)
    check_cuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)), name);
  kernel<<<grid, block, static_cast<size_t>(shared_bytes), cuda.state().stream>>>(P(arguments)...);
  check_cuda(cudaGetLastError(), name);
}

inline unsigned blocks_for(int64_t n, int64_t per_block) { return static_cast<unsigned>((n + per_block - 1) / per_block); }

}  // namespace concord
