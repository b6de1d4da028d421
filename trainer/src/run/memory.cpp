#include "run/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>

#include "error.h"
#include "run/device.h"

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

int64_t bytes_of(const MemoryPlan& plan, const std::string& part) {
  const auto found = std::find_if(plan.parts.begin(), plan.parts.end(), [&](const auto& named) { return named.first == part; });
  return found == plan.parts.end() ? 0 : found->second;
}

double share_rerun(const ModelConfig& config, const MemoryNeed& need) {
  if (config.post_norms || need.dora) return 1;
  const AttentionShape shape = attention_shape(config);
  const auto attention = static_cast<double>(config.hidden_size * (shape.qkv_cols() + shape.q_cols()));
  const auto product = static_cast<double>(config.hidden_size * config.intermediate_size);
  return (attention + 2 * product) / (attention + 3 * product);
}

double token_cost(const Job& job, const ModelConfig& config, const MemoryNeed& need, const MemoryPlan& plan) {
  const double forward = job.finetuning_type == FinetuningType::lora ? 1.0 / 2 : 1.0 / 3;
  const double layers = static_cast<double>(plan.decoder.recompute_layers) / static_cast<double>(config.num_hidden_layers);
  const bool quantized = need.quantized_bytes > 0;
  const double fixed = need.cuda ? Cuda::kMicroBatchCost + quantized * Cuda::kDequantizationCost : Cpu::kMicroBatchCost + quantized * Cpu::kDequantizationCost;
  // No micro-batch holds more than its step, so room for more costs nothing and gains nothing.
  const int64_t filled = std::min(plan.decoder.tokens_max, std::max<int64_t>(1, job.groups_per_step * need.largest_group_tokens));
  return 1 + forward * share_rerun(config, need) * layers + fixed / static_cast<double>(filled);
}

MemoryPlan plan_for(const Job& job, const ModelConfig& config, const MemoryNeed& need, int64_t tokens, int64_t recompute_layers) {
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
  d.recompute_layers = recompute_layers;
  d.head_unit_gradients = job.objective == Objective::dpo && job.finetuning_type == FinetuningType::lora;
  plan.cost = token_cost(job, config, need, plan);
#ifdef CONCORD_CUDA
  if (need.cuda) {
    plan.parts = parts_on_gpu(job, config, need, d);
    plan.total_bytes = total(plan.parts);
    return plan;
  }
#endif
  plan.parts = parts_on_cpu(job, config, need, d);
  plan.total_bytes = total(plan.parts);
  return plan;
}

int64_t wanted_tokens(const Job& job, const MemoryNeed& need) {
  if (job.micro_batch_tokens > 0) return job.micro_batch_tokens;
  return need.cuda ? Cuda::kMicroBatchTokens : Cpu::kMicroBatchTokens;
}

// The wanted micro-batch and, where the job leaves it to the plan, its halves down to the largest group, which is not divided.
std::vector<int64_t> sizes_to_try(const Job& job, const MemoryNeed& need) {
  std::vector<int64_t> sizes = {wanted_tokens(job, need)};
  if (job.micro_batch_tokens > 0) return sizes;
  while (sizes.back() > need.largest_group_tokens) sizes.push_back(std::max(sizes.back() / 2, need.largest_group_tokens));
  return sizes;
}

// How many layers the job lets be recomputed. All but one are what all need (DecoderPlan::recompute_layers).
struct RerunRange {
  int64_t least, most;
};
RerunRange rerun_range(const Job& job, const ModelConfig& config) {
  const int64_t all = config.num_hidden_layers - 1;
  return {job.gradient_checkpointing.value_or(false) ? all : 0, job.gradient_checkpointing.value_or(true) ? all : 0};
}

// Each recomputed layer saves one set of activations, so two plans tell how many it takes. That of the most may not fit.
MemoryPlan plan_with_least_rerun(const Job& job, const ModelConfig& config, const MemoryNeed& need, int64_t tokens, RerunRange rerun, int64_t available_bytes) {
  const MemoryPlan plan = plan_for(job, config, need, tokens, rerun.least);
  const int64_t over = plan.total_bytes - available_bytes;
  if (over <= 0 || rerun.least == rerun.most) return plan;
  const int64_t saved = bytes_of(plan, "activations") - bytes_of(plan_for(job, config, need, tokens, rerun.least + 1), "activations");
  return plan_for(job, config, need, tokens, std::min(rerun.most, rerun.least + (over + saved - 1) / saved));
}

std::optional<int64_t> number_in(const char* path) {
  std::ifstream file(path);
  int64_t n = 0;
  if (file >> n) return n;
  return std::nullopt;
}

// What `ulimit -v` leaves, as batch systems set it. OpenBLAS reserves a buffer for each thread at its first product, and where it gets none it
// tries again for ever: their room is not given away.
int64_t address_space_left() {
  constexpr int64_t kBlasBuffer = 129 << 20;
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return INT64_MAX;
  const int64_t used = number_in("/proc/self/statm").value_or(0) * sysconf(_SC_PAGESIZE);
  const int threads = thread_count();
  const int64_t buffers = (threads > 0 ? threads : Cpu::cores_allowed()) * kBlasBuffer;
  return std::max<int64_t>(0, static_cast<int64_t>(limit.rlim_cur) - used - buffers);
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
  const int64_t wanted = wanted_tokens(job, need);
  const RerunRange rerun = rerun_range(job, config);
  const auto fits = [&](const MemoryPlan& plan) { return plan.total_bytes <= available_bytes; };
  std::optional<MemoryPlan> best;
  for (const int64_t tokens : sizes_to_try(job, need)) {
    MemoryPlan plan = plan_with_least_rerun(job, config, need, tokens, rerun, available_bytes);
    if (fits(plan) && (!best || plan.cost < best->cost)) best = std::move(plan);
  }
  if (best) return *best;
  const MemoryPlan least = plan_for(job, config, need, 1, rerun.most);
  if (fits(least)) {
    out_of_memory("out of memory: micro_batch_tokens " + std::to_string(wanted) + " needs " +
                  megabytes(plan_for(job, config, need, wanted, rerun.most).total_bytes) + " and " + megabytes(available_bytes) +
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
    if (fits(plan_for(job, config, smaller, 1, rerun.most))) {
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
                      {"gradient_checkpointing", plan.decoder.recompute_layers > 0},
                      {"recomputed_layers", plan.decoder.recompute_layers}};
}

}  // namespace concord
