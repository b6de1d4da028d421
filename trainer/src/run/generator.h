// Samples of many prompts in flight together. A prompt goes through the model once and its keys and values serve all of its
// samples; a sample that ends makes room for the next; every request has options and an adapter of its own.
//
// On the CPU, what a sample says depends on its prompt, adapter, options, seed, group and number alone: not on what else is
// in flight, not on the number of threads. Every token but those of a long prompt's beginning goes through the model in passes
// of at most ops::kFewRows rows, whose results do not depend on one another; whether a prompt is long is a matter of its length.
// On a GPU one pass takes all rows, so that weights are read once for all, and products of more or fewer rows may round otherwise.
// defines: GenerationRequest, SampledToken, GeneratorLimits, Generator, cache_rows_needed
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "lora/lora.h"
#include "model/decoder.h"
#include "model/kv_cache.h"
#include "model/random.h"

namespace concord {

struct GenerationRequest {
  std::vector<int32_t> prompt;  // at least one id, and fewer than the model has positions
  int64_t num_return_sequences = 1;
  int64_t max_new_tokens = 128;
  SamplingOptions sampling;
  int64_t seed = 42, group = 0;  // sample k of a group draws random numbers that no other sample of this seed draws
  std::vector<int64_t> stop;     // ids that end a sample
};

enum class Finish { not_yet, stop, length, non_finite };

struct SampledToken {
  uint64_t request = 0;
  int64_t sample = 0;
  int32_t token = 0;  // not for non_finite: the logits were NaN or infinite, and the request is over
  Finish finish = Finish::not_yet;
};

struct GeneratorLimits {
  int64_t cache_rows = 0;         // of prompts and samples in flight together
  int64_t positions = 0;          // of the longest prompt with its sample
  int64_t samples = 128;          // in flight together; others wait
  int64_t prompt_tokens = 2'048;  // through the layers at once
};

// Rows of a cache that a request takes with one of its samples.
int64_t cache_rows_needed(const ModelConfig& config, int64_t prompt_tokens, int64_t max_new_tokens);

template <class Device, class T>
class Generator {
 public:
  using Adapter = std::shared_ptr<const Lora<Device, T>>;

  // What `weights` view outlives the generator. Throws std::bad_alloc.
  Generator(Device& device, const ModelConfig& config, WeightViews<const T> weights, const GeneratorLimits& limits);

  // Queues the request, of whose rows the cache has enough for one sample; its name from here on. No adapter: the base alone. Throws
  // std::bad_alloc where the adapter needs larger buffers than there is memory for.
  uint64_t add(GenerationRequest ask, Adapter adapter = nullptr);
  void cancel(uint64_t request);  // one that is over already is no fault
  bool idle() const { return requests_.empty(); }

  // One more token of every sample in flight, and prompts on their way.
  std::vector<SampledToken> step();

 private:
  struct Sample {
    Random random;
    std::vector<int32_t> seen;  // prompt and what was sampled
    int64_t own = -1;           // its first row in the cache, -1: none yet
    bool over = false;
  };
  struct Request {
    uint64_t name = 0;
    GenerationRequest ask;
    Adapter adapter;
    int64_t own_rows = 0;       // of each sample
    int32_t first_position = 0; // as a row of the rope table: longrope turns a long prompt by other angles
    int64_t prompt_row = -1;    // first of the prompt's, -1: not admitted yet
    int64_t encoded = 0;        // tokens of the prompt that are in the cache
    std::vector<Sample> samples;

    int64_t prompt_tokens() const { return static_cast<int64_t>(ask.prompt.size()); }
    bool is_encoded() const { return encoded == prompt_tokens(); }
  };
  // A token on its way through the model.
  struct Row {
    Request* request;
    int64_t sample;  // -1: of the prompt
    int64_t index;   // in prompt and sample together
  };
  // Samples [first, last) of a request draw their next token from a row's logits.
  struct Next {
    Request* request;
    int64_t first, last;
    int32_t row;
  };

  void make_decoder(int64_t lora_ranks);
  void admit();
  bool starts_whole(const Request& request) const;
  void encode_long_prompts();
  std::vector<Row> rows_of_step();
  void pass(std::span<const Row> rows);
  void draw(std::span<const Next> nexts);
  std::vector<int32_t> drawn(std::span<const Next> nexts);
  void take(Request& request, int64_t sample, int32_t token);
  void end(Request& request, Sample& sample);
  void remove_ended();
  void release(Request& request);

  Device& device_;
  const ModelConfig& config_;
  WeightViews<const T> weights_;
  GeneratorLimits limits_;
  DecoderPlan plan_;
  int64_t pass_rows_;  // at most, of single tokens
  std::unique_ptr<Decoder<Device, T>> decoder_;
  KvCache<Device, T> cache_;
  RowPool pool_;
  std::map<uint64_t, Request> requests_;  // in the order they came
  uint64_t next_name_ = 1;
  int64_t placed_ = 0;  // samples that have rows
  std::vector<SampledToken> sampled_;  // of the step under way
  typename Device::template Buffer<Draw> draws_;
  typename Device::template Buffer<SeenToken> seen_;
  typename Device::template Buffer<int32_t> tokens_;
};

}  // namespace concord
