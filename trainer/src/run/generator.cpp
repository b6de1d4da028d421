#include "run/generator.h"

#include <algorithm>
#include <utility>

#include "io/limits.h"
#include "model/batch.h"

namespace concord {
namespace {

// From here on one large product is faster than passes of few rows, although it reads a packed copy of the weights.
constexpr int64_t kLongPrompt = 2 * ops::kFewRows;
// Of prompts in passes of single tokens, in one step, so that samples in flight do not wait long.
constexpr int64_t kPromptRowsPerStep = 8 * ops::kFewRows;

// Ranges of rows with the same adapter, from the adapter of each row.
template <class Device, class T>
std::vector<LoraRows<Device, T>> ranges(const std::vector<const Lora<Device, T>*>& of_row) {
  std::vector<LoraRows<Device, T>> rows;
  for (int64_t i = 0; i < static_cast<int64_t>(of_row.size()); i++) {
    if (!of_row[i]) continue;
    if (!rows.empty() && rows.back().lora == of_row[i] && rows.back().end == i) rows.back().end++;
    else rows.push_back({i, i + 1, of_row[i]});
  }
  return rows;
}

// Each once.
std::vector<int32_t> distinct(std::vector<int32_t> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace

int64_t cache_rows_needed(const ModelConfig& config, int64_t prompt_tokens, int64_t max_new_tokens) {
  return prompt_tokens + std::min(max_new_tokens, config.growth_limit(prompt_tokens) - prompt_tokens);
}

template <class Device, class T>
Generator<Device, T>::Generator(Device& device, const ModelConfig& config, WeightViews<const T> weights, const GeneratorLimits& limits)
    : device_(device), config_(config), weights_(std::move(weights)), limits_(limits), cache_(device, config, limits.cache_rows), pool_(limits.cache_rows) {
  pass_rows_ = Device::has_host_memory ? ops::kFewRows : limits.samples + kPromptRowsPerStep;
  plan_.tokens_max = std::max(limits.prompt_tokens, pass_rows_);
  plan_.keys_max = std::max<int64_t>(limits.prompt_tokens, 1);
  plan_.positions = limits.positions;
  plan_.quantized = !weights_.layers[0].qkv.quantized.empty();
  make_decoder(0);
}

template <class Device, class T>
void Generator<Device, T>::make_decoder(int64_t lora_ranks) {
  DecoderPlan plan = plan_;
  plan.lora_ranks = lora_ranks;
  decoder_ = std::make_unique<Decoder<Device, T>>(device_, config_, weights_, plan);
  plan_ = plan;
}

template <class Device, class T>
uint64_t Generator<Device, T>::add(GenerationRequest ask, Adapter adapter) {
  // Between steps a decoder holds nothing that is needed again.
  if (adapter && ranks_max(*adapter) > plan_.lora_ranks) make_decoder(ranks_max(*adapter));
  Request request;
  request.name = next_name_++;
  const auto prompt_tokens = static_cast<int64_t>(ask.prompt.size());
  request.own_rows = cache_rows_needed(config_, prompt_tokens, ask.max_new_tokens) - prompt_tokens;
  const int64_t change = config_.longrope_length();
  request.first_position = static_cast<int32_t>(prompt_tokens > change ? change : 0);
  for (int64_t k = 0; k < ask.num_return_sequences; k++) {
    const auto stream = static_cast<uint64_t>(ask.group * limits::return_sequences_max + k);
    request.samples.push_back({Random(static_cast<uint64_t>(ask.seed), stream), ask.prompt});
  }
  request.ask = std::move(ask);
  request.adapter = std::move(adapter);
  const uint64_t name = request.name;
  requests_.emplace(name, std::move(request));
  return name;
}

template <class Device, class T>
void Generator<Device, T>::cancel(uint64_t name) {
  const auto found = requests_.find(name);
  if (found == requests_.end()) return;
  release(found->second);
  requests_.erase(found);
}

template <class Device, class T>
std::vector<SampledToken> Generator<Device, T>::step() {
  sampled_.clear();
  admit();
  encode_long_prompts();
  const std::vector<Row> rows = rows_of_step();
  for (size_t begin = 0; begin < rows.size(); begin += pass_rows_) {
    pass(std::span(rows).subspan(begin, std::min<size_t>(pass_rows_, rows.size() - begin)));
  }
  remove_ended();
  return std::move(sampled_);
}

// Rows for prompts and samples in the order they came, as many as there is room for. None overtakes another, so that a
// request which needs much room is not kept waiting for ever.
template <class Device, class T>
void Generator<Device, T>::admit() {
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

template <class Device, class T>
bool Generator<Device, T>::starts_whole(const Request& request) const {
  return request.prompt_row >= 0 && request.encoded == 0 && request.prompt_tokens() >= kLongPrompt;
}

// The beginnings of long prompts, several in one pass: each attends to itself.
template <class Device, class T>
void Generator<Device, T>::encode_long_prompts() {
  std::vector<Request*> chosen;
  int64_t tokens = 0;
  for (auto& [name, request] : requests_) {
    if (!starts_whole(request)) continue;
    tokens += std::min(request.prompt_tokens(), limits_.prompt_tokens);
    if (tokens > limits_.prompt_tokens) break;
    chosen.push_back(&request);
  }
  if (chosen.empty()) return;
  std::stable_sort(chosen.begin(), chosen.end(), [](auto* x, auto* y) { return x->adapter < y->adapter; });
  std::vector<GroupView> views;
  std::vector<const GroupView*> pointers;
  std::vector<int32_t> cache_rows;
  std::vector<const Lora<Device, T>*> adapters;
  for (Request* request : chosen) {
    request->encoded = std::min(request->prompt_tokens(), limits_.prompt_tokens);
    views.push_back({0, std::span(request->ask.prompt).first(request->encoded), {}});
    for (int64_t i = 0; i < request->encoded; i++) cache_rows.push_back(static_cast<int32_t>(request->prompt_row + i));
    adapters.insert(adapters.end(), request->encoded, request->adapter.get());
  }
  for (const GroupView& view : views) pointers.push_back(&view);
  PackedBatch batch;
  pack(pointers, batch);
  for (size_t i = 0; i < chosen.size(); i++)
    for (int32_t t = batch.segments[i].begin; t < batch.segments[i].end; t++) batch.positions[t] += chosen[i]->first_position;
  cache_.place(cache_rows);
  decoder_->forward(batch, ranges(adapters), cache_);
  std::vector<Next> nexts;
  for (size_t i = 0; i < chosen.size(); i++)
    if (chosen[i]->is_encoded()) nexts.push_back({chosen[i], 0, chosen[i]->ask.num_return_sequences, batch.segments[i].end - 1});
  draw(nexts);
}

// One row of every sample in flight, and those of prompts that are short or have begun. Equal adapters stand together.
template <class Device, class T>
std::vector<typename Generator<Device, T>::Row> Generator<Device, T>::rows_of_step() {
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
  std::stable_sort(rows.begin(), rows.end(), [](const Row& x, const Row& y) { return x.request->adapter < y.request->adapter; });
  return rows;
}

template <class Device, class T>
void Generator<Device, T>::pass(std::span<const Row> rows) {
  std::vector<int32_t> tokens, positions, cache_rows;
  std::vector<CachedSegment> segments;
  std::vector<const Lora<Device, T>*> adapters;
  std::vector<Next> nexts;
  for (const Row& row : rows) {
    const Request& request = *row.request;
    if (row.sample >= 0 && request.samples[row.sample].over) continue;  // an earlier pass of this step ended its request
    const int64_t prompt_row = request.prompt_row, prompt_tokens = request.prompt_tokens();
    const auto at = static_cast<int32_t>(tokens.size());
    positions.push_back(request.first_position + static_cast<int32_t>(row.index));
    adapters.push_back(request.adapter.get());
    if (row.sample < 0) {
      tokens.push_back(request.ask.prompt[row.index]);
      cache_rows.push_back(static_cast<int32_t>(prompt_row + row.index));
      segments.push_back({prompt_row, prompt_row + row.index + 1, 0, 0});
      if (row.index + 1 == prompt_tokens) nexts.push_back({row.request, 0, request.ask.num_return_sequences, at});
    } else {
      const Sample& sample = request.samples[row.sample];
      const int64_t own_row = sample.own + row.index - prompt_tokens;
      tokens.push_back(sample.seen.back());
      cache_rows.push_back(static_cast<int32_t>(own_row));
      segments.push_back({prompt_row, prompt_row + prompt_tokens, sample.own, own_row + 1});
      nexts.push_back({row.request, row.sample, row.sample + 1, at});
    }
  }
  if (tokens.empty()) return;
  cache_.place(cache_rows, segments);
  decoder_->forward(tokens, positions, ranges(adapters), cache_);
  draw(nexts);
}

template <class Device, class T>
void Generator<Device, T>::draw(std::span<const Next> nexts) {
  const auto at_once = static_cast<size_t>(std::min(decoder_->head_rows_max(), pass_rows_));
  for (size_t begin = 0; begin < nexts.size(); begin += at_once) {
    const auto some = nexts.subspan(begin, std::min(at_once, nexts.size() - begin));
    const std::vector<int32_t> tokens = drawn(some);
    size_t i = 0;
    for (const Next& next : some)
      for (int64_t k = next.first; k < next.last; k++) take(*next.request, k, tokens[i++]);
  }
}

// The next token of each of the samples, in their order. All that draw from one row have said the same so far.
template <class Device, class T>
std::vector<int32_t> Generator<Device, T>::drawn(std::span<const Next> nexts) {
  std::vector<int32_t> rows;
  std::vector<Draw> draws;
  std::vector<SeenToken> seen;
  for (const Next& next : nexts) {
    const auto row = static_cast<int32_t>(rows.size());
    rows.push_back(next.row);
    const SamplingOptions& options = next.request->ask.sampling;
    if (options.repetition_penalty != 1)
      for (const int32_t id : distinct(next.request->samples[next.first].seen)) seen.push_back({row, id, static_cast<float>(options.repetition_penalty)});
    for (int64_t k = next.first; k < next.last; k++) draws.push_back({row, next.request->samples[k].random.uniform(), options});
  }
  const Mat<Stat<T>> logits = decoder_->logits_after(rows);
  const auto n = static_cast<int64_t>(draws.size());
  std::vector<int32_t> tokens(draws.size());
  draws_.resize(n);
  seen_.resize(static_cast<int64_t>(seen.size()));
  tokens_.resize(n);
  ops::penalize(device_, device_.place(std::span<const SeenToken>(seen), seen_.data()), logits);
  int32_t* const to = device_.landing(tokens.data(), tokens_.data());
  ops::sample(device_, logits, device_.place(std::span<const Draw>(draws), draws_.data()), to);
  device_.fetch(to, tokens.data(), n);
  return tokens;
}

template <class Device, class T>
void Generator<Device, T>::take(Request& request, int64_t k, int32_t token) {
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

template <class Device, class T>
void Generator<Device, T>::end(Request& request, Sample& sample) {
  sample.over = true;
  if (sample.own < 0) return;
  pool_.give_back(sample.own, request.own_rows);
  sample.own = -1;
  placed_--;
}

template <class Device, class T>
void Generator<Device, T>::remove_ended() {
  for (auto entry = requests_.begin(); entry != requests_.end();) {
    Request& request = entry->second;
    const bool over = std::all_of(request.samples.begin(), request.samples.end(), [](const Sample& sample) { return sample.over; });
    if (over) release(request);
    entry = over ? requests_.erase(entry) : std::next(entry);
  }
}

template <class Device, class T>
void Generator<Device, T>::release(Request& request) {
  for (Sample& sample : request.samples) end(request, sample);
  if (request.prompt_row >= 0) pool_.give_back(request.prompt_row, request.prompt_tokens());
}

template class Generator<Cpu, float>;
#ifdef CONCORD_CUDA
template class Generator<Cuda, Bf16>;
template class Generator<Cuda, float>;
#endif

}  // namespace concord
