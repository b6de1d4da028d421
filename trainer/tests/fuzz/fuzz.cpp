// Every parser of bytes that others may have written, over damaged files, built with the address and undefined-behaviour
// sanitizers: each file is accepted or refused in one sentence, soon, in memory that is bounded by its size.
// CONCORD_FUZZ_FILES says how many files; the seeds are always the same.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>

#include "check.h"
#include "error.h"
#include "io/adapter.h"
#include "io/checkpoint_dir.h"
#include "io/groups.h"
#include "memory.h"
#include "mutate.h"
#include "run/job.h"
#include "run/serve_request.h"
#include "temp_dir.h"

using namespace concord;

namespace {

// What parsing may hold at once: JSON's values take so many bytes for each byte of text (a Json for every "0," and the old
// and the new array while one grows), and small files name up to so much.
constexpr size_t kBytesPerByte = 128, kBytesAlways = 4 << 20;
constexpr double kSecondsMax = 2;

constexpr const char* kConfig =
    R"({"model_type":"llama","hidden_size":8,"intermediate_size":12,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,)"
    R"("vocab_size":11,"max_position_embeddings":32,"rms_norm_eps":1e-5,"tie_word_embeddings":false,"eos_token_id":[2,3],"torch_dtype":"float32",)"
    R"("rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":16}})";
constexpr const char* kAdapterConfig =
    R"({"peft_type":"LORA","task_type":"CAUSAL_LM","base_model_name_or_path":null,"r":2,"lora_alpha":4,"lora_dropout":0.0,)"
    R"("target_modules":["q_proj","v_proj"],"rank_pattern":{"v_proj":3},"alpha_pattern":{},"use_rslora":false,"bias":"none","modules_to_save":null})";
constexpr const char* kJob =
    R"({"model_name_or_path":"m","train_file":"t","output_dir":"o","objective":"dpo","loss_type":"sigmoid","beta":0.1,"r":8,"lora_alpha":16,)"
    R"("target_modules":["q_proj"],"rank_pattern":{"q_proj":4},"learning_rate":1e-5,"warmup_ratio":0.1,"max_steps":10,"groups_per_step":4,)"
    R"("max_length":64,"truncation_mode":"keep_end","eval_steps":null,"seed":42,"shuffle":true,"resume_from_checkpoint":"auto"})";
constexpr const char* kRequest =
    R"({"op":"generate","id":"a","prompt":[1,2,3],"adapter":"x","num_return_sequences":2,"max_new_tokens":8,"temperature":0.7,"top_p":0.9,)"
    R"("top_k":5,"min_p":0.1,"repetition_penalty":1.1,"seed":1,"stop":[2],"stream":false})";

void write_plainly(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  CHECK(fd >= 0);
  CHECK_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  close(fd);
}

std::string file_text(const std::string& path) { return std::string(read_file(path).text()); }

void read_everything(const SafetensorsFile& file) {
  for (const TensorView& view : file.tensors) {
    const bool floats = view.dtype == DType::F64 || view.dtype == DType::F32 || view.dtype == DType::F16 || view.dtype == DType::BF16;
    if (floats) (void)to_f32(view);
  }
}

// One kind of file: good examples, and what reads it.
struct Target {
  std::string name;
  std::vector<std::string> good;
  bool is_safetensors;
  std::function<void(const std::string& bytes)> parse;
};

// A checkpoint in two shards, an adapter and a groups file, small but with every part.
struct Files {
  TempDir dir;
  ModelConfig config = parse_model_config(parse_json(kConfig, "config.json"), "config.json");
  std::vector<float> zeros = std::vector<float>(4096);

