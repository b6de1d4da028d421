// A whole training step of every family on the CUDA backend against the CPU's in double: log-probabilities, and gradients of an adapter
// or of all weights, then the optimizer's step.
#include "families.h"
#include "lora/dora.h"
#include "model/decoder.h"
#include "optim/adamw.h"
#include "twin.h"

using namespace twin;

namespace {

struct Options {
  bool full = false, unit = false, dora = false;
  double dropout = 0;
  int64_t recomputed = 0;
};

struct Step {
  std::vector<double> logps, grads, parameters;  // parameters after one step of AdamW
};

template <class V>
std::vector<double> doubles(Cpu&, const std::vector<V>& values) {
  return {values.begin(), values.end()};
}
template <class V>
std::vector<double> doubles(Cuda& device, const Cuda::Buffer<V>& values) {
  std::vector<V> host(values.size());
  device.fetch(values.data(), host.data(), static_cast<int64_t>(host.size()));
  return {host.begin(), host.end()};
}

template <class Device, class V>
typename Device::template Buffer<V> on_device(Device& device, const std::vector<double>& values) {
  std::vector<V> host;
  for (const double v : values) host.push_back(static_cast<V>(static_cast<float>(v)));
  typename Device::template Buffer<V> buffer(static_cast<int64_t>(host.size()));
  device.write(std::span<const V>(host), buffer.data());
  return buffer;
}

struct Problem {
  ModelConfig config;
  std::vector<double> weights;
  std::vector<int32_t> prompt, first, second, text;
  PackedBatch batch;
  std::vector<double> coef;

  Problem(const ModelConfig& c, int64_t scale) : config(c) {
    for (int64_t i = weight_layout(config).elements; i > 0; i--)
      weights.push_back(static_cast<double>(static_cast<float>(Bf16(static_cast<float>(draw().uniform() - 0.5)))));
    const auto ids = [&](int64_t n) {
      std::vector<int32_t> tokens;
      for (; n > 0; n--) tokens.push_back(static_cast<int32_t>(draw().below(static_cast<uint64_t>(config.vocab_size))));
      return tokens;
    };
    prompt = ids(3 * scale);
    first = ids(3 * scale);
    second = ids(2 * scale);
    text = ids(4 * scale);
    const GroupView pair{0, prompt, {{1, first, {}, 1}, {2, second, {}, 1}}, config.longrope_length()};
    const GroupView alone{1, {}, {{4, text, {}, 1}}, config.longrope_length()};
    pack(std::vector<const GroupView*>{&pair, &alone}, batch);
    for (int64_t r = 0; r < batch.n_rows(); r++) coef.push_back(2 * draw().uniform() - 1);
  }

