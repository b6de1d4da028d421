// concord-trainer merge: the base with the adapter added in, W + s B A, as a checkpoint that needs no adapter.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "error.h"
#include "io/adapter.h"
#include "io/checkpoint_dir.h"
#include "ops/ops.h"
#include "run/commands.h"
#include "run/device.h"

namespace concord {
namespace {

// What a base has beside its weights: how text becomes ids and where an answer ends.
constexpr const char* kTextFiles[] = {"tokenizer.json",   "tokenizer_config.json",   "tokenizer.model",     "vocab.json",            "merges.txt",
                                      "added_tokens.json", "special_tokens_map.json", "chat_template.jinja", "generation_config.json"};

constexpr float kHalfMax = 65504;

void check_fits(const TensorInfo& weight, const std::vector<float>& values) {
  const bool fits = weight.dtype != DType::F16 || std::all_of(values.begin(), values.end(), [](float v) { return std::abs(v) <= kHalfMax; });
  if (!fits) bad_input("the merged weight " + in_quotes(weight.name) + " is too large for the base's float16; use a base in bfloat16 or float32");
}

// DoRA: each row of W + s B A to the length of its magnitude.
void scale_to_magnitude(std::vector<float>& values, const LoraModule& m) {
  for (int64_t i = 0; i < m.out; i++) {
    float* row = values.data() + i * m.in;
    double square = 0;
    for (int64_t j = 0; j < m.in; j++) square += static_cast<double>(row[j]) * static_cast<double>(row[j]);
    const double gain = square > 0 ? m.magnitude[i] / std::sqrt(square) : 0;
    for (int64_t j = 0; j < m.in; j++) row[j] = static_cast<float>(row[j] * gain);
  }
}

// Root of the summed squares of what changed, relative to what it was.
struct RelativeError {
  double difference = 0, whole = 0;
  double value() const { return whole > 0 ? std::sqrt(difference / whole) : 0; }
};

// An adapter that was trained on a quantized base belongs to the dequantized weights: merged into the original ones it would
// correct errors that are not there.
void quantize_and_back(Cpu& cpu, Mat<float> weight, Quantization quantization, RelativeError& error) {
  const QuantizedMatrix quantized = quantize(cpu, weight, quantization);
  const std::vector<float> before(weight.data, weight.data + weight.rows * weight.cols);
  ops::dequantize<float>(cpu, quantized.view(), weight);
  for (size_t i = 0; i < before.size(); i++) {
    const double x = before[i], d = static_cast<double>(weight.data[i]) - x;
    error.difference += d * d;
    error.whole += x * x;
  }
}

class Merge {
 public:
  Merge(const CheckpointDir& base, const Adapter& adapter, Quantization quantization) : base_(base), quantization_(quantization) {
    for (const LoraModule& m : adapter.modules) adapted_[m.module + ".weight"] = &m;
    if (quantization == Quantization::none) return;
    for (const LinearSpec& linear : model_linears(base.config)) quantized_.insert(linear.module + ".weight");
  }

  std::vector<float> weight(const TensorSpec& spec) {
    std::vector<float> values = base_.read_weight(spec.name);
    if (quantized_.contains(spec.name)) quantize_and_back(cpu_, {values.data(), spec.shape[0], spec.shape[1]}, quantization_, error_);
    const auto adapted = adapted_.find(spec.name);
    if (adapted == adapted_.end()) return values;
    const LoraModule& m = *adapted->second;
    ops::matmul_nn<float>(cpu_, static_cast<float>(m.scaling), {m.b.data(), m.out, m.r}, {m.a.data(), m.r, m.in}, 1, {values.data(), m.out, m.in});
    if (!m.magnitude.empty()) scale_to_magnitude(values, m);
    check_fits(base_.tensor(spec.name), values);
    return values;
  }

  double quantization_error() const { return error_.value(); }

 private:
  const CheckpointDir& base_;
  Quantization quantization_;
  std::map<std::string, const LoraModule*> adapted_;  // by weight
  std::set<std::string> quantized_;
  Cpu cpu_{thread_count()};
  RelativeError error_;
};

void write_merged(const CheckpointDir& base, Merge& merge, const std::string& out) {
  std::vector<TensorOut> tensors;
  for (const TensorSpec& spec : model_tensors(base.config))
    tensors.push_back({spec.name, base.tensor(spec.name).dtype, spec.shape, nullptr, true, [&merge, spec] { return merge.weight(spec); }});
  make_dir(out);
  for (const char* name : kTextFiles)
    if (path_exists(join_path(base.dir, name))) write_file(join_path(out, name), read_file(join_path(base.dir, name)).text());
  write_checkpoint(out, base.config_json, tensors);
}

}  // namespace

int run_merge(const std::string& model, const std::string& adapter_dir, const std::string& out, Quantization quantization) {
  const CheckpointDir base = open_checkpoint(model);
  const Adapter adapter = read_adapter(adapter_dir, base.config);
  for (const char* name : {"config.json", "model.safetensors", "model.safetensors.index.json"})
    if (path_exists(join_path(out, name))) bad_input("--out " + out + " already holds " + name + "; choose another folder");

  Merge merge(base, adapter, quantization);
  const bool is_new = !path_exists(out);
  try {
    write_merged(base, merge, out);
  } catch (...) {
    if (is_new) remove_dir(out);
    throw;
  }
  Json said = Json::Object{{"model", out}, {"merged_modules", adapter.modules.size()}};
  if (quantization != Quantization::none) said.set("quantization_error", merge.quantization_error());
  std::printf("%s\n", to_text(said).c_str());
  return exit_done;
}

}  // namespace concord
