// concord-trainer score: log-probabilities of every completion, each prompt computed once for all of its completions.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "error.h"
#include "io/files.h"
#include "io/safetensors.h"
#include "run/commands.h"
#include "run/dataset.h"
#include "run/loaded_model.h"
#include "run/on_device.h"
#include "run/step.h"

namespace concord {
namespace {

struct Scores {
  std::vector<float> token_logps;  // [completion tokens], in file order
  std::vector<float> logps;        // [completions]
  int64_t predicted = 0;           // of the tokens; nothing predicts the first of a completion without a prompt, and it counts as 0
};

// All tokens count here, whatever the file's token_mask says of training.
std::vector<GroupView> unmasked_groups(const Groups& file, const ModelConfig& config) {
  std::vector<GroupView> views = whole_groups(file, config);
  for (auto& view : views) {
    for (auto& completion : view.completions) completion.mask = {};
  }
  return views;
}

template <class Device, class T>
DecoderPlan plan_for(const std::vector<GroupView>& views, const LoadedModel<Device, T>& model, const std::string& path) {
  DecoderPlan plan;
  plan.lora_ranks = model.lora_ranks();
  plan.quantized = model.quantized;
  plan.tokens_max = Device::kMicroBatchTokens;
  for (const GroupView& view : views) {
    plan.tokens_max = std::max(plan.tokens_max, view.tokens());
    for (const Completion& c : view.completions) {
      plan.keys_max = std::max(plan.keys_max, static_cast<int64_t>(view.prompt.size() + c.tokens.size()));
    }
  }
  if (plan.keys_max > model.config.max_position_embeddings) {
    bad_input(path + ": its longest prompt and completion have " + std::to_string(plan.keys_max) +
              " tokens, more than the model's " + std::to_string(model.config.max_position_embeddings) +
              " (max_position_embeddings)");
  }
  plan.positions = std::max<int64_t>(1, plan.keys_max);
  return plan;
}

void append(Scores& scores, const GroupView& view, const PackedBatch& batch, size_t first, const std::vector<float>& rows) {
  for (size_t c = 0; c < view.completions.size(); c++) {
    const PackedCompletion& packed = batch.completions[first + c];
    if (view.prompt.empty()) scores.token_logps.push_back(0);
    double sum = 0;
    for (int32_t r = packed.row_begin; r < packed.row_end; r++) {
      scores.token_logps.push_back(rows[r]);
      sum += rows[r];
    }
    scores.predicted += packed.row_end - packed.row_begin;
    if (!std::isfinite(sum))
      non_finite("the log-probability of segment " + std::to_string(packed.segment) + " is not finite; the weights of the model or the adapter are damaged");
    scores.logps.push_back(static_cast<float>(sum));
  }
}

template <class Device, class T>
Scores score(Device& device, const LoadedModel<Device, T>& model, const std::vector<GroupView>& views, const DecoderPlan& plan) {
  Decoder<Device, T> decoder(device, model.config, model.base(), plan);
  std::vector<const GroupView*> pointers;
  for (const GroupView& view : views) pointers.push_back(&view);
  Scores scores;
  std::vector<float> rows;
  size_t next = 0;  // of the views
  for_micro_batches(pointers, Device::kMicroBatchTokens, [&](const PackedBatch& batch) {
    decoder.forward(batch, model.lora());
    rows.resize(batch.n_rows());
    decoder.head_logps(rows.data());
    size_t first = 0;
    for (size_t g = 0; g < batch.groups.size(); g++, next++) {
      append(scores, views[next], batch, first, rows);
      first += views[next].completions.size();
    }
  });
  return scores;
}

// The token log-probabilities of another run over the same groups.
std::vector<float> other_token_logps(const std::string& path, const std::vector<GroupView>& views) {
  int64_t tokens = 0;
  for (const GroupView& view : views)
    for (const Completion& c : view.completions) tokens += static_cast<int64_t>(c.tokens.size());
  const SafetensorsFile file = read_safetensors(path);
  const TensorView* logps = file.find("token_logps");
  if (!logps || logps->dtype != DType::F32 || logps->elements() != tokens)
    bad_input("--compare " + path + " has no token_logps of " + std::to_string(tokens) + " tokens; make it by score of the same --groups");
  return to_f32(*logps);
}

Json difference(const Scores& scores, const std::vector<float>& others) {
  double sum = 0, largest = 0;
  for (size_t i = 0; i < others.size(); i++) {
    const double apart = std::abs(static_cast<double>(scores.token_logps[i]) - static_cast<double>(others[i]));
    sum += apart;
    largest = std::max(largest, apart);
  }
  const int64_t tokens = scores.predicted;
  return Json::Object{{"tokens", tokens}, {"mean_abs_difference", tokens > 0 ? sum / static_cast<double>(tokens) : 0}, {"max_abs_difference", largest}};
}

template <class Device, class T>
int run_on(Device& device, const ScoreArgs& args) {
  const LoadedModel<Device, T> model = load_model<Device, T>(device, args.model, args.adapter, args.quantization);
  const Groups file = read_groups_for(model.config, args.groups);
  const std::vector<GroupView> views = unmasked_groups(file, model.config);
  const std::vector<float> others = args.compare.empty() ? std::vector<float>() : other_token_logps(args.compare, views);
  const Scores scores = score(device, model, views, plan_for(views, model, args.groups));
  const auto size = [](const std::vector<float>& v) { return std::vector<int64_t>{static_cast<int64_t>(v.size())}; };
  write_safetensors(args.out,
                    {{"token_logps", DType::F32, size(scores.token_logps), scores.token_logps.data()},
                     {"logps", DType::F32, size(scores.logps), scores.logps.data()}},
                    {{"format", "scores.v1"}});
  std::fprintf(stderr, "scored %zu completions of %lld groups\n", scores.logps.size(), static_cast<long long>(file.n_groups()));
  if (!args.compare.empty()) std::printf("%s\n", to_text(difference(scores, others)).c_str());
  return exit_done;
}

}  // namespace

int run_score(const ScoreArgs& args) {
  { AtomicFile probe(args.out); }  // a place that cannot be written to is told now, not after the work
  return on_device(args.device, [&]<class Device, class T>(Device& device, T) { return run_on<Device, T>(device, args); });
}

}  // namespace concord
