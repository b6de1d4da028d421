// cuBLASLt, loaded when a GPU is first used: the library is half a gigabyte, which programs that stay on the CPU shall not wait for.
#pragma once

#include <cublasLt.h>

namespace concord {

#define CONCORD_CUBLAS_FUNCTIONS(F)                                                                                         \
  F(Create) F(Destroy) F(MatrixLayoutCreate) F(MatrixLayoutDestroy) F(MatmulDescCreate) F(MatmulDescDestroy)                \
  F(MatmulDescSetAttribute) F(MatmulPreferenceCreate) F(MatmulPreferenceDestroy) F(MatmulPreferenceSetAttribute)            \
  F(MatmulAlgoGetHeuristic) F(Matmul)

struct Cublas {
#define CONCORD_MEMBER(Name) decltype(&::cublasLt##Name) Name = nullptr;
  CONCORD_CUBLAS_FUNCTIONS(CONCORD_MEMBER)
#undef CONCORD_MEMBER
};

// Failure(2) where the library is not found or lacks a function. Looks where it lay when this program was built, then where the system
// looks for libraries.
const Cublas& cublas();

// Throws std::runtime_error that names `what`.
void check_cublas(cublasStatus_t status, const char* what);

}  // namespace concord
