// concord-trainer generate: K samples of every group's prompt, as many groups in flight together as there is room for.
#include <algorithm>
#include <cstdio>
#include <map>

#include "error.h"
#include "io/files.h"
#include "run/commands.h"
#include "run/generator.h"
#include "run/loaded_model.h"
#include "run/memory.h"
#include "run/on_device.h"
#include "run/stop_tokens.h"

namespace concord {
namespace {

constexpr size_t kQueued = 256;  // requests in the generator's hands: more would only take memory

template <class Device, class T>
class Generation {
 public:
  Generation(Device& device, const GenerateArgs& args)
      : device_(device), args_(args), model_(load_model<Device, T>(device, args.model, args.adapter, args.quantization)),
        file_(read_groups_for(model_.config, args.groups)), stop_(args.stop ? *args.stop : model_stop_tokens(args.model, model_.config)) {
    check();
  }

  Groups execute();

 private:
  void check() const;
  GeneratorLimits limits() const;
  GenerationRequest request(int64_t group) const;
  void take(const SampledToken& sampled, int64_t group);
  Groups result() const;

  Device& device_;
  const GenerateArgs& args_;
  LoadedModel<Device, T> model_;
  Groups file_;
  std::vector<int64_t> stop_;
  std::vector<std::vector<std::vector<int32_t>>> samples_;  // [group][k]
};

template <class Device, class T>
void Generation<Device, T>::check() const {
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

// Room for all groups at once, but no more than half of the free memory where they need not be in flight together.
template <class Device, class T>
GeneratorLimits Generation<Device, T>::limits() const {
  int64_t longest = 0, largest = 0, all = 0;
  for (int64_t g = 0; g < file_.n_groups(); g++) {
    const int64_t prompt = file_.segment_length(file_.prompt_of(g));
    const int64_t needed = cache_rows_needed(model_.config, prompt, args_.max_new_tokens);
    longest = std::max(longest, prompt);
    largest = std::max(largest, needed);
    all += prompt + args_.num_return_sequences * (needed - prompt);
  }
  const int64_t row_bytes = KvCache<Device, T>::bytes_per_row(model_.config), available = available_memory_bytes(device_);
  if (largest * row_bytes > available) {
    out_of_memory("the keys and values of one prompt and sample need " + std::to_string(largest * row_bytes >> 20) + " MB and " +
                  std::to_string(available >> 20) + " MB are free; lower --max-new-tokens to " +
                  std::to_string(std::max<int64_t>(1, available / row_bytes - longest)) + ", or shorten the prompts");
  }
  GeneratorLimits limits;
  limits.cache_rows = std::max(largest, std::min(all, KvCache<Device, T>::rows_in(model_.config, std::min(Device::kCacheBytes, available / 2))));
  limits.positions = largest;
  limits.samples = std::min(Device::kSamplesInFlight, file_.n_groups() * args_.num_return_sequences);
  limits.prompt_tokens = std::min(Device::kMicroBatchTokens, std::max(all, longest));
  return limits;
}

template <class Device, class T>
GenerationRequest Generation<Device, T>::request(int64_t group) const {
  const auto prompt = file_.segment_tokens(file_.prompt_of(group));
  GenerationRequest ask;
  ask.prompt.assign(prompt.begin(), prompt.end());
  ask.num_return_sequences = args_.num_return_sequences;
  ask.max_new_tokens = args_.max_new_tokens;
  ask.sampling = {args_.temperature, args_.top_p, args_.top_k, args_.min_p, args_.repetition_penalty};
  ask.seed = args_.seed;
  ask.group = group;
  ask.stop = stop_;
  return ask;
}

template <class Device, class T>
void Generation<Device, T>::take(const SampledToken& sampled, int64_t group) {
  std::vector<int32_t>& sample = samples_[group][sampled.sample];
  if (sampled.finish == Finish::non_finite) {
    non_finite("the model's logits after " + std::to_string(file_.segment_length(file_.prompt_of(group)) + static_cast<int64_t>(sample.size())) +
               " tokens of group " + std::to_string(group) + " are not finite; its weights or the adapter's are damaged");
  }
  sample.push_back(sampled.token);
}

template <class Device, class T>
Groups Generation<Device, T>::execute() {
  Generator<Device, T> generator(device_, model_.config, model_.base(), limits());
  samples_.assign(file_.n_groups(), std::vector<std::vector<int32_t>>(args_.num_return_sequences));
  struct InFlight {
    int64_t group, samples;
  };
  std::map<uint64_t, InFlight> in_flight;
  int64_t next = 0, done = 0;
  while (done < file_.n_groups()) {
    for (; next < file_.n_groups() && in_flight.size() < kQueued; next++) {
      in_flight[generator.add(request(next), model_.adapter)] = {next, args_.num_return_sequences};
    }
    const int64_t done_before = done;
    for (const SampledToken& sampled : generator.step()) {
      InFlight& of = in_flight.at(sampled.request);
      take(sampled, of.group);
      if (sampled.finish == Finish::not_yet || --of.samples > 0) continue;
      in_flight.erase(sampled.request);
      done++;
    }
    // A line for every hundredth of the work, and the last.
    const int64_t step = std::max<int64_t>(1, file_.n_groups() / 100);
    if (done / step > done_before / step || (done == file_.n_groups() && done > done_before)) {
      std::fprintf(stderr, "generated %lld of %lld groups\n", static_cast<long long>(done), static_cast<long long>(file_.n_groups()));
    }
  }
  return result();
}

template <class Device, class T>
Groups Generation<Device, T>::result() const {
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

}  // namespace

int run_generate(const GenerateArgs& args) {
  { AtomicFile probe(args.out); }  // a place that cannot be written to is told now, not after the work
  return on_device(args.device, [&]<class Device, class T>(Device& device, T) {
    write_groups(args.out, Generation<Device, T>(device, args).execute());
    return exit_done;
  });
}

}  // namespace concord
