// The golden cases on the CUDA backend: log-probabilities, losses, gradients and greedy ids of transformers and PEFT in float64
// (tests/golden/make.py; ../shared/golden where it is there). In float it keeps the trainer's contract, 1e-4 of log-probabilities and losses
// and 1e-3 of gradients; in bfloat16 it stays within twice what that costs these models.
#include "golden_cases.h"
#include "pass.h"
#include "run/generator.h"
#include "twin.h"

using namespace twin;

namespace {

template <class T>
struct Model {
  CheckpointDir checkpoint;
  const ModelConfig& config = checkpoint.config;
  Cuda::Buffer<T> weights;
  WeightViews<const T> views;
  std::shared_ptr<Lora<Cuda, T>> lora;

  explicit Model(const golden::Case& c, bool train = false) : checkpoint(open_checkpoint(c.model)) {
    HostBase base(cpu(), config, Quantization::none);
    read_base(cpu(), checkpoint, Quantization::none, {&base});
    std::vector<T> values;
    for (const float w : base.weights) values.push_back(static_cast<T>(w));
    weights = placed(values);
    views = weight_views<const T>(config, weights.data());
    lora = std::make_shared<Lora<Cuda, T>>(make_lora<Cuda, T>(cuda(), config, read_adapter(c.adapter, config), train));
  }

  DecoderPlan plan(int64_t tokens, bool backward) const {
    DecoderPlan plan;
    plan.tokens_max = plan.keys_max = tokens;
    plan.positions = config.max_position_embeddings;
    plan.lora_ranks = ranks_max(*lora);
    plan.backward = plan.head_unit_gradients = backward;
    return plan;
  }
};

// As `score` writes them: of each completion's tokens, 0 for the first of a text without a prompt.
template <class T>
std::vector<float> token_logps(const Model<T>& model, const golden::Case& c, bool adapter) {
  const Groups file = read_groups(c.groups);
  std::vector<GroupView> views = whole_groups(file, model.config);
  std::vector<const GroupView*> pointers;
  for (GroupView& view : views) {
    for (Completion& completion : view.completions) completion.mask = {};  // scores are of all tokens
    pointers.push_back(&view);
  }
  PackedBatch batch;
  pack(pointers, batch);
  Decoder<Cuda, T> decoder(cuda(), model.config, model.views, model.plan(batch.n_tokens(), false));
  decoder.forward(batch, adapter ? model.lora.get() : nullptr);
  std::vector<float> rows(batch.n_rows()), logps;
  decoder.head_logps(rows.data());
  size_t next = 0;
  for (const GroupView& view : views)
    for (size_t i = 0; i < view.completions.size(); i++, next++) {
      if (view.prompt.empty()) logps.push_back(0);
      logps.insert(logps.end(), rows.begin() + batch.completions[next].row_begin, rows.begin() + batch.completions[next].row_end);
    }
  return logps;
}

template <class T>
struct Trained {
  StepStats stats;
  std::vector<float> grads;
  double grad_norm = 0;
};

// The loss over all groups of the case's file, and the gradient of its adapter.
template <class T>
Trained<T> trained(const Model<T>& model, const golden::Case& c, const char* objective) {
  const Job job = parse_job(Json::Object{{"model_name_or_path", c.model}, {"train_file", c.groups}, {"output_dir", "none"}, {"objective", objective},
                                         {"adapter_name_or_path", c.adapter}},
                            "job.json");
  const Dataset data = load_dataset(job.train_file, job.signal(), job.truncation_mode, resolve_max_length(job, model.config), model.config);
  int64_t tokens = 0;
  std::vector<int64_t> all;
  for (const TrainGroup& group : data.groups) {
    tokens += group.view.tokens();
    all.push_back(static_cast<int64_t>(all.size()));
  }
  Decoder<Cuda, T> decoder(cuda(), model.config, model.views, model.plan(tokens, true));
  TempDir dir;
  ReferenceCache reference{"", dir / "reference.safetensors", {}, false};
  if (job.needs_reference())
    compute_reference(reference, data,
                      [&](const PackedBatch& batch, std::vector<float>& logps) {
                        decoder.forward(batch, nullptr);
                        logps.resize(batch.n_rows());
                        decoder.head_logps(logps.data());
                      },
                      tokens);
  Trained<T> result;
  result.stats = StepRunner<Cuda, T>({&decoder, model.lora.get(), nullptr}, job, tokens).run(data, all, reference.logps, true);
  const auto n = static_cast<int64_t>(model.lora->grads.size());
  result.grads.resize(n);
  cuda().fetch(model.lora->grads.data(), result.grads.data(), n);
  result.grad_norm = global_norm(cuda(), model.lora->grads.data(), n);
  return result;
}

// Of every A and B, under the names of `objective`.
void check_gradients(const golden::Case& c, const Lora<Cuda, float>& lora, const std::vector<float>& grads, const std::string& objective) {
  for (const auto& m : lora.modules) {
    const auto part = [&](int64_t offset, int64_t n) { return std::vector<float>(grads.begin() + offset, grads.begin() + offset + n); };
    check_close(m.name + ".lora_A", part(m.a_offset, m.r * m.in), c.tensor("grad." + objective + "." + m.name + ".lora_A"), 1e-3);
    check_close(m.name + ".lora_B", part(m.b_offset, m.out * m.r), c.tensor("grad." + objective + "." + m.name + ".lora_B"), 1e-3);
  }
}

double mean_apart(const std::vector<float>& got, const std::vector<float>& want) {
  CHECK_EQ(got.size(), want.size());
  double sum = 0;
  for (size_t i = 0; i < got.size(); i++) sum += std::abs(static_cast<double>(got[i]) - want[i]);
  return sum / static_cast<double>(got.size());
}

}  // namespace

