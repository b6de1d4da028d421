// concord-trainer bench-generate: how near generation is to the bandwidth of the device's memory, which bounds it: every step has to read all weights
// once, and the keys and values of all that is in flight, a prompt's once for all of its samples.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>

#include "error.h"
#include "model/random.h"
#include "run/commands.h"
#include "run/generator.h"
#include "run/loaded_model.h"
#include "run/memory.h"
#include "run/on_device.h"

namespace concord {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Bytes read and written a second by copies within the device's memory.
template <class Device>
double copy_bandwidth(Device& device) {
  constexpr int64_t kCols = 1024, kCopies = 11, kBytesMax = Device::has_host_memory ? 64 << 20 : 1 << 30;  // more than caches hold
  const int64_t bytes = std::min(kBytesMax, available_memory_bytes(device) / 32), rows = bytes / (kCols * static_cast<int64_t>(sizeof(float)));
  typename Device::template Buffer<float> from(rows * kCols), to(rows * kCols);
  const Mat<float> y(to.data(), rows, kCols);
  std::vector<double> seconds;
  for (int64_t i = 0; i < kCopies; i++) {
    const Clock::time_point begin = Clock::now();
    ops::copy<float>(device, Mat<const float>(from.data(), rows, kCols), y);
    float last = 0;
    device.fetch(to.data(), &last, 1);  // waits
    seconds.push_back(seconds_since(begin));
  }
  return static_cast<double>(2 * bytes) / median(seconds);
}

// Of the weights a step reads: the head's and all of the layers. Of the embedding it reads a row for each token.
template <class Device, class T>
int64_t weight_bytes(const LoadedModel<Device, T>& model, Quantization quantization) {
  const ModelConfig& c = model.config;
  const int64_t embedding = c.tie_word_embeddings ? 0 : c.vocab_size * c.hidden_size;
  const int64_t quantized = quantization == Quantization::none ? 0 : quantized_base_bytes(c, quantization);
  return (weight_layout(c, quantization).elements - embedding) * static_cast<int64_t>(sizeof(T)) + quantized;
}

template <class Device, class T>
class Measurement {
 public:
  Measurement(Device& device, const BenchGenerateArgs& args)
      : device_(device), args_(args), model_(load_model<Device, T>(device, args.model, "", args.quantization)), generator_(device, model_.config, model_.base(), limits()) {}

  Json run() {
    Random random(1, 0);
    for (int64_t g = 0; g < args_.prompts; g++) generator_.add(request(random, g));
    const Clock::time_point begin = Clock::now();
    while (!generator_.idle()) step();
    if (steps_ == 0) bad_input("--max-new-tokens is " + std::to_string(args_.max_new_tokens) + ": the first samples end before the last have begun; give more, or fewer --prompts");
    const double all_seconds = seconds_since(begin), copied = copy_bandwidth(device_);
    return Json::Object{{"seconds", all_seconds},
                        {"tokens_per_second", static_cast<double>(samples() * args_.max_new_tokens) / all_seconds},
                        {"steps", steps_},
                        {"seconds_per_step", seconds_ / static_cast<double>(steps_)},
                        {"bytes_per_step", bytes_ / static_cast<double>(steps_)},
                        {"copy_bytes_per_second", copied},
                        {"bandwidth_fraction", bytes_ / seconds_ / copied}};
  }

 private:
  int64_t samples() const { return args_.prompts * args_.num_return_sequences; }
  GeneratorLimits limits() const {
    GeneratorLimits limits;
    limits.cache_rows = args_.prompts * (args_.prompt_tokens + args_.num_return_sequences * args_.max_new_tokens);
    limits.positions = args_.prompt_tokens + args_.max_new_tokens;
    limits.samples = samples();
    limits.prompt_tokens = std::min(Device::kMicroBatchTokens, args_.prompts * args_.prompt_tokens);
    return limits;
  }
  GenerationRequest request(Random& random, int64_t group) const {
    GenerationRequest ask;
    for (int64_t i = 0; i < args_.prompt_tokens; i++) ask.prompt.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(model_.config.vocab_size))));
    ask.num_return_sequences = args_.num_return_sequences;
    ask.max_new_tokens = args_.max_new_tokens;
    ask.group = group;
    return ask;
  }
  // Counts steps in which all prompts are through and every sample goes on.
  void step() {
    const bool all_begun = static_cast<int64_t>(begun_.size()) == samples();
    const Clock::time_point begin = Clock::now();
    const std::vector<SampledToken> sampled = generator_.step();
    const double seconds = seconds_since(begin);
    if (all_begun && static_cast<int64_t>(sampled.size()) == samples()) {
      const int64_t rows = args_.prompts * args_.prompt_tokens + generated_;
      bytes_ += static_cast<double>(weight_bytes(model_, args_.quantization) + rows * KvCache<Device, T>::bytes_per_row(model_.config));
      seconds_ += seconds;
      steps_++;
    }
    generated_ += static_cast<int64_t>(sampled.size());
    for (const SampledToken& one : sampled) begun_.emplace(one.request, one.sample);
  }

  Device& device_;
  const BenchGenerateArgs& args_;
  LoadedModel<Device, T> model_;
  Generator<Device, T> generator_;
  std::set<std::pair<uint64_t, int64_t>> begun_;  // samples that have a token
  int64_t generated_ = 0, steps_ = 0;  // tokens of all samples; steps that count
  double bytes_ = 0, seconds_ = 0;     // of those
};

}  // namespace

int run_bench_generate(const BenchGenerateArgs& args) {
  const int64_t positions = read_checkpoint_config(args.model).max_position_embeddings;
  if (args.prompt_tokens + args.max_new_tokens > positions)
    bad_input("--prompt-tokens and --max-new-tokens are " + std::to_string(args.prompt_tokens + args.max_new_tokens) + " together, and the model has " +
              std::to_string(positions) + " positions (max_position_embeddings)");
  const Json summary = on_device(args.device, [&]<class Device, class T>(Device& device, T) { return Measurement<Device, T>(device, args).run(); });
  std::printf("%s\n", to_text(summary).c_str());
  return exit_done;
}

}  // namespace concord
