#pragma once

namespace concord {

// First statement of main. OpenBLAS picks its kernels when the library loads, by a table of CPU models; on a CPU newer
// than itself it falls back to SSE3, five times slower than what the CPU can do. Where that happened, sets
// OPENBLAS_CORETYPE by the CPU's features and starts this program again in the same process (same pid, once).
void choose_blas_kernels(char** argv);

}  // namespace concord
