// concord-trainer generate: K samples of every group's prompt. Prompts of several groups go through the model together,
// once each; then all their samples advance together, a token at a time, reading their prompt's keys and values.
#include <algorithm>
#include <cstdio>
#include <numeric>

#include "error.h"
#include "io/files.h"
#include "model/kv_cache.h"
#include "model/random.h"
#include "run/commands.h"
#include "run/dataset.h"
#include "run/device.h"
#include "run/loaded_model.h"
#include "run/memory.h"
#include "run/sampling.h"
#include "run/stop_tokens.h"

namespace concord {
namespace {

constexpr int64_t kPromptTokens = 2048;        // through the layers at once
constexpr int64_t kSamples = 128;              // advanced together, where one group does not ask for more
constexpr int64_t kCacheBytes = int64_t{1} << 30;

struct Sample {
  int64_t group = 0;               // index in the file
  int64_t slot = 0;                // in the cache
  CachedSegment prompt;            // its prompt's rows
  int64_t prompt_tokens = 0;
  Random random;
  std::vector<int32_t> seen;       // prompt and what was sampled

  int64_t generated() const { return static_cast<int64_t>(seen.size()) - prompt_tokens; }
};

class Generation {
 public:
  Generation(const GenerateArgs& args)
      : args_(args), model_(load_model(args.model, args.adapter)), file_(read_groups_for(model_, args.groups)),
        cpu_(thread_count()), stop_(args.stop ? *args.stop : model_stop_tokens(args.model, model_.config)) {
    const SamplingOptions options{args.temperature, args.top_p, args.top_k, args.min_p, args.repetition_penalty};
    samplers_.assign(cpu_.threads(), Sampler(options));
    check();
    plan();
  }

  Groups execute();

 private:
  void check() const;
  void plan();
  int64_t cache_bytes(int64_t prompt_tokens, int64_t samples) const;
  int64_t wave_end(int64_t first) const;
  void wave(Decoder<float>& decoder, int64_t first, int64_t last);
  std::vector<Sample> prefill(Decoder<float>& decoder, KvCache<float>& cache, int64_t first, int64_t last);
  void advance(Decoder<float>& decoder, KvCache<float>& cache, std::vector<Sample*>& live);
  void sample(Decoder<float>& decoder, Mat<const float> hidden, std::vector<Sample*>& live);
  bool ended(const Sample& sample) const;
  std::vector<LoraRows<float>> adapters(int64_t rows) const {
    if (!model_.adapter) return {};
    return {{0, rows, model_.lora()}};
  }

