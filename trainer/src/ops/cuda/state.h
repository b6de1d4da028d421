// What a Cuda handle holds, for the host's side of the operations.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <map>
#include <tuple>

#include "ops/cuda/cuda.h"

namespace concord {

// Throws std::bad_alloc where memory is short, else std::runtime_error that names `what`.
void check_cuda(cudaError_t error, const char* what);

struct Cuda::State {
  int index = 0;
  cudaStream_t stream = nullptr;

  // Page-locked memory that copies to the device pass through, used round and round.
  std::byte* staging = nullptr;
  int64_t staged = 0;

  std::byte* reduction = nullptr;  // scratch of kernels that add up what many blocks found
  float* nf4_tables = nullptr;     // the 16 codes, then the dynamic map's 256 numbers

  cublasLtHandle_t blas = nullptr;
  std::byte* blas_workspace = nullptr;
  // The algorithm of each product that has been asked for: types, shapes, leading dimensions, alignment (gemm.cpp).
  std::map<std::tuple<int, int, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, uint32_t>, cublasLtMatmulAlgo_t> algorithms;
};

inline constexpr int64_t kStagingBytes = 16 << 20;
inline constexpr int64_t kReductionBytes = 64 << 10;
inline constexpr int64_t kBlasWorkspaceBytes = 64 << 20;  // what NVIDIA advises for Hopper, with room

}  // namespace concord
