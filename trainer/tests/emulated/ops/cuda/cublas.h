// Stands in for src/ops/cuda/cublas.h: what a handle of the backend does with cuBLASLt. The products are in tests/emulated/gemm.cpp.
#pragma once

#include <cublasLt.h>

namespace concord {

struct Cublas {
  cublasStatus_t Create(cublasLtHandle_t*) const { return CUBLAS_STATUS_SUCCESS; }
  cublasStatus_t Destroy(cublasLtHandle_t) const { return CUBLAS_STATUS_SUCCESS; }
};
inline Cublas cublas() { return {}; }
inline void check_cublas(cublasStatus_t, const char*) {}

}  // namespace concord
