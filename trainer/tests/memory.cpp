// The memory plan: what it does where memory is scarce, and that a run stays near it.
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmath>
#include <filesystem>

#include "error.h"
#include "pass.h"
#include "io/checkpoint_dir.h"
#include "run/memory.h"
#include "tiny_run.h"

using namespace concord;

namespace {

ModelConfig config() { return parse_model_config(parse_json(kTinyConfig, "config.json"), "config.json"); }

Job job(const std::string& members = "") {
  const std::string text = R"({"model_name_or_path":"m","train_file":"t","output_dir":"o","objective":"dpo")" + members + "}";
  return parse_job(parse_json(text, "job.json"), "job.json");
}

const MemoryNeed kNeed{10'000, 1'000, 60, 40, 16, false, 2, 5'000};

MemoryPlan plan(int64_t available, const std::string& members = "") { return plan_memory(job(members), config(), kNeed, available); }

// The least that lets `accept` hold, to the byte.
int64_t least_available(const std::function<bool(int64_t)>& accept) {
  int64_t low = 0, high = int64_t{1} << 40;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (accept(middle) ? high : low) = middle;
  }
  return high;
}

bool fits(int64_t available) {
  try {
    return plan(available).total_bytes <= available;
  } catch (const Failure&) {
    return false;
  }
}

// A model of twelve layers, and what a plan of it takes and costs, said a second time.
struct Scarce {
  Job job;
  ModelConfig config;
  MemoryNeed need;
  double forward, fixed;

  MemoryPlan plan(int64_t available) const { return plan_memory(job, config, need, available); }
  int64_t roomy() const { return plan(INT64_MAX).total_bytes; }
  int64_t least() const { return bytes(60, 11); }
  int64_t bytes(int64_t tokens, int64_t layers) const {
    const MemoryPlan roomy = plan(INT64_MAX);
    DecoderPlan decoder = roomy.decoder;
    int64_t sum = roomy.total_bytes;
    for (const auto& part : decoder_memory<Cpu, float>(config, decoder)) sum -= part.second;
    decoder.tokens_max = tokens;
    decoder.recompute_layers = layers;
    for (const auto& part : decoder_memory<Cpu, float>(config, decoder)) sum += part.second;
    return sum;
  }
  double cost(int64_t tokens, int64_t layers) const {
    return 1 + forward * static_cast<double>(layers) / 12 + fixed / static_cast<double>(std::min<int64_t>(tokens, 8 * 60));
  }
};

std::vector<Scarce> scarce_plans() {
  const ModelConfig twelve = parse_model_config(parse_json(R"({"model_type":"llama","hidden_size":32,"intermediate_size":64,"num_hidden_layers":12,
    "num_attention_heads":4,"vocab_size":64,"max_position_embeddings":64})", "config.json"), "config.json");
  MemoryNeed quantized = kNeed, dora = kNeed, full = kNeed;
  quantized.quantized_bytes = 5'000;
  dora.dora = true;
  full.lora_ranks = 0;
  // Of a layer's weights, 4 x 32 x 32 + 3 x 32 x 64, the last product's 32 x 64 are not run again.
  const double fixed = Cpu::kMicroBatchCost, with_dequantization = fixed + Cpu::kDequantizationCost;
  return {{job(), twelve, kNeed, 0.5 * 0.8, fixed}, {job(), twelve, quantized, 0.5 * 0.8, with_dequantization}, {job(), twelve, dora, 0.5, fixed},
          {job(R"(,"finetuning_type":"full")"), twelve, full, 0.8 / 3, fixed}};
}

// Large enough that its activations are most of what a run holds; 32 groups of a prompt and two answers, 96 tokens each.
struct PeakModel {
  TempDir dir;

