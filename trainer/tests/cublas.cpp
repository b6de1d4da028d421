// That cuBLASLt has every function the CUDA backend calls; no GPU is needed to see it. Nothing to test in a build without that backend.
#include "check.h"

#ifdef CONCORD_CUDA
#include "ops/cuda/cublas.h"

TEST("cuBLASLt loads and has every function") { CHECK(concord::cublas().Matmul != nullptr); }
#endif
