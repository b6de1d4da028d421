// E4M3 codes and scales of rows are torch's (tests/golden/fp8.py).
#include "ops/fp8.h"

#include <algorithm>
#include <cmath>

#include "check.h"
#include "io/safetensors.h"
#include "ops/ops.h"

using namespace concord;

namespace {

struct Golden {
  SafetensorsFile file = read_safetensors(std::string(CONCORD_GOLDEN_DIR) + "/fp8.safetensors");

  std::vector<float> floats(const char* name) const { return to_f32(*file.find(name)); }
  std::vector<uint8_t> bytes(const char* name) const { return to_u8(*file.find(name)); }
};

}  // namespace

TEST("each of the 256 codes is torch's number, and that number's code") {
  const std::vector<float> values = Golden().floats("values");
  CHECK_EQ(values.size(), size_t{256});
  for (int code = 0; code < 256; code++) {
    const float value = e4m3_to_float(static_cast<uint8_t>(code));
    if ((code & 0x7f) == 0x7f) {
      CHECK(std::isnan(value) && std::isnan(values[code]));
      CHECK_EQ(float_to_e4m3(value) & 0x7f, 0x7f);
    } else {
      CHECK(value == values[code] && std::signbit(value) == std::signbit(values[code]));
      CHECK_EQ(int{float_to_e4m3(value)}, code);
    }
  }
  CHECK_EQ(values[1], 0x1p-9f);
  CHECK_EQ(values[0x7e], kE4m3Max);
}

TEST("numbers become the nearest code, halfway the even one; those beyond the largest become it") {
  const Golden golden;
  const std::vector<float> inputs = golden.floats("inputs");
  const std::vector<uint8_t> codes = golden.bytes("codes");
  for (size_t i = 0; i < inputs.size(); i++)
    if (float_to_e4m3(inputs[i]) != codes[i])
      throw check::Failed(std::to_string(inputs[i]) + " became " + std::to_string(float_to_e4m3(inputs[i])) + ", not " + std::to_string(codes[i]));
  CHECK_EQ(int{float_to_e4m3(-INFINITY)}, 0xfe);
}

TEST("a row's largest magnitude becomes 448, a row of zeros stays one, and what is no number stays none") {
  const Golden golden;
  const TensorView& view = *golden.file.find("weight");
  std::vector<float> weight = to_f32(view);
  Cpu cpu(2);
  const Mat<float> w(weight.data(), view.shape[0], view.shape[1]);
  const QuantizedMatrix q = quantize(cpu, w, Quantization::fp8);
  CHECK(q.codes == golden.bytes("weight.codes"));
  CHECK(q.scales == golden.floats("weight.scales"));
  CHECK_EQ(q.bytes(), quantized_bytes(w.rows, w.cols, Quantization::fp8));
  std::vector<double> exact(weight.size());
  ops::dequantize<double>(cpu, q.view(), {exact.data(), w.rows, w.cols});
  ops::dequantize<float>(cpu, q.view(), w);
  CHECK(weight == golden.floats("weight.dequantized"));
  CHECK(std::equal(exact.begin(), exact.end(), weight.begin()));

  weight[5] = NAN;
  ops::dequantize<float>(cpu, quantize(cpu, w, Quantization::fp8).view(), w);
  CHECK(std::isnan(weight[5]) && std::isfinite(weight[4]));
}