TEST("every family in float: log-probabilities of base and adapter, the gradient of SFT") {
  golden::for_each_family([](const golden::Case& c) {
    const Model<float> model(c, true);
    check_close("logps.base", token_logps(model, c, false), c.tensor("logps.base"), 1e-4);
    check_close("logps.adapter", token_logps(model, c, true), c.tensor("logps.adapter"), 1e-4);
    check_gradients(c, *model.lora, trained(model, c, "sft").grads, "sft");
  });
}

TEST("every family in float: greedy ids over a cache") {
  golden::for_each_family([](const golden::Case& c) {
    const std::vector<int32_t> want = to_i32(*c.expected.find("greedy.adapter"));
    const Model<float> model(c);
    const Groups file = read_groups(c.groups);
    const auto prompt = file.segment_tokens(file.prompt_of(0));
    GenerationRequest ask;
    ask.prompt.assign(prompt.begin(), prompt.end());
    ask.max_new_tokens = static_cast<int64_t>(want.size());
    ask.sampling.temperature = 0;
    GeneratorLimits limits;
    limits.cache_rows = limits.positions = model.config.max_position_embeddings;
    limits.prompt_tokens = limits.positions;
    Generator<Cuda, float> generator(cuda(), model.config, model.views, limits);
    generator.add(ask, model.lora);
    std::vector<int32_t> got;
    while (!generator.idle())
      for (const SampledToken& sampled : generator.step()) got.push_back(sampled.token);
    CHECK(got == std::vector<int32_t>(want.begin(), want.begin() + static_cast<int64_t>(got.size())));
    CHECK(!got.empty());
  });
}

TEST("every family in bfloat16: log-probabilities") {
  golden::for_each_family([](const golden::Case& c) {
    const Model<Bf16> model(c);
    const double base = mean_apart(token_logps(model, c, false), c.tensor("logps.base")), adapted = mean_apart(token_logps(model, c, true), c.tensor("logps.adapter"));
    if (!(std::max(base, adapted) < 0.075)) throw std::runtime_error("log-probabilities are off by " + std::to_string(base) + " and " + std::to_string(adapted) + " on average");
  });
}

TEST("DPO in float: the loss, and every gradient; in bfloat16 the loss") {
  golden::for_each_shared([](const golden::Case& c) {
    const Model<float> model(c, true);
    const Trained<float> dpo = trained(model, c, "dpo");
    const double loss = c.value("dpo.sigmoid.beta0.1.ls0.0.loss"), norm = c.value("dpo.sigmoid.beta0.1.ls0.0.grad_norm");
    CHECK_NEAR(dpo.stats.loss, loss, 1e-4 * loss);
    CHECK_NEAR(dpo.grad_norm, norm, 1e-3 * norm);
    check_gradients(c, *model.lora, dpo.grads, "dpo");
    const Model<Bf16> rounded(c, true);
    const Trained<Bf16> half = trained(rounded, c, "dpo");
    CHECK_NEAR(half.stats.loss, loss, 0.025 * loss);
    CHECK_NEAR(half.grad_norm, norm, 0.02 * norm);
  });
}
