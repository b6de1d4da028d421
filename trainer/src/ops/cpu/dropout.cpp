#include <algorithm>
#include <cmath>

#include "model/random.h"
#include "ops/ops.h"

namespace concord::ops {
namespace {

constexpr int64_t kRowsPerPiece = 64;

}  // namespace

// One draw of 64 bits decides four columns, 16 bits each.
template <class T>
void dropout(Cpu& cpu, const Dropout& how, Mat<const T> x, const uint64_t* row_ids, Mat<T> y) {
  const auto dropped = static_cast<uint64_t>(std::lround(how.p * 65536));
  const T scale = T(65536) / static_cast<T>(65536 - dropped);
  cpu.for_ranges(x.rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) {
      Random random(how.key, row_ids[t]);
      const T* from = x.row(t);
      T* to = y.row(t);
      for (int64_t i = 0; i < x.cols; i += 4) {
        const uint64_t bits = random.next();
        for (int64_t j = i; j < std::min(i + 4, x.cols); j++) to[j] = (bits >> 16 * (j - i) & 0xffff) < dropped ? T(0) : from[j] * scale;
      }
    }
  });
}

template void dropout<float>(Cpu&, const Dropout&, Mat<const float>, const uint64_t*, Mat<float>);
template void dropout<double>(Cpu&, const Dropout&, Mat<const double>, const uint64_t*, Mat<double>);

}  // namespace concord::ops
