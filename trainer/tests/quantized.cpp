// A quantized base trains, scores, samples and merges as its dequantized weights do.
#include "ops/quantized.h"

#include "pass.h"
#include "run_binary.h"
#include "tiny_model.h"

using namespace concord;

namespace {

constexpr Quantization kAll[] = {Quantization::nf4, Quantization::nf4_double, Quantization::fp8};

Json::Object job_keys(Quantization how) {
  if (how == Quantization::fp8) return {{"load_in_fp8", true}};
  return {{"load_in_4bit", true}, {"bnb_4bit_use_double_quant", how == Quantization::nf4_double}};
}

// The base with every linear layer dequantized, in float32.
std::string dequantized_model(const TempDir& dir, const std::string& model, Quantization how) {
  const CheckpointDir base = open_checkpoint(model);
  Cpu cpu;
  std::map<std::string, std::vector<float>> values;
  for (const auto& [name, tensor] : base.tensors) values[name] = base.read_weight(name);
  for (const LinearSpec& linear : model_linears(base.config)) {
    const Mat<float> weight(values[linear.module + ".weight"].data(), linear.out, linear.in);
    ops::dequantize<float>(cpu, quantize(cpu, weight, how).view(), weight);
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

TEST("training, scoring and sampling on a quantized base are those on its dequantized weights, LoRA and DoRA") {
  TempDir dir;
  const std::string model = tiny::write_model(dir, tiny::config());
  Random random(1, 0);
  tiny::GroupsFile file;
  for (int g = 0; g < 3; g++) file.add(tiny::random_ids(random, 5), {tiny::random_ids(random, 7)});
  const std::string groups = file.write(dir), adapter = tiny::write_lora(dir, model);
  for (const Quantization how : kAll) {
    const std::string base = dequantized_model(dir, model, how);
    for (const bool dora : {false, true}) {
      Json job = Json::Object{{"model_name_or_path", base}, {"train_file", groups}, {"objective", "sft"}, {"use_dora", dora}};
      Pass plain(job);
      job.set("model_name_or_path", model);
      for (const auto& [key, value] : job_keys(how)) job.set(key, value);
      Pass quantized(job);
      CHECK_NEAR(quantized.stats.loss, plain.stats.loss, 1e-6);
      check_close("gradients", quantized.model.grads(), plain.model.grads(), 1e-5);
      CHECK_EQ(quantized.model.quantized.bytes(), quantized_base_bytes(quantized.model.config, how));
    }
    const std::string scores = dir / "scores.safetensors";
    CHECK_EQ(run_score({model, adapter, groups, scores, how}), 0);
    const std::vector<float> got = to_f32(*read_safetensors(scores).find("token_logps")), want = tiny::score(dir, base, groups, adapter).token_logps;
    check_close("scores", got, want, 1e-5);

    CHECK(samples(dir, model, adapter, groups, how).tokens == samples(dir, base, adapter, groups, Quantization::none).tokens);

    const std::string merged = dir / ("merged-" + std::to_string(static_cast<int>(how)));
    tiny::silently([&] { CHECK_EQ(run_merge(model, adapter, merged, how), 0); });
    check_close("merged scores", tiny::score(dir, merged, groups).token_logps, want, 1e-4);
  }
}

TEST("score says how far a quantized base is from the base: FP8 nearer than NF4; other groups are refused") {
  TempDir dir;
  const std::string model = tiny::write_model(dir, tiny::config());
  const std::string groups = tiny::GroupsFile().add({5, 6, 7}, {{8, 9}, {10}}).add({}, {{4, 9, 13}}).write(dir);
  const std::vector<float> base = tiny::score(dir, model, groups).token_logps;
  const auto compare = [&](const std::string& how, const std::string& of) {
    return run_binary({"score", "--model", model, "--quantize", how, "--groups", of, "--out", dir / "quantized.safetensors", "--compare", dir / "scores.safetensors"});
  };
  std::map<std::string, double> means;
  for (const char* how : {"fp8", "nf4"}) {
    const Json said = parse_json(compare(how, groups).out, "stdout");
    const std::vector<float> scores = to_f32(*read_safetensors(dir / "quantized.safetensors").find("token_logps"));
    double sum = 0, largest = 0;
    for (size_t i = 0; i < base.size(); i++) {
      sum += std::abs(static_cast<double>(scores[i]) - base[i]);
      largest = std::max(largest, std::abs(static_cast<double>(scores[i]) - base[i]));
    }
    const auto number = [&](const char* key) { return JsonAt{said.find(key), "stdout", key}.number(0, 100); };
    CHECK_EQ(number("tokens"), 5);  // nothing predicts the first of the group without a prompt
    CHECK_NEAR(means[how] = number("mean_abs_difference"), sum / 5, 1e-12);
    CHECK_NEAR(number("max_abs_difference"), largest, 1e-12);
  }
  CHECK(means["fp8"] > 0 && means["fp8"] < means["nf4"]);

  const Ran refused = compare("fp8", tiny::GroupsFile().add({5}, {{6}}).write(dir, "other.safetensors"));
  CHECK_EQ(refused.exit_code, 2);
  CHECK(refused.err.find("has no token_logps of 1 tokens; make it by score of the same --groups") != std::string::npos);
}
