// The whole decoder: its gradient by central differences in double, for a frozen base with an adapter and for full
// finetuning; and that packing, prompts shared and a cache change nothing.
#include <algorithm>

#include "check.h"
#include "families.h"
#include "lora/dora.h"
#include "model/decoder.h"
#include "numeric.h"

using namespace concord;

namespace {

ModelConfig small(bool tied) {
  ModelConfig config = family_configs().front();
  config.tie_word_embeddings = tied;
  return config;
}

const std::vector<int32_t> kPrompt = {3, 1, 4}, kFirst = {1, 5, 9}, kSecond = {2, 6}, kText = {5, 3, 5, 8};

std::vector<GroupView> groups(const ModelConfig& config) {
  GroupView pair{0, kPrompt, {{1, kFirst, {}, 1}, {2, kSecond, {}, 1}}, config.longrope_length()};
  GroupView text{1, {}, {{4, kText, {}, 1}}, config.longrope_length()};
  return {pair, text};
}

PackedBatch packed(const std::vector<GroupView>& views) {
  std::vector<const GroupView*> pointers;
  for (const auto& view : views) pointers.push_back(&view);
  PackedBatch batch;
  pack(pointers, batch);
  return batch;
}

struct Model {
  ModelConfig config;
  Cpu cpu;
  std::vector<double> weights;
  Lora<Cpu, double> lora;
  DecoderPlan plan;

  explicit Model(bool tied) : Model(small(tied)) {}
  explicit Model(const ModelConfig& c, bool dora = false) : config(c) {
    Numbers numbers;
    weights = numbers.vector(weight_layout(config).elements, 0.5);
    AdapterConfig adapter_config;
    adapter_config.r = 2;
    adapter_config.lora_alpha = 3;
    adapter_config.use_dora = dora;
    Adapter adapter = new_adapter(adapter_config, config);
    for (auto& m : adapter.modules) {
      for (float& v : m.a) v = static_cast<float>(numbers.random.uniform() - 0.5);
      for (float& v : m.b) v = static_cast<float>(numbers.random.uniform() - 0.5);
      for (float& v : m.magnitude) v = static_cast<float>(numbers.random.uniform() + 0.5);
    }
    lora = make_lora<Cpu, double>(cpu, config, adapter, true);
    refresh_gains(cpu, weight_views<const double>(config, weights.data()), lora);
    plan.tokens_max = 16;
    plan.keys_max = 8;
    plan.positions = 16;
    plan.lora_ranks = ranks_max(lora);
    plan.dora = dora;
    plan.backward = true;
    plan.head_unit_gradients = true;
  }
};

double loss(Model& m, const PackedBatch& batch, const std::vector<double>& coef, const Lora<Cpu, double>* lora) {
  Decoder<Cpu, double> decoder(m.cpu, m.config, m.weights.data(), m.plan);
  decoder.forward(batch, lora);
  std::vector<double> logp(batch.n_rows());
  decoder.head_logps(logp.data());
  return weighted_sum(logp, coef);
}

enum class Trained { weights, adapter, adapter_with_dropout };

std::vector<double> gradient(Model& m, const PackedBatch& batch, const std::vector<double>& coef, Trained trained, bool head_in_two = false) {
  const Lora<Cpu, double>* lora = trained == Trained::weights ? nullptr : &m.lora;
  std::vector<double> of_weights(lora ? 0 : m.weights.size(), 0.0), logp(batch.n_rows());
  std::fill(m.lora.grads.begin(), m.lora.grads.end(), 0.0);
  WeightViews<double> views;
  if (!lora) views = weight_views<double>(m.config, of_weights.data());
  WeightViews<double>* grads = lora ? nullptr : &views;
  m.plan.lora_dropout = trained == Trained::adapter_with_dropout ? 0.4 : 0;
  Decoder<Cpu, double> decoder(m.cpu, m.config, m.weights.data(), m.plan);
  decoder.set_dropout(Decoder<Cpu, double>::DropoutStep{42, 3});
  decoder.forward(batch, lora);
  if (head_in_two) {
    decoder.head_unit_gradients(logp.data());
    decoder.head_apply_coef(coef.data());
  } else {
    decoder.head_gradients(coef.data(), logp.data(), grads);
  }
  decoder.backward(lora, grads);
  return lora ? m.lora.grads : of_weights;
}

}  // namespace

