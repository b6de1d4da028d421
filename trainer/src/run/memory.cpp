#include "run/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>

#include "error.h"

namespace concord {
namespace {

int64_t floats(int64_t n) { return n * static_cast<int64_t>(sizeof(float)); }

#ifdef CONCORD_CUDA
// What a GPU holds: the base in bfloat16, what is trained in float and, as products read it, in bfloat16.
MemoryParts parts_on_gpu(const Job& job, const ModelConfig& config, const MemoryNeed& need, const DecoderPlan& decoder) {
  const int64_t halves = static_cast<int64_t>(sizeof(Bf16));
  const bool lora = job.finetuning_type == FinetuningType::lora;
  MemoryParts parts = {{"weights", halves * need.weights + (lora ? (halves + floats(1)) * need.trainable : floats(need.trainable))},
                       {"weights_quantized", need.quantized_bytes},
                       {"gradients", floats(need.trainable)},
                       {"optimizer", floats(2 * need.trainable)}};
  for (auto& part : decoder_memory<Cuda, Bf16>(config, decoder)) parts.push_back(part);
  return parts;
}
#endif

MemoryParts parts_on_cpu(const Job& job, const ModelConfig& config, const MemoryNeed& need, const DecoderPlan& decoder) {
  MemoryParts parts = {{"data", need.data_bytes},
                       {"weights", floats(need.weights + (job.finetuning_type == FinetuningType::lora ? need.trainable : 0))},
                       {"weights_quantized", need.quantized_bytes},
                       {"gradients", floats(need.trainable)},
                       {"optimizer", floats(2 * need.trainable)}};
  for (auto& part : decoder_memory<Cpu, float>(config, decoder)) parts.push_back(part);
  return parts;
}

int64_t total(const MemoryParts& parts) {
  int64_t bytes = 0;
  for (const auto& part : parts) bytes += part.second;
  return bytes;
}

MemoryPlan plan_for(const Job& job, const ModelConfig& config, const MemoryNeed& need, int64_t tokens, bool recompute) {
  MemoryPlan plan;
  plan.micro_batch_tokens = tokens;
  auto& d = plan.decoder;
  d.tokens_max = std::max(need.all_tokens > 0 ? std::min(tokens, need.all_tokens) : tokens, need.largest_group_tokens);
  d.keys_max = need.longest_sequence_tokens;
  d.positions = need.longest_sequence_tokens;
  d.lora_ranks = need.lora_ranks;
  d.dora = need.dora;
  d.lora_dropout = job.finetuning_type == FinetuningType::lora ? job.lora.lora_dropout : 0;
  d.quantized = need.quantized_bytes > 0;
  d.threads = need.threads;
  d.backward = true;
  d.recompute = recompute;
  d.head_unit_gradients = job.objective == Objective::dpo && job.finetuning_type == FinetuningType::lora;
#ifdef CONCORD_CUDA
  if (need.cuda) {
    plan.parts = parts_on_gpu(job, config, need, d);
    plan.total_bytes = total(plan.parts);
    return plan;
  }
#endif
  plan.parts = parts_on_cpu(job, config, need, d);
  plan.total_bytes = total(plan.parts);
  // A base's files are read whole and let go again before the rest is taken: what that needs beyond the run is a part too.
  const int64_t loading = need.checkpoint_bytes + floats(need.weights) + need.quantized_bytes;
  plan.parts.emplace_back("loading", std::max<int64_t>(0, loading - plan.total_bytes));
  plan.total_bytes += plan.parts.back().second;
  return plan;
}

std::optional<int64_t> number_in(const char* path) {
  std::ifstream file(path);
  int64_t n = 0;
  if (file >> n) return n;
  return std::nullopt;
}

// What `ulimit -v` leaves, as batch systems set it.
int64_t address_space_left() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return INT64_MAX;
  const int64_t used = number_in("/proc/self/statm").value_or(0) * sysconf(_SC_PAGESIZE);
  return std::max<int64_t>(0, static_cast<int64_t>(limit.rlim_cur) - used);
}

std::string megabytes(int64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MB"; }

}  // namespace

void MemoryNeed::cover(const Dataset& data) {
  largest_group_tokens = std::max(largest_group_tokens, data.largest_group_tokens);
  longest_sequence_tokens = std::max(longest_sequence_tokens, data.longest_sequence_tokens);
  data_bytes += data.memory_bytes();
  int64_t tokens = 0;
  for (const TrainGroup& group : data.groups) tokens += group.view.tokens();
  all_tokens = std::max(all_tokens, tokens);
}

MemoryPlan plan_memory(const Job& job, const ModelConfig& config, const MemoryNeed& need, int64_t available_bytes) {
  const int64_t wanted = job.micro_batch_tokens > 0 ? job.micro_batch_tokens : need.cuda ? Cuda::kMicroBatchTokens : Cpu::kMicroBatchTokens;
  const auto fits = [&](const MemoryPlan& plan) { return plan.total_bytes <= available_bytes; };
  const bool may_keep = !job.gradient_checkpointing.value_or(false);
  const bool may_recompute = job.gradient_checkpointing.value_or(true);
  if (may_keep) {
    MemoryPlan plan = plan_for(job, config, need, wanted, false);
    if (fits(plan)) return plan;
  }
  for (const int64_t tokens : {wanted, job.micro_batch_tokens > 0 ? wanted : need.largest_group_tokens}) {
    MemoryPlan plan = plan_for(job, config, need, tokens, may_recompute);
    if (fits(plan)) return plan;
  }
  const MemoryPlan least = plan_for(job, config, need, 1, may_recompute);
  if (fits(least)) {
    out_of_memory("out of memory: micro_batch_tokens " + std::to_string(wanted) + " needs " +
                  megabytes(plan_for(job, config, need, wanted, may_recompute).total_bytes) + " and " + megabytes(available_bytes) +
                  " are free; lower it, or leave it out to have it chosen");
  }
  std::string message = "out of memory: this job needs " + megabytes(least.total_bytes) + " at least and " +
                        megabytes(available_bytes) + " are free";
  int64_t tokens = need.largest_group_tokens;
  while (tokens > 16) {
    tokens = tokens * 3 / 4;
    MemoryNeed smaller = need;
    smaller.largest_group_tokens = tokens;
    smaller.longest_sequence_tokens = std::min(need.longest_sequence_tokens, tokens);
    if (fits(plan_for(job, config, smaller, 1, may_recompute))) {
      out_of_memory(message + "; groups of up to " + std::to_string(tokens) + " tokens would fit (the largest has " +
                    std::to_string(need.largest_group_tokens) + "): lower max_length");
    }
  }
  out_of_memory(message + "; no length would fit: choose a smaller model, or finetuning_type lora");
}

int64_t available_memory_bytes() {
  int64_t available = INT64_MAX;
  std::ifstream meminfo("/proc/meminfo");
  std::string key, unit;
  for (int64_t kilobytes = 0; meminfo >> key >> kilobytes;) {
    std::getline(meminfo, unit);
    if (key == "MemAvailable:") available = kilobytes * 1024;
  }
  const auto limit = number_in("/sys/fs/cgroup/memory.max");
  const auto used = number_in("/sys/fs/cgroup/memory.current");
  if (limit && used) available = std::min(available, std::max<int64_t>(0, *limit - *used));
  return std::min(available, address_space_left());
}

int64_t available_memory_bytes(const DeviceChoice& device) {
#ifdef CONCORD_CUDA
  if (device.cuda) return Cuda::describe(device.index).free_bytes;
#endif
  (void)device;
  return available_memory_bytes();
}

int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

Json memory_json(const MemoryPlan& plan) {
  Json::Object parts;
  for (const auto& [name, bytes] : plan.parts) parts.emplace_back(name, bytes);
  return Json::Object{{"total_bytes", plan.total_bytes},
                      {"parts_bytes", parts},
                      {"micro_batch_tokens", plan.micro_batch_tokens},
                      {"gradient_checkpointing", plan.decoder.recompute}};
}

}  // namespace concord