  PeakModel() {
    const std::string config = dir.write("config.json", R"({"model_type":"llama","hidden_size":256,"intermediate_size":1024,
      "num_hidden_layers":4,"num_attention_heads":4,"num_key_value_heads":4,"vocab_size":16384,"max_position_embeddings":128,
      "tie_word_embeddings":true,"eos_token_id":1})");
    CHECK_EQ(run_binary({"init", "--config", config, "--seed", "5", "--out", dir / "model"}).exit_code, 0);
    Groups groups;
    groups.segments = {0};
    groups.group_segments = {0};
    groups.has_pairs = true;
    for (int g = 0; g < 32; g++) {
      for (int i = 0; i < 96; i++) groups.tokens.push_back(2 + (37 * g + 11 * i) % 16'000);
      for (int part = 0; part < 3; part++) groups.segments.push_back(96 * g + 32 * (part + 1));
      groups.group_segments.push_back(groups.n_segments());
      groups.pairs.push_back({3 * g + 1, 3 * g + 2});
    }
    write_groups(dir / "groups", groups);
  }
};

}  // namespace

TEST("with room, activations are kept; with less, micro-batches shrink or layers are recomputed; with least, one group and all that can be") {
  const MemoryPlan roomy = plan(INT64_MAX);
  CHECK_EQ(roomy.decoder.recompute_layers, 0);
  CHECK_EQ(roomy.micro_batch_tokens, 2048);
  // A step has 8 groups of at most 60 tokens: micro-batches of 512 cost nothing.
  const MemoryPlan less = plan(roomy.total_bytes - 1);
  CHECK_EQ(less.decoder.recompute_layers, 0);
  CHECK_EQ(less.micro_batch_tokens, 1024);
  CHECK_EQ(less.cost, roomy.cost);
  const int64_t smallest = least_available(fits);
  const MemoryPlan least = plan(smallest);
  CHECK_EQ(least.decoder.recompute_layers, 1);
  CHECK_EQ(least.micro_batch_tokens, 60);
  CHECK_EQ(smallest, least.total_bytes);
}

TEST("layers are recomputed where a smaller micro-batch would cost more, or there is none: some, then all that can be") {
  const auto expect = [](const Scarce& scarce, int64_t tokens, int64_t layers) {
    const MemoryPlan chosen = scarce.plan(scarce.bytes(tokens, layers));
    CHECK_EQ(chosen.micro_batch_tokens, tokens);
    CHECK_EQ(chosen.decoder.recompute_layers, layers);
  };
  const std::vector<Scarce> plans = scarce_plans();
  expect(plans[0], 128, 0);
  expect(plans[0], 60, 5);
  expect(plans[0], 60, 11);
  expect(plans[1], 256, 1);  // quantized: micro-batches of 128 would cost 14 / 128 - 14 / 256 more, a layer costs 0.4 / 12
}

TEST("the plan is the cheapest that fits, of all sizes and numbers of layers, and with more memory no dearer") {
  for (const Scarce& scarce : scarce_plans()) {
    const int64_t least = scarce.least(), roomy = scarce.roomy();
    double before = INFINITY;
    for (int i = 0; i <= 200; i++) {
      const int64_t available = least + (roomy - least) * i / 200;
      const MemoryPlan chosen = scarce.plan(available);
      CHECK(chosen.total_bytes <= available);
      CHECK_EQ(scarce.bytes(chosen.micro_batch_tokens, chosen.decoder.recompute_layers), chosen.total_bytes);
      CHECK_NEAR(scarce.cost(chosen.micro_batch_tokens, chosen.decoder.recompute_layers), chosen.cost, 1e-12);
      for (const int64_t tokens : {2048, 1024, 512, 256, 128, 64, 60})
        for (int64_t layers = 0; layers < 12; layers++)
          if (scarce.bytes(tokens, layers) <= available) CHECK(scarce.cost(tokens, layers) >= chosen.cost - 1e-12);
      CHECK(chosen.cost <= before);
      before = chosen.cost;
    }
  }
}

