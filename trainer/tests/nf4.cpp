// NF4: bitsandbytes' numbers and rounding.
#include "ops/nf4.h"

#include <algorithm>
#include <cmath>

#include "check.h"
#include "model/random.h"
#include "ops/ops.h"

using namespace concord;

namespace {

std::vector<float> floats(int64_t n, uint64_t stream) {
  Random random(11, stream);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = static_cast<float>(random.uniform() + random.uniform() + random.uniform() - 1.5);
  return values;
}

std::vector<float> dense(Cpu& cpu, const QuantizedMatrix& q) {
  std::vector<float> out(static_cast<size_t>(q.rows * q.cols));
  ops::dequantize<float>(cpu, q.view(), {out.data(), q.rows, q.cols});
  return out;
}

}  // namespace

TEST("a number on the boundary between two codes becomes the lower one, as in bitsandbytes") {
  Cpu cpu;
  for (int i = 0; i < 15; i++) {
    CHECK_NEAR(kNf4Bounds[i], (kNf4Codes[i] + static_cast<double>(kNf4Codes[i + 1])) / 2, 4e-8);
    const float x[] = {1, kNf4Bounds[i], std::nextafter(kNf4Bounds[i], 2.0f), -1};
    const std::vector<float> got = dense(cpu, quantize_nf4(cpu, {x, 1, 4}, false));
    CHECK_EQ(got[1], kNf4Codes[i]);
    CHECK_EQ(got[2], kNf4Codes[i + 1]);
    CHECK(got[0] == 1 && got[3] == -1);
  }
}

TEST("each weight becomes the nearest code of its block, the first of a pair in the high half") {
  Cpu cpu(2);
  const std::vector<float> w = floats(3 * 50, 0);  // blocks run over rows, and the last is short
  const QuantizedMatrix q = quantize_nf4(cpu, {w.data(), 3, 50}, false);
  CHECK_EQ(q.scales.size(), size_t{3});
  CHECK_EQ(q.bytes(), nf4_bytes(150, false));
  const std::vector<float> got = dense(cpu, q);
  for (int64_t i = 0; i < 150; i++) {
    float scale = 0;
    for (int64_t j = i / 64 * 64; j < std::min<int64_t>(150, i / 64 * 64 + 64); j++) scale = std::max(scale, std::abs(w[j]));
    float best = 9;
    for (const float code : kNf4Codes) best = std::min(best, std::abs(code * scale - w[i]));
    CHECK_NEAR(std::abs(got[i] - w[i]), best, 1e-6);
    const uint8_t code = i % 2 == 0 ? q.codes[i / 2] >> 4 : q.codes[i / 2] & 15;
    CHECK_EQ(got[i], kNf4Codes[code] * scale);
  }
  const std::vector<float> zeros(64, 0);
  CHECK(dense(cpu, quantize_nf4(cpu, {zeros.data(), 1, 64}, true)) == zeros);
}

TEST("the dynamic map has bitsandbytes' numbers; double quantization moves a scale by less than its block's step") {
  const auto& map = dynamic_map();
  CHECK_EQ(map[255], 1.0f);
  CHECK_EQ(map[127], 0.0f);
  CHECK_NEAR(map[254], 0.9929687, 1e-6);  // 0.1 + 0.9 * 63.5 / 64
  CHECK_NEAR(map[0], -0.9929687, 1e-6);
  CHECK_NEAR(map[128], 5.5e-7, 1e-12);
  CHECK(std::is_sorted(map.begin(), map.end()));
  Cpu cpu;
  const std::vector<float> w = floats(300 * 128, 1);
  const QuantizedMatrix plain = quantize_nf4(cpu, {w.data(), 300, 128}, false), twice = quantize_nf4(cpu, {w.data(), 300, 128}, true);
  CHECK(plain.codes == twice.codes);
  CHECK_EQ(twice.bytes(), nf4_bytes(300 * 128, true));
  const std::vector<float> a = dense(cpu, plain), b = dense(cpu, twice);
  double spread = 0;
  for (const float scale : plain.scales) spread = std::max<double>(spread, std::abs(scale - twice.scale_mean));
  for (size_t i = 0; i < a.size(); i++) CHECK(std::abs(a[i] - b[i]) <= 0.008 * spread);
}