  Files() {
    make_dir(dir / "model");
    make_dir(dir / "adapter");
    dir.write("model/config.json", kConfig);
    std::vector<TensorOut> shards[2];
    Json::Object places;
    size_t i = 0;
    for (const TensorSpec& spec : model_tensors(config)) {
      const size_t shard = i++ % 2;
      shards[shard].push_back({spec.name, i % 3 ? DType::F32 : DType::BF16, spec.shape, zeros.data(), true});
      places.emplace_back(spec.name, "part-" + std::to_string(shard) + ".safetensors");
    }
    for (const size_t shard : {0, 1}) write_safetensors(dir / ("model/part-" + std::to_string(shard) + ".safetensors"), shards[shard], {{"format", "pt"}});
    dir.write("model/model.safetensors.index.json", to_text(Json(Json::Object{{"metadata", Json::Object{{"total_size", 1}}}, {"weight_map", places}})));
    Adapter adapter = new_adapter(parse_adapter_config(parse_json(kAdapterConfig, "a"), "a"), config);
    write_adapter(dir / "adapter", adapter);
    Groups groups;
    groups.tokens = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    groups.segments = {0, 3, 5, 7, 8, 10};
    groups.group_segments = {0, 3, 5};
    groups.pairs = {{1, 2}};
    groups.has_pairs = true;
    groups.pair_weights = {0.5};
    groups.segment_tiers = {-1, 0, 1, -1, 0};
    groups.segment_labels = {-1, 1, 0, -1, -1};
    groups.segment_weights = {1, 1, 1, 1, 2};
    groups.token_mask = {1, 1, 1, 1, 1, 0, 1, 1, 1, 1};
    write_groups(dir / "groups", groups);
  }

  // Bytes in place of one file of a folder, read as the trainer reads that folder.
  Target in_place(const std::string& name, const std::string& path, bool is_safetensors, std::function<void()> read) const {
    const std::string at = dir / path, good = file_text(at);
    return {name, {good}, is_safetensors, [at, good, read](const std::string& bytes) {
              write_plainly(at, bytes);
              struct Restore {
                const std::string &at, &good;
                ~Restore() { write_plainly(at, good); }
              } const restore{at, good};
              read();
            }};
  }

