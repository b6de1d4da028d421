// Rotary positions (Su et al. 2021) in the half-split layout of Hugging Face checkpoints: element i of the R elements that
// turn is paired with element i + R/2.
#include "ops/ops.h"

namespace concord::ops {

template <class T>
void rope(Cpu& cpu, Mat<T> qkv, AttentionShape shape, const int32_t* positions, Mat<const Stat<T>> table, Stat<T> direction) {
  const int64_t half = table.cols / 2;
  const int64_t rotated_heads = shape.heads + shape.kv_heads;
  cpu.for_ranges(qkv.rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      const T* cosines = table.row(positions[t]);
      const T* sines = cosines + half;
      for (int64_t head = 0; head < rotated_heads; head++) {
        T* x = qkv.row(t) + head * shape.head_dim;
#pragma omp simd
        for (int64_t i = 0; i < half; i++) {
          const T a = x[i], b = x[i + half], c = cosines[i], s = direction * sines[i];
          x[i] = a * c - b * s;
          x[i + half] = b * c + a * s;
        }
      }
    }
  });
}

template void rope<float>(Cpu&, Mat<float>, AttentionShape, const int32_t*, Mat<const float>, float);
template void rope<double>(Cpu&, Mat<double>, AttentionShape, const int32_t*, Mat<const double>, double);

}  // namespace concord::ops