TEST("full finetuning: the gradient of every weight of every family") {
  for (const ModelConfig& config : family_configs()) {
    Model m(config);
    const auto views = groups(config);
    const PackedBatch batch = packed(views);
    const std::vector<double> coef = Numbers().vector(batch.n_rows());
    check_gradient(config.model_type, m.weights, gradient(m, batch, coef, Trained::weights), [&] { return loss(m, batch, coef, nullptr); });
  }
}

TEST("LoRA: the gradient of every A and B of every family, head in one pass and in two") {
  for (const ModelConfig& config : family_configs()) {
    Model m(config);
    const auto views = groups(config);
    const PackedBatch batch = packed(views);
    const std::vector<double> coef = Numbers().vector(batch.n_rows());
    const std::vector<double> grads = gradient(m, batch, coef, Trained::adapter), in_two = gradient(m, batch, coef, Trained::adapter, true);
    for (size_t i = 0; i < grads.size(); i++) CHECK_NEAR(in_two[i], grads[i], 1e-12);
    check_gradient(config.model_type, m.lora.values, grads, [&] { return loss(m, batch, coef, &m.lora); });
  }
}

TEST("layers that are recomputed change no bit of a gradient, however many they are: all weights, LoRA, dropout, DoRA, every family") {
  for (const ModelConfig& config : family_configs(4)) {
    for (const bool dora : {false, true}) {
      Model m(config, dora);
      const auto views = groups(config);
      const PackedBatch batch = packed(views);
      const std::vector<double> coef = Numbers().vector(batch.n_rows());
      for (const Trained trained : {Trained::weights, Trained::adapter, Trained::adapter_with_dropout}) {
        if (dora && trained != Trained::adapter) continue;
        m.plan.recompute_layers = 0;
        const std::vector<double> kept = gradient(m, batch, coef, trained);
        CHECK(std::any_of(kept.begin(), kept.end(), [](double v) { return v != 0; }));
        for (const int64_t layers : {1, 2, 3}) {
          m.plan.recompute_layers = layers;
          CHECK(gradient(m, batch, coef, trained) == kept);
        }
      }
    }
  }
}

TEST("a layer that is recomputed saves the activations of one, and its input is kept") {
  for (const ModelConfig& config : family_configs(4)) {
    Model m(config);
    const auto bytes = [&](int64_t layers) {
      m.plan.recompute_layers = layers;
      return Decoder<Cpu, double>(m.cpu, m.config, m.weights.data(), m.plan).memory_bytes();
    };
    const int64_t saved = bytes(0) - bytes(1);
    CHECK(saved > 0);
    CHECK_EQ(bytes(2), bytes(1) - saved);
    CHECK_EQ(bytes(3), bytes(2) - saved);
  }
}

TEST("a shared prompt gives what prompt and completion alone give, in every family") {
  for (const ModelConfig& config : family_configs()) {
    Model m(config);
    const auto views = groups(config);
    const PackedBatch together = packed(views);
    Decoder<Cpu, double> decoder(m.cpu, m.config, m.weights.data(), m.plan);
    std::vector<double> shared(together.n_rows()), alone;
    decoder.forward(together, &m.lora);
    decoder.head_logps(shared.data());
    for (const GroupView& view : views) {
      for (const Completion& completion : view.completions) {
        std::vector<int32_t> tokens(view.prompt.begin(), view.prompt.end());
        tokens.insert(tokens.end(), completion.tokens.begin(), completion.tokens.end());
        const std::vector<GroupView> one = {{0, {}, {{0, tokens, {}, 1}}, config.longrope_length()}};
        const PackedBatch batch = packed(one);
        std::vector<double> logp(batch.n_rows());
        decoder.forward(batch, &m.lora);
        decoder.head_logps(logp.data());
        const size_t skipped = view.prompt.empty() ? 0 : view.prompt.size() - 1;
        alone.insert(alone.end(), logp.begin() + static_cast<int64_t>(skipped), logp.end());
      }
    }
    CHECK_EQ(alone.size(), shared.size());
    for (size_t i = 0; i < alone.size(); i++) CHECK_NEAR(shared[i], alone[i], 1e-12);
  }
}

