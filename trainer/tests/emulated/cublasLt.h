// The types of cuBLASLt that a handle of the backend holds.
#pragma once

using cublasLtHandle_t = void*;
struct cublasLtMatmulAlgo_t {};
enum cublasStatus_t { CUBLAS_STATUS_SUCCESS };
