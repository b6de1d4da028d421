// NF4: bitsandbytes' numbers and rounding, and a quantized base that trains, scores and merges as its dequantized weights do.
#include "ops/ops.h"

#include "numeric.h"
#include "pass.h"
#include "tiny_model.h"

using namespace concord;

namespace {

std::vector<float> floats(int64_t n, uint64_t stream) {
  Random random(11, stream);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = static_cast<float>(random.uniform() + random.uniform() + random.uniform() - 1.5);
  return values;
}

std::vector<float> dense(Cpu& cpu, const Nf4Matrix& q) {
  std::vector<float> out(static_cast<size_t>(q.rows * q.cols));
  ops::dequantize_nf4<float>(cpu, q.view(), {out.data(), q.rows, q.cols});
  return out;
}

// The base with every linear layer dequantized, in float32.
std::string dequantized_model(const TempDir& dir, const std::string& model, bool double_quant) {
  const CheckpointDir base = open_checkpoint(model);
  Cpu cpu;
  std::map<std::string, std::vector<float>> values;
  for (const auto& [name, view] : base.tensors) values[name] = to_f32(*view);
  for (const LinearSpec& linear : model_linears(base.config)) {
    std::vector<float>& v = values[linear.module + ".weight"];
    v = dense(cpu, quantize_nf4(cpu, {v.data(), linear.out, linear.in}, double_quant));
  }
  std::vector<TensorOut> out;
  for (const TensorSpec& spec : model_tensors(base.config)) out.push_back({spec.name, DType::F32, spec.shape, values[spec.name].data()});
  write_checkpoint(dir / "dense", base.config_json, out);
  return dir / "dense";
}

// Greedy samples of every group.
Groups samples(const TempDir& dir, const std::string& model, const std::string& adapter, const std::string& groups, Quantization how) {
  GenerateArgs args;
  args.model = model;
  args.adapter = adapter;
  args.groups = groups;
  args.out = dir / "samples.safetensors";
  args.quantization = how;
  args.temperature = 0;
  args.max_new_tokens = 12;
  CHECK_EQ(run_generate(args), 0);
  return read_groups(args.out);
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
  const Nf4Matrix q = quantize_nf4(cpu, {w.data(), 3, 50}, false);
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
  const Nf4Matrix plain = quantize_nf4(cpu, {w.data(), 300, 128}, false), twice = quantize_nf4(cpu, {w.data(), 300, 128}, true);
  CHECK(plain.codes == twice.codes);
  CHECK_EQ(twice.bytes(), nf4_bytes(300 * 128, true));
  const std::vector<float> a = dense(cpu, plain), b = dense(cpu, twice);
  double spread = 0;
  for (const float scale : plain.scales) spread = std::max<double>(spread, std::abs(scale - twice.scale_mean));
  for (size_t i = 0; i < a.size(); i++) CHECK(std::abs(a[i] - b[i]) <= 0.008 * spread);
}

TEST("training, scoring and sampling on an NF4 base are those on its dequantized weights, LoRA and DoRA") {
  TempDir dir;
  const std::string model = tiny::write_model(dir, tiny::config());
  Random random(1, 0);
  tiny::GroupsFile file;
  for (int g = 0; g < 3; g++) file.add(tiny::random_ids(random, 5), {tiny::random_ids(random, 7)});
  const std::string groups = file.write(dir);
  for (const bool twice : {false, true}) {
    const std::string base = dequantized_model(dir, model, twice);
    for (const bool dora : {false, true}) {
      Json job = Json::Object{{"model_name_or_path", model}, {"train_file", groups}, {"objective", "sft"}, {"use_dora", dora},
                              {"load_in_4bit", true}, {"bnb_4bit_use_double_quant", twice}};
      Pass quantized(job);
      job.set("model_name_or_path", base);
      job.set("load_in_4bit", false);
      job.set("bnb_4bit_use_double_quant", false);
      Pass plain(job);
      CHECK_NEAR(quantized.stats.loss, plain.stats.loss, 1e-6);
      check_close("gradients", quantized.model.grads(), plain.model.grads(), 1e-5);
      CHECK_EQ(quantized.model.nf4_bytes(), nf4_base_bytes(quantized.model.config, twice));
    }
    const std::string adapter = tiny::write_lora(dir, model);
    const std::string scores = dir / "scores.safetensors";
    const Quantization how = twice ? Quantization::nf4_double : Quantization::nf4;
    CHECK_EQ(run_score({model, adapter, groups, scores, how}), 0);
    const std::vector<float> got = to_f32(*read_safetensors(scores).find("token_logps")), want = tiny::score(dir, base, groups, adapter).token_logps;
    check_close("scores", got, want, 1e-5);

    CHECK(samples(dir, model, adapter, groups, how).tokens == samples(dir, base, adapter, groups, Quantization::none).tokens);

    const std::string merged = dir / (twice ? "merged-double" : "merged");
    tiny::silently([&] { CHECK_EQ(run_merge(model, adapter, merged, how), 0); });
    check_close("merged scores", tiny::score(dir, merged, groups).token_logps, want, 1e-4);
  }
}
