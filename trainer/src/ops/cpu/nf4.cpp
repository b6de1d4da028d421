#include "ops/nf4.h"

#include <algorithm>
#include <cmath>

#include "ops/ops.h"

namespace concord {
namespace {

constexpr int64_t kBlocksPerPiece = 1024;  // a multiple of kNf4ScaleBlock

int64_t pieces_of(int64_t n, int64_t size) { return (n + size - 1) / size; }

std::array<float, 255> midpoints(const std::array<float, 256>& codes) {
  std::array<float, 255> middle;
  for (size_t i = 0; i + 1 < codes.size(); i++) middle[i] = (codes[i] + codes[i + 1]) / 2;
  return middle;
}

// How many bounds lie below; all are compared, so that many numbers go at a time.
int32_t nf4_code(float x) {
  int32_t code = 0;
  for (const float bound : kNf4Bounds) code += x > bound;
  return code;
}

// The codes of a block, two a byte, and its scale.
float quantize_block(const float* x, int64_t n, uint8_t* codes) {
  const float scale = largest_magnitude(x, n), inverse = scale > 0 ? 1 / scale : 0;
  int32_t code[kNf4Block] = {};
#pragma omp simd
  for (int64_t i = 0; i < n; i++) code[i] = nf4_code(x[i] * inverse);
  for (int64_t i = 0; i < pieces_of(n, 2); i++) codes[i] = static_cast<uint8_t>(code[2 * i] << 4 | code[2 * i + 1]);
  return scale;
}

uint8_t nearest_scale_code(float x) {
  static const auto middle = midpoints(dynamic_map());
  return static_cast<uint8_t>(std::lower_bound(middle.begin(), middle.end(), x) - middle.begin());
}

void quantize_scales(QuantizedMatrix& q) {
  double sum = 0;
  for (const float scale : q.scales) sum += scale;
  q.scale_mean = static_cast<float>(sum / static_cast<double>(q.scales.size()));
  for (float& scale : q.scales) scale -= q.scale_mean;
  const auto n = static_cast<int64_t>(q.scales.size());
  for (int64_t begin = 0; begin < n; begin += kNf4ScaleBlock) {
    const int64_t count = std::min(kNf4ScaleBlock, n - begin);
    const float largest = largest_magnitude(q.scales.data() + begin, count);
    q.scale_scales.push_back(largest);
    for (int64_t i = begin; i < begin + count; i++)
      q.scale_codes.push_back(nearest_scale_code(largest > 0 ? q.scales[i] / largest : 0.0f));
  }
  q.scales.clear();
  q.scales.shrink_to_fit();
}

float scale_of(const QuantizedView& q, int64_t block) {
  if (q.how == Quantization::nf4) return q.scales[block];
  return dynamic_map()[q.scale_codes[block]] * q.scale_scales[block / kNf4ScaleBlock] + q.scale_mean;
}

}  // namespace

// For each exponent 10^-6 .. 10^0 the middles of 2^i equal parts of [0.1, 1], with both signs; 0 and 1 besides.
const std::array<float, 256>& dynamic_map() {
  static const auto map = [] {
    std::vector<float> values = {0, 1};
    for (int i = 0; i < 7; i++) {
      const int parts = 1 << i;
      for (int k = 0; k < parts; k++) {
        const double middle = 0.1 + 0.9 * (k + 0.5) / parts;
        const auto value = static_cast<float>(std::pow(10.0, i - 6) * middle);
        values.push_back(value);
        values.push_back(-value);
      }
    }
    std::sort(values.begin(), values.end());
    std::array<float, 256> sorted;
    std::copy(values.begin(), values.end(), sorted.begin());
    return sorted;
  }();
  return map;
}

int64_t nf4_bytes(int64_t elements, bool double_quant) {
  const int64_t blocks = pieces_of(elements, kNf4Block), floats = sizeof(float);
  return pieces_of(elements, 2) + (double_quant ? blocks + floats * pieces_of(blocks, kNf4ScaleBlock) : floats * blocks);
}

QuantizedMatrix quantize_nf4(Cpu& cpu, Mat<const float> w, bool double_quant) {
  QuantizedMatrix q{double_quant ? Quantization::nf4_double : Quantization::nf4, w.rows, w.cols};
  const int64_t n = w.rows * w.cols, blocks = pieces_of(n, kNf4Block);
  q.codes.resize(pieces_of(n, 2));
  q.scales.resize(blocks);
  cpu.for_ranges(blocks, kBlocksPerPiece, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; block++) {
      const int64_t begin = block * kNf4Block;
      q.scales[block] = quantize_block(w.data + begin, std::min(kNf4Block, n - begin), q.codes.data() + begin / 2);
    }
  });
  if (double_quant) quantize_scales(q);
  return q;
}

template <class T>
void dequantize_nf4(Cpu& cpu, const QuantizedView& q, Mat<T> out) {
  const int64_t n = q.rows * q.cols;
  cpu.for_ranges(pieces_of(n, kNf4Block), kBlocksPerPiece, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; block++) {
      const float scale = scale_of(q, block);
      float values[16];
      for (int code = 0; code < 16; code++) values[code] = kNf4Codes[code] * scale;
      const int64_t begin = block * kNf4Block, end = std::min(begin + kNf4Block, n);
      for (int64_t i = begin; i < end; i++) out.data[i] = values[i % 2 == 0 ? q.codes[i / 2] >> 4 : q.codes[i / 2] & 15];
    }
  });
}

template void dequantize_nf4<float>(Cpu&, const QuantizedView&, Mat<float>);
template void dequantize_nf4<double>(Cpu&, const QuantizedView&, Mat<double>);

}  // namespace concord