  Adapter adapter(bool dora) const {
    AdapterConfig adapter_config;
    adapter_config.r = 2;
    adapter_config.lora_alpha = 3;
    adapter_config.use_dora = dora;
    Adapter adapter = new_adapter(adapter_config, config);
    Random random(3, 0);
    for (LoraModule& m : adapter.modules) {
      for (auto* values : {&m.a, &m.b})
        for (float& v : *values) v = static_cast<float>(Bf16(static_cast<float>(random.uniform() - 0.5)));
      for (float& v : m.magnitude) v = static_cast<float>(1 + random.uniform());
    }
    return adapter;
  }
};

template <class Device, class T>
Step run(Device& device, const Problem& p, const Options& options) {
  using S = Stat<T>;
  const auto weights = on_device<Device, T>(device, p.weights);
  const WeightViews<const T> views = weight_views<const T>(p.config, weights.data());
  Lora<Device, T> lora = make_lora<Device, T>(device, p.config, p.adapter(options.dora), true);
  refresh_gains(device, views, lora);
  DecoderPlan plan;
  plan.tokens_max = p.batch.n_tokens();
  plan.keys_max = plan.positions = p.batch.n_tokens();
  plan.lora_ranks = ranks_max(lora);
  plan.dora = options.dora;
  plan.lora_dropout = options.dropout;
  plan.backward = true;
  plan.recompute_layers = options.recomputed;
  plan.head_unit_gradients = options.unit;
  Decoder<Device, T> decoder(device, p.config, views, plan);
  const Lora<Device, T>* adapter = options.full ? nullptr : &lora;
  const int64_t parameters = options.full ? static_cast<int64_t>(p.weights.size()) : static_cast<int64_t>(lora.values.size());
  typename Device::template Buffer<S> weight_grads(options.full ? parameters : 0);
  WeightViews<S> grad_views;
  if (options.full) grad_views = weight_views<S>(p.config, weight_grads.data());
  WeightViews<S>* grads = options.full ? &grad_views : nullptr;

  if (options.dropout > 0) decoder.set_dropout(typename Decoder<Device, T>::DropoutStep{42, 3});
  std::vector<S> logps(p.batch.n_rows());
  const std::vector<S> coef(p.coef.begin(), p.coef.end());
  decoder.forward(p.batch, adapter);
  if (options.unit) {
    decoder.head_unit_gradients(logps.data());
    decoder.head_apply_coef(coef.data());
  } else {
    decoder.head_gradients(coef.data(), logps.data(), grads);
  }
  decoder.backward(adapter, grads);

  const auto& of_parameters = options.full ? weight_grads : lora.grads;
  auto values = options.full ? on_device<Device, S>(device, p.weights) : on_device<Device, S>(device, doubles(device, lora.values));
  AdamW<Device, S> optimizer({}, parameters);
  const double norm = global_norm(device, of_parameters.data(), parameters);
  adamw_step(device, optimizer, {{0, parameters, 0.01}}, 0.01, clip_factor(norm, 1), values.data(), of_parameters.data());
  return {{logps.begin(), logps.end()}, doubles(device, of_parameters), doubles(device, values)};
}

// |got - want| / |want|
double distance(const std::vector<double>& got, const std::vector<double>& want) {
  CHECK_EQ(got.size(), want.size());
  double off = 0, size = 0;
  for (size_t i = 0; i < want.size(); i++) {
    off += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(off / size);
}

void check_distance(const std::string& what, const std::vector<double>& got, const std::vector<double>& want, double allowed) {
  const double off = distance(got, want);
  if (!(off <= allowed)) throw std::runtime_error(what + " is off by " + std::to_string(off) + ", allowed " + std::to_string(allowed));
}

// The problem with every weight moved by up to half a unit in its last place: how far that moves a result is what bfloat16 can be asked for.
Problem moved(Problem problem) {
  for (double& w : problem.weights) w *= 1 + (2 * draw().uniform() - 1) / 256;
  return problem;
}

// Float differs from double by the order of sums alone.
void compare(const Problem& problem, const Options& options, const std::string& what) {
  const Step want = run<Cpu, double>(cpu(), problem, options);
  const Step single = run<Cuda, float>(cuda(), problem, options), half = run<Cuda, Bf16>(cuda(), problem, options);
  check_distance(what + ", float, log-probabilities", single.logps, want.logps, 1e-5);
  check_distance(what + ", float, gradients", single.grads, want.grads, 2e-5);
  check_distance(what + ", float, a step", single.parameters, want.parameters, 1e-3);
  const Step near = run<Cpu, double>(cpu(), moved(problem), options);
  check_distance(what + ", bfloat16, log-probabilities", half.logps, want.logps, kBackward * distance(near.logps, want.logps));
  check_distance(what + ", bfloat16, gradients", half.grads, want.grads, kBackward * distance(near.grads, want.grads));
}

// Large enough for tensor cores, tiles and loads of eight elements.
ModelConfig wide_config(const std::string& members) {
  const std::string text = R"({"model_type":"llama","hidden_size":64,"intermediate_size":96,"num_hidden_layers":2,"num_attention_heads":2,)"
                           R"("num_key_value_heads":1,"head_dim":64,"vocab_size":120,"max_position_embeddings":512)" + members + "}";
  return parse_model_config(parse_json(text, "config.json"), "config.json");
}

}  // namespace

TEST("a step of LoRA, every family") {
  for (const ModelConfig& config : family_configs()) compare(Problem(config, 1), {.unit = true}, config.model_type);
}

TEST("a step of all weights, every family") {
  for (const ModelConfig& config : family_configs()) compare(Problem(config, 1), {.full = true}, config.model_type);
}

TEST("layers recomputed, dropout, DoRA") {
  const Problem problem(family_configs().front(), 1);
  compare(problem, {.unit = true, .recomputed = 1}, "recomputed");
  compare(problem, {.dropout = 0.3}, "dropout");
  compare(problem, {.dora = true}, "DoRA");
  compare(problem, {.dora = true, .recomputed = 1}, "DoRA, recomputed");
}

TEST("layers that are recomputed change no bit of a gradient, however many they are, in every family") {
  for (const ModelConfig& config : family_configs(4)) {
    const Problem problem(config, 1);
    for (Options options : {Options{.unit = true}, Options{.full = true}, Options{.dora = true}, Options{.dropout = 0.3}}) {
      const std::vector<double> kept = run<Cuda, Bf16>(cuda(), problem, options).grads;
      for (const int64_t layers : {1, 2, 3}) {
        options.recomputed = layers;
        CHECK((run<Cuda, Bf16>(cuda(), problem, options).grads == kept));
      }
    }
  }
}

TEST("a step on tensor cores") {
  compare(Problem(wide_config(""), 25), {.unit = true}, "wide");
}
