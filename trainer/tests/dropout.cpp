// lora_dropout: it acts where there is learning and nowhere else, by seed, step, place and token, whatever the batch.
#include "families.h"
#include "model/decoder.h"
#include "numeric.h"
#include "pass.h"
#include "tiny_model.h"

using namespace concord;

namespace {

struct Data {
  TempDir dir;
  std::string model, file, adapter;

  Data() : model(tiny::write_model(dir, tiny::config())), adapter(tiny::write_lora(dir, model)) {
    Random random(1, 0);
    tiny::GroupsFile groups;
    for (int g = 0; g < 6; g++) groups.add(tiny::random_ids(random, 5), {tiny::random_ids(random, 7)});
    file = groups.write(dir);
  }
  Json job(double p, const Json& micro = "auto", bool recompute = false, int64_t seed = 42) const {
    return Json::Object{{"model_name_or_path", model}, {"train_file", file},  {"objective", "sft"},
                        {"adapter_name_or_path", adapter}, {"lora_dropout", p}, {"micro_batch_tokens", micro},
                        {"gradient_checkpointing", recompute}, {"seed", seed}};
  }
};

}  // namespace

TEST("elements are dropped at the stated rate, the others scaled so that the mean stays; place and token decide, not the row") {
  Cpu cpu(2);
  const int64_t rows = 300, cols = 101;
  std::vector<double> x(rows * cols, 1), y(rows * cols), one(cols, 1), alone(cols);
  std::vector<uint64_t> ids(rows);
  std::iota(ids.begin(), ids.end(), uint64_t{1000});
  ops::dropout<double>(cpu, {0.3, 9}, matrix(x, cols), ids.data(), matrix(y, cols));
  double sum = 0, zeros = 0;
  for (const double v : y) {
    sum += v;
    zeros += v == 0;
    CHECK(v == 0 || std::abs(v - 1 / 0.7) < 1e-4);
  }
  const double n = static_cast<double>(y.size());
  CHECK_NEAR(zeros / n, 0.3, 5 * std::sqrt(0.21 / n));
  CHECK_NEAR(sum / n, 1, 5 * std::sqrt(0.43 / n));
  ops::dropout<double>(cpu, {0.3, 9}, matrix(one, cols), &ids[77], matrix(alone, cols));
  CHECK(std::equal(alone.begin(), alone.end(), y.begin() + 77 * cols));
  ops::dropout<double>(cpu, {0.3, 10}, matrix(one, cols), &ids[77], matrix(alone, cols));
  CHECK(!std::equal(alone.begin(), alone.end(), y.begin() + 77 * cols));
}

TEST("the gradient through dropout, in every family") {
  for (const ModelConfig& config : family_configs()) {
    Cpu cpu;
    Numbers numbers;
    std::vector<double> weights = numbers.vector(weight_layout(config).elements, 0.5);
    AdapterConfig adapter_config;
    adapter_config.r = 2;
    adapter_config.lora_alpha = 3;
    Adapter adapter = new_adapter(adapter_config, config);
    for (LoraModule& m : adapter.modules)
      for (auto* values : {&m.a, &m.b})
        for (float& v : *values) v = static_cast<float>(numbers.random.uniform() - 0.5);
    Lora<Cpu, double> lora = make_lora<Cpu, double>(cpu, config, adapter, true);
    DecoderPlan plan;
    plan.tokens_max = plan.keys_max = plan.positions = 16;
    plan.lora_ranks = ranks_max(lora);
    plan.lora_dropout = 0.4;
    plan.backward = true;
    const std::vector<int32_t> prompt = {3, 1, 4}, completion = {1, 5, 9};
    const GroupView view{7, prompt, {{1, completion, {}, 1}}};
    const std::vector<const GroupView*> views = {&view};
    PackedBatch batch;
    pack(views, batch);
    const std::vector<double> coef = numbers.vector(batch.n_rows());
    const auto loss = [&](bool drop) {
      Decoder<Cpu, double> decoder(cpu, config, weights.data(), plan);
      if (drop) decoder.set_dropout(Decoder<Cpu, double>::DropoutStep{42, 3});
      decoder.forward(batch, &lora);
      std::vector<double> logp(batch.n_rows());
      decoder.head_logps(logp.data());
      return weighted_sum(logp, coef);
    };
    for (const int64_t recomputed : {0, 1}) {
      plan.recompute_layers = recomputed;
      std::fill(lora.grads.begin(), lora.grads.end(), 0.0);
      Decoder<Cpu, double> decoder(cpu, config, weights.data(), plan);
      decoder.set_dropout(Decoder<Cpu, double>::DropoutStep{42, 3});
      std::vector<double> logp(batch.n_rows());
      decoder.forward(batch, &lora);
      decoder.head_gradients(coef.data(), logp.data(), nullptr);
      decoder.backward(&lora, nullptr);
      check_gradient(config.model_type, lora.values, lora.grads, [&] { return loss(true); });
    }
    CHECK(std::abs(loss(true) - loss(false)) > 1e-6);
  }
}

TEST("micro-batches and recomputation change nothing; seed and step do; evaluation has no dropout") {
  const Data data;
  Pass whole(data.job(0.5)), parts(data.job(0.5, 20)), recomputed(data.job(0.5, 20, true)), none(data.job(0)), other(data.job(0.5, "auto", false, 1));
  CHECK_NEAR(parts.stats.loss, whole.stats.loss, 1e-6);
  CHECK_NEAR(recomputed.stats.loss, whole.stats.loss, 1e-6);
  check_close("gradients of parts", parts.model.grads(), whole.model.grads(), 1e-5);
  check_close("gradients recomputed", recomputed.model.grads(), whole.model.grads(), 1e-5);
  CHECK(std::abs(whole.stats.loss - none.stats.loss) > 1e-5);
  CHECK(std::abs(whole.stats.loss - other.stats.loss) > 1e-5);
  CHECK_EQ(whole.run(false).loss, none.run(false).loss);
}

TEST("dropout is refused where it would not be what its name says") {
  const Data data;
  Json job = data.job(0.5);
  job.set("output_dir", "o");
  const auto parse = [&](std::initializer_list<std::pair<const char*, Json>> changes) {
    Json changed = job;
    for (const auto& [key, value] : changes) changed.set(key, value);
    return parse_job(changed, "job.json");
  };
  CHECK_EQ(parse({}).lora.lora_dropout, 0.5);
  CHECK_THROWS_WITH(parse({{"lora_dropout", 1e-6}}), "lora_dropout is below 2^-16");
  CHECK_THROWS_WITH(parse({{"objective", "dpo"}}), "lora_dropout must be 0 for objective dpo");
  CHECK_THROWS_WITH(parse({{"adapter_name_or_path", Json()}, {"use_dora", true}}), "lora_dropout is not supported with use_dora");
}
