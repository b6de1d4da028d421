// Generation on the CUDA backend. In float it samples the CPU's tokens; in bfloat16, where near ties may fall otherwise, what it takes greedily
// is as good by the CPU's log-probabilities as what the CPU would take.
#include "run/generator.h"

#include "families.h"
#include "lora/dora.h"
#include "run/commands.h"
#include "tiny_model.h"
#include "twin.h"

using namespace twin;

namespace {

using Samples = std::vector<tiny::Ids>;

// The same weights and adapter on each device.
struct Problem {
  ModelConfig config;
  std::vector<float> weights;
  Adapter adapter;

  explicit Problem(const ModelConfig& c) : config(c) {
    for (int64_t i = weight_layout(config).elements; i > 0; i--) weights.push_back(bf16(draw().uniform() - 0.5));
    AdapterConfig options;
    options.r = 2;
    options.use_dora = true;
    adapter = new_adapter(options, config);
    for (LoraModule& m : adapter.modules) {
      for (auto* values : {&m.a, &m.b})
        for (float& v : *values) v = bf16(draw().uniform() - 0.5);
      for (float& v : m.magnitude) v = bf16(0.5 + draw().uniform());
    }
  }
  static float bf16(double x) { return static_cast<float>(Bf16(static_cast<float>(x))); }
};

template <class Device, class T>
struct Model {
  Device& device;
  const ModelConfig& config;
  typename Device::template Buffer<T> weights;
  WeightViews<const T> views;
  std::shared_ptr<Lora<Device, T>> lora;

  Model(Device& d, const Problem& problem) : device(d), config(problem.config), weights(static_cast<int64_t>(problem.weights.size())) {
    std::vector<T> values;
    for (const float w : problem.weights) values.push_back(static_cast<T>(w));
    device.write(std::span<const T>(values), weights.data());
    views = weight_views<const T>(config, weights.data());
    lora = std::make_shared<Lora<Device, T>>(make_lora<Device, T>(device, config, problem.adapter, false));
    refresh_gains(device, views, *lora);
  }

  // Of each request its samples; the odd ones have the adapter.
  std::vector<Samples> generate(const std::vector<GenerationRequest>& requests, const GeneratorLimits& limits) const {
    Generator<Device, T> generator(device, config, views, limits);
    std::map<uint64_t, size_t> of_name;
    std::vector<Samples> said;
    for (const GenerationRequest& ask : requests) {
      of_name[generator.add(ask, said.size() % 2 == 1 ? lora : nullptr)] = said.size();
      said.emplace_back(ask.num_return_sequences);
    }
    while (!generator.idle())
      for (const SampledToken& sampled : generator.step()) said[of_name.at(sampled.request)][sampled.sample].push_back(sampled.token);
    return said;
  }
};

// Short prompts and one longer than what goes through the layers at once, one sample and several, which stop where the model's
// positions end.
std::vector<GenerationRequest> requests(const ModelConfig& config, const SamplingOptions& sampling) {
  std::vector<GenerationRequest> all;
  const int64_t longest = config.max_position_embeddings / 2;
  for (const int64_t prompt : {int64_t{3}, longest, int64_t{1}, longest / 2}) {
    GenerationRequest ask;
    ask.prompt = tiny::random_ids(draw(), prompt, config.vocab_size);
    ask.num_return_sequences = 1 + static_cast<int64_t>(all.size()) % 3;
    ask.max_new_tokens = 7;
    ask.sampling = sampling;
    ask.group = static_cast<int64_t>(all.size());
    all.push_back(ask);
  }
  return all;
}

GeneratorLimits limits(const ModelConfig& config) {
  GeneratorLimits limits;
  limits.cache_rows = 3 * config.max_position_embeddings;
  limits.positions = config.max_position_embeddings;
  limits.prompt_tokens = config.max_position_embeddings * 2 / 5;
  limits.samples = 6;
  return limits;
}

struct Deficit {
  double mean = 0, largest = 0;
};

// How far the log-probabilities of what was sampled are below those of the best tokens in its place, by the CPU in float.
Deficit deficit(const Model<Cpu, float>& model, const std::vector<GenerationRequest>& requests, const std::vector<Samples>& said) {
  DecoderPlan plan;
  plan.tokens_max = plan.keys_max = plan.positions = model.config.max_position_embeddings;
  plan.lora_ranks = ranks_max(*model.lora);
  Decoder<Cpu, float> decoder(model.device, model.config, model.views, plan);
  std::vector<double> below;
  for (size_t i = 0; i < requests.size(); i++)
    for (const tiny::Ids& sample : said[i]) {
      tiny::Ids text = requests[i].prompt;
      text.insert(text.end(), sample.begin(), sample.end());
      const GroupView view{0, {}, {{0, text, {}, 1}}, model.config.longrope_length()};
      PackedBatch batch;
      pack(std::vector<const GroupView*>{&view}, batch);
      decoder.forward(batch, i % 2 == 1 ? model.lora.get() : nullptr);
      for (size_t at = requests[i].prompt.size(); at < text.size(); at++) {
        const Mat<float> logits = decoder.logits_after(std::vector<int32_t>{static_cast<int32_t>(at) - 1});
        below.push_back(*std::max_element(logits.data, logits.data + logits.cols) - logits.data[text[at]]);
      }
    }
  Deficit all;
  for (const double d : below) {
    all.mean += d / static_cast<double>(below.size());
    all.largest = std::max(all.largest, d);
  }
  return all;
}

void compare(const ModelConfig& config, const std::string& what) {
  const Problem problem(config);
  const Model<Cpu, float> on_cpu(cpu(), problem);
  const Model<Cuda, float> single(cuda(), problem);
  const Model<Cuda, Bf16> half(cuda(), problem);
  for (const SamplingOptions& sampling : {SamplingOptions{.temperature = 0, .repetition_penalty = 1.2}, SamplingOptions{.temperature = 0.8}}) {
    const std::vector<GenerationRequest> asked = requests(config, sampling);
    if (single.generate(asked, limits(config)) != on_cpu.generate(asked, limits(config))) throw std::runtime_error(what + ": other tokens than the CPU's");
  }
  const std::vector<GenerationRequest> asked = requests(config, {.temperature = 0});
  const std::vector<Samples> said = half.generate(asked, limits(config));
  CHECK(half.generate(asked, limits(config)) == said);
  const Deficit below = deficit(on_cpu, asked, said);
  if (!(below.mean < 0.005 && below.largest < 0.05))
    throw std::runtime_error(what + ": tokens are below the best by " + std::to_string(below.mean) + " on average, at most " + std::to_string(below.largest));
}

}  // namespace

TEST("every family, with and without an adapter") {
  for (const ModelConfig& config : family_configs()) compare(config, config.model_type);
}

TEST("heads on tensor cores, prompts that go through the layers whole") {
  const std::string text = R"({"model_type":"llama","hidden_size":64,"intermediate_size":96,"num_hidden_layers":2,"num_attention_heads":4,)"
                           R"("num_key_value_heads":2,"head_dim":64,"vocab_size":120,"max_position_embeddings":512})";
  compare(parse_model_config(parse_json(text, "config.json"), "config.json"), "wide");
}