  std::vector<Target> targets() const {
    const std::string all_types = [] {
      std::string entries;
      size_t end = 0;
      for (const auto& [type, bytes] : std::vector<std::pair<std::string, size_t>>{{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"U8", 1}, {"BOOL", 1}}) {
        entries += (end ? ",\"" : "\"") + type + R"(":{"dtype":")" + type + R"(","shape":[1,2],"data_offsets":[)" + std::to_string(end) + ",";
        end += 2 * bytes;
        entries += std::to_string(end) + "]}";
      }
      return safetensors_text("{\"__metadata__\":{\"format\":\"pt\"}," + entries + "}", end);
    }();
    const auto json_as = [](auto parse) {
      return [parse](const std::string& bytes) { parse(parse_json(bytes, "file")); };
    };
    const auto open_model = [this] {
      const CheckpointDir checkpoint = open_checkpoint(dir / "model");
      for (const auto& [name, tensor] : checkpoint.tensors) (void)checkpoint.read_weight(name);
    };
    const auto open_adapter = [this] { (void)read_adapter(dir / "adapter", config); };
    return {
        {"safetensors", {all_types}, true, [](const std::string& bytes) { read_everything(parse_safetensors(bytes_of(bytes), "file")); }},
        {"json", {kConfig, kAdapterConfig, kJob, R"(["\u00e9\ud83d\ude00",-1.5e3,[],{},[[1],{"a":null}]])"}, false,
         json_as([](const Json& json) { (void)parse_json(to_text(json), "written"); })},
        {"config", {kConfig}, false, json_as([](const Json& json) { (void)model_tensors(parse_model_config(json, "file")); })},
        {"adapter_config", {kAdapterConfig}, false, json_as([](const Json& json) { (void)parse_adapter_config(json, "file"); })},
        {"job", {kJob}, false, json_as([](const Json& json) { (void)job_json(parse_job(json, "file")); })},
        {"serve request", {kRequest, R"({"op":"load","id":"b","adapter":"x","path":"y"})"}, false,
         json_as([this](const Json& json) { (void)parse_serve_request(json, config, {2}); })},
        in_place("index", "model/model.safetensors.index.json", false, open_model),
        in_place("shard", "model/part-1.safetensors", true, open_model),
        in_place("adapter's config", "adapter/adapter_config.json", false, open_adapter),
        in_place("adapter's weights", "adapter/adapter_model.safetensors", true, open_adapter),
        in_place("groups", "groups", true, [this] { check_groups_vocab(read_groups(dir / "groups"), 11, "file"); }),
    };
  }
};

// One line of text that a person can be shown.
bool is_sentence(const std::string& message) {
  if (message.empty() || message.size() > 1'000 || !is_utf8(message)) return false;
  return std::none_of(message.begin(), message.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

std::string now_parsing;  // for a file that crashes or hangs: which one it was

void on_alarm(int) {
  [[maybe_unused]] const ssize_t said = ::write(2, now_parsing.data(), now_parsing.size());
  std::abort();
}

struct Tally {
  int64_t accepted = 0, refused = 0;
  double slowest = 0;
  size_t peak = 0;
};

void parse_one(const Target& target, const std::string& bytes, Tally& tally) {
  using Clock = std::chrono::steady_clock;
  const size_t before = fuzz::allocated.live;
  fuzz::allocated.peak = before;
  alarm(20);
  const auto begin = Clock::now();
  try {
    target.parse(bytes);
    tally.accepted++;
  } catch (const Failure& failure) {
    tally.refused++;
    if (failure.exit_code != exit_bad_input || !is_sentence(failure.what())) throw std::runtime_error(now_parsing + " was refused with: " + failure.what());
  } catch (const std::exception& error) {
    throw std::runtime_error(now_parsing + " threw: " + error.what());
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  alarm(0);
  const size_t held = fuzz::allocated.peak - before;
  tally.slowest = std::max(tally.slowest, seconds);
  tally.peak = std::max(tally.peak, held);
  if (fuzz::allocated.live != before) throw std::runtime_error(now_parsing + " leaves " + std::to_string(fuzz::allocated.live - before) + " bytes behind");
  if (held > kBytesAlways + kBytesPerByte * bytes.size()) throw std::runtime_error(now_parsing + " of " + std::to_string(bytes.size()) + " bytes held " + std::to_string(held));
  if (seconds > kSecondsMax) throw std::runtime_error(now_parsing + " took " + std::to_string(seconds) + " s");
}

int64_t files_wanted() {
  const char* text = std::getenv("CONCORD_FUZZ_FILES");
  return text ? std::atoll(text) : 5'000;
}

}  // namespace

extern "C" const char* __asan_default_options() { return "detect_leaks=0:max_allocation_size_mb=1024"; }  // leaks are counted above

TEST("damaged files: accepted or refused in one sentence, soon, in bounded memory") {
#if !CONCORD_SANITIZED
  SKIP("this compiler has no address and undefined-behaviour sanitizers");
#endif
  const Files files;
  const std::vector<Target> targets = files.targets();
  std::signal(SIGALRM, on_alarm);
  const int64_t wanted = files_wanted();
  std::map<std::string, Tally> tallies;
  for (const Target& target : targets) {
    Tally& tally = tallies[target.name];
    for (const std::string& good : target.good) {
      now_parsing = "the good " + target.name;
      parse_one(target, good, tally);
    }
    CHECK_EQ(tally.refused, 0);
  }
  for (int64_t i = 0; i < wanted; i++) {
    const Target& target = targets[i % targets.size()];
    Random random(2026, static_cast<uint64_t>(i));
    const Target& neighbour = targets[fuzz::pick(random, targets.size())];
    const std::string& good = target.good[fuzz::pick(random, target.good.size())];
    const std::string bytes = fuzz::mutate(random, good, neighbour.good.front(), target.is_safetensors);
    now_parsing = target.name + " " + std::to_string(i);
    parse_one(target, bytes, tallies[target.name]);
  }
  for (const Target& target : targets) {
    const Tally& tally = tallies[target.name];
    std::printf("%-18s %6lld accepted %6lld refused, slowest %5.1f ms, most memory %6.0f kB\n", target.name.c_str(),
                static_cast<long long>(tally.accepted), static_cast<long long>(tally.refused), tally.slowest * 1e3, static_cast<double>(tally.peak) / 1e3);
    if (wanted >= 1'000) CHECK(tally.refused > 10 && tally.accepted > 1);  // the damage is neither nothing nor everything
  }
}