  const GenerateArgs& args_;
  LoadedModel model_;
  Groups file_;
  Cpu cpu_;
  std::vector<Sampler> samplers_;  // one per worker
  std::vector<int64_t> stop_;
  DecoderPlan plan_;
  int64_t own_tokens_ = 0;
  std::vector<float> logits_;
  std::vector<std::vector<std::vector<int32_t>>> samples_;  // [group][k]
};

void Generation::check() const {
  for (const int64_t id : stop_) {
    if (id < 0 || id >= model_.config.vocab_size) {
      bad_input("--stop " + std::to_string(id) + " is not a token of the model, which has " + std::to_string(model_.config.vocab_size));
    }
  }
  for (int64_t g = 0; g < file_.n_groups(); g++) {
    const int64_t tokens = file_.segment_length(file_.prompt_of(g));
    const std::string where = args_.groups + ": group " + std::to_string(g);
    if (tokens == 0) bad_input(where + " has an empty prompt; give at least its first token");
    if (tokens >= model_.config.max_position_embeddings) {
      bad_input(where + " has a prompt of " + std::to_string(tokens) + " tokens, which leaves no room in the model's " +
                std::to_string(model_.config.max_position_embeddings) + " positions (max_position_embeddings)");
    }
  }
}

void Generation::plan() {
  int64_t longest = 1;
  for (int64_t g = 0; g < file_.n_groups(); g++) longest = std::max(longest, file_.segment_length(file_.prompt_of(g)));
  // A sample ends at the model's last position, if not before.
  own_tokens_ = std::min(args_.max_new_tokens, model_.config.max_position_embeddings - 1);
  plan_.tokens_max = std::max({kPromptTokens, longest, kSamples, args_.num_return_sequences});
  plan_.keys_max = longest;
  plan_.positions = std::min(longest + own_tokens_, model_.config.max_position_embeddings);
  plan_.lora_ranks = model_.lora_ranks();
  const int64_t needed = cache_bytes(longest, args_.num_return_sequences), available = available_memory_bytes();
  if (needed > available) {
    out_of_memory("the keys and values of one group's samples need " + std::to_string(needed >> 20) + " MB and " +
                  std::to_string(available >> 20) + " MB are free; lower --num-return-sequences or --max-new-tokens");
  }
}

int64_t Generation::cache_bytes(int64_t prompt_tokens, int64_t samples) const {
  return (prompt_tokens + samples * own_tokens_) * KvCache<float>::bytes_per_token(model_.config);
}

// Groups [first, end) go together: as many as fit the limits, one at least.
int64_t Generation::wave_end(int64_t first) const {
  int64_t tokens = 0, samples = 0, end = first;
  for (; end < file_.n_groups(); end++) {
    tokens += file_.segment_length(file_.prompt_of(end));
    samples += args_.num_return_sequences;
    const bool full = tokens > kPromptTokens || samples > kSamples || cache_bytes(tokens, samples) > kCacheBytes;
    if (end > first && full) break;
  }
  return end;
}

Groups Generation::execute() {
  Decoder<float> decoder(cpu_, model_.config, model_.weights.data(), plan_);
  samples_.resize(file_.n_groups());
  for (int64_t first = 0; first < file_.n_groups();) {
    const int64_t last = wave_end(first);
    wave(decoder, first, last);
    first = last;
    std::fprintf(stderr, "generated %lld of %lld groups\n", static_cast<long long>(last), static_cast<long long>(file_.n_groups()));
  }
  Groups out;
  out.segments = {0};
  out.group_segments = {0};
  const auto append = [&](std::span<const int32_t> tokens) {
    out.tokens.insert(out.tokens.end(), tokens.begin(), tokens.end());
    out.segments.push_back(static_cast<int64_t>(out.tokens.size()));
  };
  for (int64_t g = 0; g < file_.n_groups(); g++) {
    append(file_.segment_tokens(file_.prompt_of(g)));
    for (const auto& tokens : samples_[g]) append(tokens);
    out.group_segments.push_back(out.n_segments());
  }
  return out;
}

void Generation::wave(Decoder<float>& decoder, int64_t first, int64_t last) {
  int64_t prompt_tokens = 0;
  for (int64_t g = first; g < last; g++) prompt_tokens += file_.segment_length(file_.prompt_of(g));
  KvCache<float> cache(model_.config, prompt_tokens, (last - first) * args_.num_return_sequences, own_tokens_);
  std::vector<Sample> samples = prefill(decoder, cache, first, last);
  std::vector<Sample*> live;
  for (Sample& sample : samples) live.push_back(&sample);
  for (;;) {
    std::erase_if(live, [&](const Sample* sample) { return ended(*sample); });
    if (live.empty()) break;
    advance(decoder, cache, live);
  }
  for (const Sample& sample : samples) {
    samples_[sample.group].emplace_back(sample.seen.begin() + sample.prompt_tokens, sample.seen.end());
  }
}

bool Generation::ended(const Sample& sample) const {
  const bool stopped = std::find(stop_.begin(), stop_.end(), sample.seen.back()) != stop_.end();
  return stopped || sample.generated() >= args_.max_new_tokens ||
         static_cast<int64_t>(sample.seen.size()) >= model_.config.growth_limit(sample.prompt_tokens);
}

// Prompts through the model; their keys and values kept; the first token of every sample drawn.
std::vector<Sample> Generation::prefill(Decoder<float>& decoder, KvCache<float>& cache, int64_t first, int64_t last) {
  std::vector<GroupView> views;
  for (int64_t g = first; g < last; g++) views.push_back({g, file_.segment_tokens(file_.prompt_of(g)), {}, model_.config.longrope_length()});
  std::vector<const GroupView*> pointers;
  for (const GroupView& view : views) pointers.push_back(&view);
  PackedBatch batch;
  pack(pointers, batch);
  std::vector<int64_t> rows(batch.n_tokens());
  std::iota(rows.begin(), rows.end(), int64_t{0});
  decoder.forward(batch.tokens, batch.positions, adapters(batch.n_tokens()), [&](int64_t layer, Mat<float> qkv, Mat<float> attn, Mat<float> lse) {
    decoder.attend(layer, batch, qkv, attn, lse);
    cache.keep(qkv, rows, cache.prompt(layer));
  });

  const int64_t n = args_.num_return_sequences, hidden_size = model_.config.hidden_size;
  std::vector<Sample> samples;
  std::vector<float> last_states;  // one row per sample: the last of its prompt
  for (size_t i = 0; i < views.size(); i++) {
    const AttentionSegment& segment = batch.segments[i];
    for (int64_t k = 0; k < n; k++) {
      const auto slot = static_cast<int64_t>(samples.size());
      Sample sample{views[i].group, slot, {segment.begin, segment.end, 0, 0}, segment.end - segment.begin,
                    Random(static_cast<uint64_t>(args_.seed), static_cast<uint64_t>(views[i].group * n + k)), {}};
      sample.seen.assign(views[i].prompt.begin(), views[i].prompt.end());
      samples.push_back(std::move(sample));
      const float* state = decoder.hidden().row(segment.end - 1);
      last_states.insert(last_states.end(), state, state + hidden_size);
    }
  }
  std::vector<Sample*> all;
  for (Sample& sample : samples) all.push_back(&sample);
  sample(decoder, Mat<const float>(last_states.data(), static_cast<int64_t>(samples.size()), hidden_size), all);
  return samples;
}

// One more token of every live sample.
void Generation::advance(Decoder<float>& decoder, KvCache<float>& cache, std::vector<Sample*>& live) {
  std::vector<int32_t> tokens, positions;
  std::vector<int64_t> rows;
  std::vector<CachedSegment> segments;
  for (const Sample* sample : live) {
    tokens.push_back(sample->seen.back());
    const int64_t change = model_.config.longrope_length(), first_row = sample->prompt_tokens > change ? change : 0;
    positions.push_back(static_cast<int32_t>(first_row + static_cast<int64_t>(sample->seen.size()) - 1));
    const int64_t own = sample->slot * own_tokens_, row = own + sample->generated() - 1;
    rows.push_back(row);
    segments.push_back({sample->prompt.prompt_begin, sample->prompt.prompt_end, own, row + 1});
  }
  const AttentionShape shape = attention_shape(model_.config);
  decoder.forward(tokens, positions, adapters(static_cast<int64_t>(tokens.size())), [&](int64_t layer, Mat<float> qkv, Mat<float> attn, Mat<float>) {
    cache.keep(qkv, rows, cache.own(layer));
    ops::cached_attention<float>(cpu_, qkv, shape, decoder.attention_rule(layer), cache.prompt(layer), cache.own(layer), segments, attn);
  });
  sample(decoder, decoder.hidden(), live);
}

void Generation::sample(Decoder<float>& decoder, Mat<const float> hidden, std::vector<Sample*>& live) {
  const auto n = static_cast<int64_t>(live.size()), vocab = model_.config.vocab_size;
  logits_.resize(n * vocab);
  const Mat<float> logits(logits_.data(), n, vocab);
  decoder.logits(hidden, logits);
  cpu_.for_each(n, [&](int64_t i, int worker) {
    Sample& sample = *live[i];
    sample.seen.push_back(samplers_[worker].pick({logits.row(i), static_cast<size_t>(vocab)}, sample.seen, sample.random.uniform()));
  });
  for (const Sample* sample : live)
    if (sample->seen.back() < 0)
      non_finite("the model's logits after " + std::to_string(sample->seen.size() - 1) + " tokens of group " +
                 std::to_string(sample->group) + " are not finite; its weights or the adapter's are damaged");
}

}  // namespace

int run_generate(const GenerateArgs& args) {
  { AtomicFile probe(args.out); }  // a place that cannot be written to is told now, not after the work
  Generation generation(args);
  write_groups(args.out, generation.execute());
  return exit_done;
}

}  // namespace concord
