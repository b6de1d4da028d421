// DoRA: norms without the product, gradients with the norm held, files, merge, and that a new adapter is its base.
#include "lora/dora.h"

#include "families.h"
#include "model/decoder.h"
#include "numeric.h"
#include "pass.h"
#include "tiny_model.h"

using namespace concord;

namespace {

AdapterConfig dora_config() {
  AdapterConfig config;
  config.r = 2;
  config.lora_alpha = 3;
  config.use_dora = true;
  return config;
}

// Random A, B and magnitudes.
Adapter random_adapter(const AdapterConfig& config, const ModelConfig& model) {
  Adapter adapter = new_adapter(config, model);
  Random random(5, 0);
  for (LoraModule& m : adapter.modules) {
    for (auto* values : {&m.a, &m.b})
      for (float& v : *values) v = static_cast<float>(random.uniform() - 0.5);
    for (float& v : m.magnitude) v = static_cast<float>(0.5 + random.uniform());
  }
  return adapter;
}

const std::vector<int32_t> kPrompt = {3, 1, 4}, kFirst = {1, 5, 9}, kSecond = {2, 6};

PackedBatch one_group() {
  const GroupView view{0, kPrompt, {{1, kFirst, {}, 1}, {2, kSecond, {}, 1}}};
  const std::vector<const GroupView*> views = {&view};
  PackedBatch batch;
  pack(views, batch);
  return batch;
}

DecoderPlan plan_for(const Lora<Cpu, double>& lora) {
  DecoderPlan plan;
  plan.tokens_max = plan.keys_max = plan.positions = 16;
  plan.lora_ranks = ranks_max(lora);
  plan.dora = plan.backward = plan.head_unit_gradients = true;
  return plan;
}

// m / norm with the norms as they are: what a gradient with constant norms differentiates.
void set_gains(Lora<Cpu, double>& lora) {
  for (const auto& m : lora.modules)
    for (int64_t i = 0; i < m.out; i++) lora.gains[m.row_offset + i] = lora.values[m.magnitude_offset + i] / lora.norms[m.row_offset + i];
}

}  // namespace

TEST("the norms of W + s B A, computed without B A") {
  Cpu cpu(2);
  Numbers numbers;
  const int64_t out = 70, in = 9, r = 3;
  std::vector<double> w = numbers.vector(out * in), a = numbers.vector(r * in), b = numbers.vector(out * r), norms(out);
  const double s = 1.7;
  adapted_row_norms<Cpu, double>(cpu, matrix(w, in), s, matrix(a, in), matrix(b, r), norms.data());
  for (int64_t i = 0; i < out; i++) {
    double square = 0;
    for (int64_t j = 0; j < in; j++) {
      double v = w[i * in + j];
      for (int64_t k = 0; k < r; k++) v += s * b[i * r + k] * a[k * in + j];
      square += v * v;
    }
    CHECK_NEAR(norms[i], std::sqrt(square), 1e-12);
  }
}

TEST("the gradient of every A, B and magnitude of every family, norms constant, layers kept and recomputed") {
  for (const ModelConfig& config : family_configs()) {
    Cpu cpu;
    Numbers numbers;
    std::vector<double> weights = numbers.vector(weight_layout(config).elements, 0.5);
    Lora<Cpu, double> lora = make_lora<Cpu, double>(cpu, config, random_adapter(dora_config(), config), true);
    refresh_gains(cpu, weight_views<const double>(config, weights.data()), lora);
    DecoderPlan plan = plan_for(lora);
    const PackedBatch batch = one_group();
    const std::vector<double> coef = numbers.vector(batch.n_rows());
    const auto gradient = [&](int64_t recomputed) {
      plan.recompute_layers = recomputed;
      std::fill(lora.grads.begin(), lora.grads.end(), 0.0);
      Decoder<Cpu, double> decoder(cpu, config, weights.data(), plan);
      std::vector<double> logp(batch.n_rows());
      decoder.forward(batch, &lora);
      decoder.head_gradients(coef.data(), logp.data(), nullptr);
      decoder.backward(&lora, nullptr);
      return lora.grads;
    };
    const std::vector<double> grads = gradient(0);
    CHECK(gradient(1) == grads);
    check_gradient(config.model_type, lora.values, grads, [&] {
      set_gains(lora);
      Decoder<Cpu, double> decoder(cpu, config, weights.data(), plan);
      decoder.forward(batch, &lora);
      std::vector<double> logp(batch.n_rows());
      decoder.head_logps(logp.data());
      return weighted_sum(logp, coef);
    });
  }
}

