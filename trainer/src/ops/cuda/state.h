// What a Cuda handle holds, for the host's side of the operations.
#pragma once

#include <cuda_runtime.h>

#include <memory>

#include "ops/cuda/cuda.h"

namespace concord {

// Throws std::bad_alloc where memory is short, else std::runtime_error that names `what`.
void check_cuda(cudaError_t error, const char* what);

// What products need of a handle: cuBLASLt's part of it (gemm.cpp).
struct Blas;
struct EndBlas {
  void operator()(Blas*) const;
};
// Failure(2) where cuBLASLt is not found.
std::unique_ptr<Blas, EndBlas> start_blas();

struct Cuda::State {
  int index = 0;
  cudaStream_t stream = nullptr;

  // Page-locked memory that copies to the device pass through, used round and round.
  std::byte* staging = nullptr;
  int64_t staged = 0;

  std::byte* reduction = nullptr;  // scratch of kernels that add up what many blocks found
  float* nf4_tables = nullptr;     // the 16 codes, then the dynamic map's 256 numbers

  std::unique_ptr<Blas, EndBlas> blas;
};

inline constexpr int64_t kStagingBytes = 16 << 20;
inline constexpr int64_t kReductionBytes = 64 << 10;

}  // namespace concord