TEST("the parts add up, and hold weights, gradients and both moments") {
  const MemoryPlan roomy = plan(INT64_MAX);
  int64_t sum = 0;
  for (const auto& [name, bytes] : roomy.parts) sum += bytes;
  CHECK_EQ(sum, roomy.total_bytes);
  const auto part = [&](const std::string& wanted) {
    for (const auto& [name, bytes] : roomy.parts)
      if (name == wanted) return bytes;
    return int64_t{-1};
  };
  CHECK_EQ(part("data"), 5'000);
  CHECK_EQ(part("weights"), 4 * 11'000);  // of the base and the adapter
  CHECK_EQ(part("gradients"), 4 * 1'000);
  CHECK_EQ(part("optimizer"), 8 * 1'000);
}

TEST("what the job says is kept, or refused with what would fit") {
  CHECK_EQ(plan(INT64_MAX, R"(,"gradient_checkpointing":true)").decoder.recompute_layers, 1);
  CHECK_EQ(plan(INT64_MAX, R"(,"gradient_checkpointing":true)").micro_batch_tokens, 2048);
  CHECK_EQ(plan(least_available(fits) + 1'000, R"(,"gradient_checkpointing":true)").decoder.recompute_layers, 1);
  CHECK_EQ(plan(INT64_MAX, R"(,"micro_batch_tokens":100)").micro_batch_tokens, 100);
  const int64_t recomputing = plan(INT64_MAX, R"(,"gradient_checkpointing":true)").total_bytes;
  CHECK_THROWS_WITH(plan(recomputing, R"(,"gradient_checkpointing":false,"micro_batch_tokens":2048)"), "out of memory: micro_batch_tokens 2048 needs");
  const int64_t least = least_available(fits);
  CHECK_THROWS_WITH(plan(least - 1), "lower max_length");
  CHECK_THROWS_WITH(plan(1'000), "no length would fit: choose a smaller model");
}

TEST("the peak of a run is within a tenth of its plan: activations kept, recomputed, on an NF4 base") {
  const PeakModel model;
  const TempDir& dir = model.dir;
  for (const std::string extra : {R"("micro_batch_tokens":3072)", R"("micro_batch_tokens":3072,"gradient_checkpointing":true)",
                                  R"("micro_batch_tokens":3072,"load_in_4bit":true)"}) {
    const std::string job = dir.write("job.json", R"({"model_name_or_path":")" + (dir / "model") + R"(","train_file":")" + (dir / "groups") +
                                                      R"(","output_dir":")" + (dir / "out") + R"(","objective":"dpo","groups_per_step":32,"max_steps":2,)" + extra + "}");
    const Ran ran = run_binary({"train", job}, "CONCORD_THREADS=2");
    CHECK_EQ(ran.exit_code == 0 ? "" : ran.err, "");
    double plan = 0, peak = 0;
    for (const Json& event : events_in(ran.out)) {
      if (event_name(event) == "start") plan = event_number(*event.find("memory"), "total_bytes");
      if (event_name(event) == "step") peak = event_number(event, "memory_bytes");
    }
    if (std::abs(peak / plan - 1) > 0.1) throw check::Failed(extra + ": peak over plan is " + std::to_string(peak / plan));
    std::filesystem::remove_all(dir / "out");
  }
}

TEST("the peak of a step with some of the layers recomputed is within a tenth of its plan") {
  const PeakModel model;
  const Json job = Json::Object{{"model_name_or_path", model.dir / "model"}, {"train_file", model.dir / "groups"}, {"objective", "dpo"},
                                {"micro_batch_tokens", 3072}};
  std::fflush(nullptr);
  const pid_t pid = fork();  // the peak of a process is that of all it did
  if (pid == 0) {
    int off = 99;
    try {
      const Pass pass(job, 2, 270'000'000);  // all activations would take 340
      const double ratio = static_cast<double>(peak_memory_bytes()) / static_cast<double>(pass.plan().total_bytes);
      off = pass.plan().decoder.recompute_layers == 2 ? static_cast<int>(std::lround(std::abs(ratio - 1) * 100)) : 98;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    _exit(off);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) <= 10);
}

// The most that a process of the trainer had in memory.
int64_t peak_bytes_of(std::vector<std::string> args) {
  args.insert(args.begin(), CONCORD_BINARY);
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(99);
    setenv("CONCORD_THREADS", "2", 1);
    execv(CONCORD_BINARY, argv.data());
    _exit(98);
  }
  int status = 0;
  rusage usage{};
  wait4(pid, &status, 0, &usage);
  CHECK_EQ(status, 0);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

TEST("scoring takes the base's floats, or its few bits, and a piece of its files") {
  TempDir dir;
  const std::string config = dir.write("config.json", R"({"model_type":"llama","hidden_size":512,"intermediate_size":2048,
    "num_hidden_layers":12,"num_attention_heads":8,"vocab_size":512,"max_position_embeddings":64,"tie_word_embeddings":true,"torch_dtype":"bfloat16"})");
  const std::string model = dir / "model";
  CHECK_EQ(run_binary({"init", "--config", config, "--seed", "5", "--out", model}).exit_code, 0);
  write_groups(dir / "groups", tiny_groups());
  const ModelConfig parsed = read_checkpoint_config(model);
  for (const auto& [name, how] : std::vector<std::pair<std::string, Quantization>>{{"", Quantization::none}, {"nf4", Quantization::nf4}}) {
    std::vector<std::string> args = {"score", "--model", model, "--groups", dir / "groups", "--out", dir / "scores", "--device", "cpu"};
    if (!name.empty()) args.insert(args.end(), {"--quantize", name});
    const int64_t base = 4 * weight_layout(parsed, how).elements + quantized_base_bytes(parsed, how);
    const int64_t beyond = peak_bytes_of(args) - base;
    if (beyond > 64 << 20) throw check::Failed(name + " takes " + std::to_string(beyond) + " bytes more than the base");
  }
  // Headers alone.
  CHECK(peak_bytes_of({"inspect", "--model", model}) < 32 << 20);
}

TEST("under any limit of its address space a run ends: done, or with what it needs") {
  TinyRun tiny;
  const std::string job = tiny.job("out", {{"objective", "dpo"}, {"device", "cpu"}});
  int done = 0;
  for (const char* kilobytes : {"450000", "600000", "800000", "1000000", "1500000"}) {
    const Ran ran = run_binary({"bench", "--job", job, "--completions", "2", "--prompt-tokens", "8", "--completion-tokens", "8", "--steps", "1"},
                               "ulimit -v " + std::string(kilobytes) + "; CONCORD_THREADS=2 timeout 60");
    if (ran.exit_code != 0 && ran.exit_code != 3) throw check::Failed(std::string(kilobytes) + " KB: exit code " + std::to_string(ran.exit_code) + ", " + ran.err);
    done += ran.exit_code == 0;
  }
  CHECK(done > 0);
}

TEST("where the system gives less than the plan, exit 3 says what to lower") {
  TinyRun tiny;
  const Groups few = tiny_groups();
  Groups many = few;  // enough tokens that a micro-batch of them all is larger than the limit below
  for (int64_t copy = 1; copy < 1000; copy++) {
    const auto tokens = static_cast<int64_t>(many.tokens.size()), segments = many.n_segments();
    many.tokens.insert(many.tokens.end(), few.tokens.begin(), few.tokens.end());
    for (size_t i = 1; i < few.segments.size(); i++) many.segments.push_back(tokens + few.segments[i]);
    for (size_t i = 1; i < few.group_segments.size(); i++) many.group_segments.push_back(segments + few.group_segments[i]);
    for (const auto& pair : few.pairs) many.pairs.push_back({pair[0] + static_cast<int32_t>(segments), pair[1] + static_cast<int32_t>(segments)});
  }
  write_groups(tiny.groups, many);
  const std::string job = tiny.job("out", {{"objective", "dpo"}, {"micro_batch_tokens", 1'000'000}});
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    setenv("CONCORD_THREADS", "1", 1);
    const rlimit limit{512 << 20, 512 << 20};
    setrlimit(RLIMIT_DATA, &limit);  // one that the plan does not look at
    if (!freopen("/dev/null", "w", stdout) || !freopen((tiny.dir / "err").c_str(), "w", stderr)) _exit(99);
    execl(CONCORD_BINARY, CONCORD_BINARY, "train", job.c_str(), nullptr);
    _exit(98);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 3);
  CHECK(read_file(tiny.dir / "err").text().find("lower micro_batch_tokens or max_length") != std::string_view::npos);
}