TEST("a new DoRA adapter is its base: the first loss of a preference is ln 2, and training moves magnitudes too") {
  TempDir dir;
  const std::string model = tiny::write_model(dir, tiny::config());
  Random random(1, 0);
  tiny::GroupsFile file;
  for (int g = 0; g < 4; g++) file.add(tiny::random_ids(random, 5), {tiny::random_ids(random, 7), tiny::random_ids(random, 4)});
  file.groups.has_pairs = true;
  for (int g = 0; g < 4; g++) file.groups.pairs.push_back({3 * g + 1, 3 * g + 2});
  const Json job = Json::Object{{"model_name_or_path", model}, {"train_file", file.write(dir)}, {"objective", "dpo"}, {"use_dora", true}};
  Pass pass(job);
  CHECK_NEAR(pass.stats.loss, std::log(2.0), 1e-6);
  double magnitude_gradient = 0;
  for (const auto& m : pass.model.lora->modules)
    for (int64_t i = 0; i < m.out; i++) magnitude_gradient += std::abs(pass.model.grads()[m.magnitude_offset + i]);
  CHECK(magnitude_gradient > 0);
}

TEST("files hold the magnitudes as PEFT names them, and a merged model scores as base and adapter") {
  TempDir dir;
  const std::string model = tiny::write_model(dir, tiny::config());
  const Adapter adapter = random_adapter(dora_config(), read_checkpoint_config(model));
  write_adapter(dir / "adapter", adapter);
  const SafetensorsFile file = read_safetensors(dir / "adapter/adapter_model.safetensors");
  CHECK_EQ(shape_text(file.find("base_model.model.model.layers.2.mlp.up_proj.lora_magnitude_vector")->shape), "[48]");
  const Adapter back = read_adapter(dir / "adapter", read_checkpoint_config(model));
  CHECK(back.config.use_dora && back.modules[3].magnitude == adapter.modules[3].magnitude);
  Random random(1, 0);
  const std::string groups = tiny::GroupsFile().add(tiny::random_ids(random, 9), {tiny::random_ids(random, 20)}).write(dir);
  tiny::silently([&] { CHECK_EQ(run_merge(model, dir / "adapter", dir / "merged"), 0); });
  const auto with = tiny::score(dir, model, groups, dir / "adapter").token_logps, got = tiny::score(dir, dir / "merged", groups).token_logps,
             base = tiny::score(dir, model, groups).token_logps;
  double moved = 0;
  for (size_t i = 0; i < got.size(); i++) {
    CHECK_NEAR(got[i], with[i], 2e-4);
    moved += std::abs(with[i] - base[i]);
  }
  CHECK(moved > 0.1);
}

TEST("a DoRA adapter that was never refreshed is not run") {
  const ModelConfig config = family_configs().front();
  Cpu cpu;
  const std::vector<double> weights(weight_layout(config).elements, 0.1);
  const Lora<Cpu, double> lora = make_lora<Cpu, double>(cpu, config, random_adapter(dora_config(), config), false);
  Decoder<Cpu, double> decoder(cpu, config, weights.data(), plan_for(lora));
  CHECK_THROWS_WITH(decoder.forward(one_group(), &lora), "before refresh_gains");
}
