#include "run/generator.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "io/limits.h"
#include "model/batch.h"

namespace concord {
namespace {

// From here on one large product is faster than passes of few rows, although it reads a packed copy of the weights.
constexpr int64_t kLongPrompt = 2 * ops::kFewRows;
// Of prompts in passes of few rows, in one step, so that samples in flight do not wait long.
constexpr int64_t kPromptRowsPerStep = 8 * ops::kFewRows;

// Ranges of rows with the same adapter, from the adapter of each row.
std::vector<LoraRows<Cpu, float>> ranges(const std::vector<const Lora<Cpu, float>*>& of_row) {
  std::vector<LoraRows<Cpu, float>> rows;
  for (int64_t i = 0; i < static_cast<int64_t>(of_row.size()); i++) {
    if (!of_row[i]) continue;
    if (!rows.empty() && rows.back().lora == of_row[i] && rows.back().end == i) rows.back().end++;
    else rows.push_back({i, i + 1, of_row[i]});
  }
  return rows;
}

}  // namespace

Generator::Generator(Cpu& cpu, const ModelConfig& config, WeightViews<const float> weights, const GeneratorLimits& limits)
    : cpu_(cpu), config_(config), weights_(std::move(weights)), limits_(limits), cache_(config, limits.cache_rows), pool_(limits.cache_rows),
      samplers_(cpu.threads()), copies_(cpu.threads()) {
  plan_.tokens_max = std::max(limits.prompt_tokens, ops::kFewRows);
  plan_.keys_max = std::max<int64_t>(limits.prompt_tokens, 1);
  plan_.positions = limits.positions;
  plan_.quantized = !weights_.layers[0].qkv.quantized.empty();
  hidden_.resize(ops::kFewRows * config.hidden_size);
  logits_.resize(ops::kFewRows * config.vocab_size);
  make_decoder(0);
}

void Generator::make_decoder(int64_t lora_ranks) {
  DecoderPlan plan = plan_;
  plan.lora_ranks = lora_ranks;
  decoder_ = std::make_unique<Decoder<Cpu, float>>(cpu_, config_, weights_, plan);
  plan_ = plan;
}

int64_t Generator::rows_needed(const ModelConfig& config, int64_t prompt_tokens, int64_t max_new_tokens) {
  return prompt_tokens + std::min(max_new_tokens, config.growth_limit(prompt_tokens) - prompt_tokens);
}

uint64_t Generator::add(GenerationRequest ask) {
  // Between steps a decoder holds nothing that is needed again.
  if (ask.adapter && ranks_max(*ask.adapter) > plan_.lora_ranks) make_decoder(ranks_max(*ask.adapter));
  Request request;
  request.name = next_name_++;
  const auto prompt_tokens = static_cast<int64_t>(ask.prompt.size());
  request.own_rows = rows_needed(config_, prompt_tokens, ask.max_new_tokens) - prompt_tokens;
  const int64_t change = config_.longrope_length();
  request.first_position = static_cast<int32_t>(prompt_tokens > change ? change : 0);
  for (int64_t k = 0; k < ask.num_return_sequences; k++) {
    const auto stream = static_cast<uint64_t>(ask.group * limits::return_sequences_max + k);
    request.samples.push_back({Random(static_cast<uint64_t>(ask.seed), stream), ask.prompt});
  }
  request.ask = std::move(ask);
  const uint64_t name = request.name;
  requests_.emplace(name, std::move(request));
  return name;
}

void Generator::cancel(uint64_t name) {
  const auto found = requests_.find(name);
  if (found == requests_.end()) return;
  release(found->second);
  requests_.erase(found);
}

std::vector<SampledToken> Generator::step() {
  sampled_.clear();
  admit();
  encode_long_prompts();
  const std::vector<Row> rows = rows_of_step();
  for (size_t begin = 0; begin < rows.size(); begin += ops::kFewRows) {
    pass(std::span(rows).subspan(begin, std::min<size_t>(ops::kFewRows, rows.size() - begin)));
  }
  remove_ended();
  return std::move(sampled_);
}

// Rows for prompts and samples in the order they came, as many as there is room for. None overtakes another, so that a
// request which needs much room is not kept waiting for ever.
void Generator::admit() {
  for (auto& [name, request] : requests_) {
    if (placed_ == limits_.samples) return;
    if (request.prompt_row < 0) {
      const auto prompt_row = pool_.take(request.prompt_tokens());
      if (!prompt_row) return;
      const auto own = pool_.take(request.own_rows);
      if (!own) return pool_.give_back(*prompt_row, request.prompt_tokens());
      request.prompt_row = *prompt_row;
      request.samples.front().own = *own;
      placed_++;
    }
    for (Sample& sample : request.samples) {
      if (sample.over || sample.own >= 0) continue;
      const auto own = placed_ < limits_.samples ? pool_.take(request.own_rows) : std::nullopt;
      if (!own) return;
      sample.own = *own;
      placed_++;
    }
  }
}

bool Generator::starts_whole(const Request& request) const {
  return request.prompt_row >= 0 && request.encoded == 0 && request.prompt_tokens() >= kLongPrompt;
}

// The beginnings of long prompts, several in one pass: each attends to itself.
void Generator::encode_long_prompts() {
  std::vector<Request*> chosen;
  int64_t tokens = 0;
  for (auto& [name, request] : requests_) {
    if (!starts_whole(request)) continue;
    tokens += std::min(request.prompt_tokens(), limits_.prompt_tokens);
    if (tokens > limits_.prompt_tokens) break;
    chosen.push_back(&request);
  }
  if (chosen.empty()) return;
  std::stable_sort(chosen.begin(), chosen.end(), [](auto* x, auto* y) { return x->ask.adapter < y->ask.adapter; });
  std::vector<GroupView> views;
  std::vector<const GroupView*> pointers;
  std::vector<int64_t> rows;
  std::vector<const Lora<Cpu, float>*> adapters;
  for (Request* request : chosen) {
    request->encoded = std::min(request->prompt_tokens(), limits_.prompt_tokens);
    views.push_back({0, std::span(request->ask.prompt).first(request->encoded), {}});
    for (int64_t i = 0; i < request->encoded; i++) rows.push_back(request->prompt_row + i);
    adapters.insert(adapters.end(), request->encoded, request->ask.adapter.get());
  }
  for (const GroupView& view : views) pointers.push_back(&view);
  PackedBatch batch;
  pack(pointers, batch);
  for (size_t i = 0; i < chosen.size(); i++)
    for (int32_t t = batch.segments[i].begin; t < batch.segments[i].end; t++) batch.positions[t] += chosen[i]->first_position;
  decoder_->forward(batch.tokens, batch.positions, ranges(adapters), [&](int64_t layer, Mat<float> qkv, Mat<float> attn, Mat<float> lse) {
    decoder_->attend(layer, batch.attention.view(), qkv, attn, lse);
    cache_.keep(layer, qkv, rows);
  });
  std::vector<Draw> draws;
  for (size_t i = 0; i < chosen.size(); i++)
    if (chosen[i]->is_encoded()) draws.push_back({chosen[i], 0, chosen[i]->ask.num_return_sequences, batch.segments[i].end - 1});
  draw(draws);
}

// One row of every sample in flight, and those of prompts that are short or have begun. Equal adapters stand together.
std::vector<Generator::Row> Generator::rows_of_step() {
  std::vector<Row> rows;
  int64_t of_prompts = 0;
  for (auto& [name, request] : requests_) {
    if (request.prompt_row < 0 || starts_whole(request)) continue;
    if (!request.is_encoded()) {
      const int64_t end = std::min(request.prompt_tokens(), request.encoded + kPromptRowsPerStep - of_prompts);
      of_prompts += end - request.encoded;
      for (; request.encoded < end; request.encoded++) rows.push_back({&request, -1, request.encoded});
      continue;
    }
    for (size_t k = 0; k < request.samples.size(); k++) {
      const Sample& sample = request.samples[k];
      if (!sample.over && sample.own >= 0) rows.push_back({&request, static_cast<int64_t>(k), static_cast<int64_t>(sample.seen.size()) - 1});
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& x, const Row& y) { return x.request->ask.adapter < y.request->ask.adapter; });
  return rows;
}

void Generator::pass(std::span<const Row> rows) {
  std::vector<int32_t> tokens, positions;
  std::vector<int64_t> cache_rows;
  std::vector<CachedSegment> segments;
  std::vector<const Lora<Cpu, float>*> adapters;
  std::vector<Draw> draws;
  for (const Row& row : rows) {
    const Request& request = *row.request;
    if (row.sample >= 0 && request.samples[row.sample].over) continue;  // an earlier pass of this step ended its request
    const int64_t prompt_row = request.prompt_row, prompt_tokens = request.prompt_tokens(), at = static_cast<int64_t>(tokens.size());
    positions.push_back(request.first_position + static_cast<int32_t>(row.index));
    adapters.push_back(request.ask.adapter.get());
    if (row.sample < 0) {
      tokens.push_back(request.ask.prompt[row.index]);
      cache_rows.push_back(prompt_row + row.index);
      segments.push_back({prompt_row, prompt_row + row.index + 1, 0, 0});
      if (row.index + 1 == prompt_tokens) draws.push_back({row.request, 0, request.ask.num_return_sequences, at});
    } else {
      const Sample& sample = request.samples[row.sample];
      const int64_t own_row = sample.own + row.index - prompt_tokens;
      tokens.push_back(sample.seen.back());
      cache_rows.push_back(own_row);
      segments.push_back({prompt_row, prompt_row + prompt_tokens, sample.own, own_row + 1});
      draws.push_back({row.request, row.sample, row.sample + 1, at});
    }
  }
  if (tokens.empty()) return;
  decoder_->forward(tokens, positions, ranges(adapters), [&](int64_t layer, Mat<float> qkv, Mat<float> attn, Mat<float>) {
    cache_.keep(layer, qkv, cache_rows);
    decoder_->attend_cached(layer, qkv, cache_.layer(layer), segments, attn);
  });
  draw(draws);
}

// The logits of the rows that samples draw from, a few at a time, and the draws.
void Generator::draw(std::span<const Draw> draws) {
  const int64_t hidden_size = config_.hidden_size, vocab = config_.vocab_size;
  for (size_t begin = 0; begin < draws.size(); begin += ops::kFewRows) {
    const auto some = draws.subspan(begin, std::min<size_t>(ops::kFewRows, draws.size() - begin));
    const auto n = static_cast<int64_t>(some.size());
    const Mat<float> hidden(hidden_.data(), n, hidden_size), logits(logits_.data(), n, vocab);
    for (int64_t i = 0; i < n; i++) std::copy_n(decoder_->hidden().row(some[i].row), hidden_size, hidden.row(i));
    decoder_->logits(hidden, logits);
    std::vector<std::pair<int64_t, int64_t>> picks;  // row of the logits, sample
    for (int64_t i = 0; i < n; i++)
      for (int64_t k = some[i].first; k < some[i].last; k++) picks.emplace_back(i, k);
    std::vector<int32_t> tokens(picks.size());
    cpu_.for_each(static_cast<int64_t>(picks.size()), [&](int64_t p, int worker) {
      const auto [i, k] = picks[p];
      Request& request = *some[i].request;
      Sample& sample = request.samples[k];
      std::vector<float>& copy = copies_[worker];  // a pick changes the logits it reads, and others draw from them too
      copy.assign(logits.row(i), logits.row(i) + vocab);
      samplers_[worker].set(request.ask.sampling);
      tokens[p] = samplers_[worker].pick(copy, sample.seen, sample.random.uniform());
    });
    for (size_t p = 0; p < picks.size(); p++) take(*some[picks[p].first].request, picks[p].second, tokens[p]);
  }
}

void Generator::take(Request& request, int64_t k, int32_t token) {
  Sample& sample = request.samples[k];
  Finish finish = Finish::not_yet;
  if (token < 0) {
    finish = Finish::non_finite;
  } else {
    sample.seen.push_back(token);
    const auto generated = static_cast<int64_t>(sample.seen.size()) - request.prompt_tokens();
    const auto& stop = request.ask.stop;
    if (std::find(stop.begin(), stop.end(), token) != stop.end()) finish = Finish::stop;
    else if (generated == request.own_rows) finish = Finish::length;  // max_new_tokens, or as far as the model reaches
  }
  sampled_.push_back({request.name, k, token, finish});
  if (finish != Finish::not_yet) end(request, sample);
  if (finish == Finish::non_finite)
    for (Sample& other : request.samples) end(request, other);
}

void Generator::end(Request& request, Sample& sample) {
  sample.over = true;
  if (sample.own < 0) return;
  pool_.give_back(sample.own, request.own_rows);
  sample.own = -1;
  placed_--;
}

void Generator::remove_ended() {
  for (auto entry = requests_.begin(); entry != requests_.end();) {
    Request& request = entry->second;
    const bool over = std::all_of(request.samples.begin(), request.samples.end(), [](const Sample& sample) { return sample.over; });
    if (over) release(request);
    entry = over ? requests_.erase(entry) : std::next(entry);
  }
}

void Generator::release(Request& request) {
  for (Sample& sample : request.samples) end(request, sample);
  if (request.prompt_row >= 0) pool_.give_back(request.prompt_row, request.prompt_tokens());
}

}  // namespace concord