TEST("longrope: a group with sequences on both sides of its change has its prompt twice, any other once") {
  const std::vector<ModelConfig> configs = family_configs();
  const auto phi3 = std::find_if(configs.begin(), configs.end(), [](const ModelConfig& c) { return c.longrope_length() > 0; });
  CHECK(phi3 != configs.end());
  CHECK_EQ(phi3->longrope_length(), 5);
  const std::vector<GroupView> views = groups(*phi3);  // 3 + 3 tokens are long, 3 + 2 are not
  const PackedBatch batch = packed(views);
  CHECK_EQ(views[0].tokens(), 3 + 3 + 3 + 2);
  CHECK_EQ(batch.n_tokens(), views[0].tokens() + views[1].tokens());
  CHECK(std::equal(batch.positions.begin(), batch.positions.begin() + 11, std::vector<int32_t>{0, 1, 2, 5, 6, 7, 8, 9, 10, 3, 4}.begin()));
  CHECK_EQ(batch.segments[2].prefix_begin, 3);
  CHECK_EQ(batch.segments[3].prefix_begin, 0);
  CHECK_EQ(groups(configs.front())[0].tokens(), 3 + 3 + 2);
}

TEST("memory is counted before it is taken") {
  for (const ModelConfig& config : family_configs(4)) {
    Model m(config);
    for (const int64_t layers : {0, 1, 3}) {
      m.plan.recompute_layers = layers;
      Decoder<Cpu, double> decoder(m.cpu, m.config, m.weights.data(), m.plan);
      DecoderPlan plan = m.plan;
      plan.threads = m.cpu.threads();
      int64_t predicted = 0;
      for (const auto& part : decoder_memory<Cpu, double>(m.config, plan)) predicted += part.second;
      CHECK_EQ(predicted, decoder.memory_bytes());
    }
  }
}

TEST("rows of one pass go each through its own adapter or through none, as if alone") {
  Model m(true), other(true);
  for (double& v : other.lora.values) v = -2 * v;
  Decoder<Cpu, double> decoder(m.cpu, m.config, m.weights.data(), m.plan);
  const std::vector<int32_t> tokens = {3, 1, 4, 1, 5, 9}, positions = {0, 1, 2, 3, 4, 5};
  // Every row sees itself alone: attention is then its own value, whatever the adapter of its neighbours.
  std::vector<int32_t> cache_rows;
  std::vector<CachedSegment> alone;
  for (int32_t t = 0; t < 6; t++) {
    cache_rows.push_back(t);
    alone.push_back({0, 0, t, t + 1});
  }
  KvCache<Cpu, double> cache(m.cpu, m.config, 6);
  cache.place(cache_rows, alone);
  const auto hidden = [&](std::vector<LoraRows<Cpu, double>> rows) {
    decoder.forward(tokens, positions, rows, cache);
    return std::vector<double>(decoder.hidden().data, decoder.hidden().data + 6 * m.config.hidden_size);
  };
  const auto base = hidden({}), first = hidden({{0, 6, &m.lora}}), second = hidden({{0, 6, &other.lora}});
  const auto mixed = hidden({{3, 5, &other.lora}, {0, 2, &m.lora}});
  CHECK(first != base && second != base && first != second);
  for (int64_t i = 0; i < 6 * m.config.hidden_size; i++) {
    const int64_t row = i / m.config.hidden_size;
    CHECK_NEAR(mixed[i], (row < 2 ? first : row == 2 || row == 5 ? base : second)[i], 1e-12);
  }
}
