// The trainer as a user runs it: every subcommand once for real, and every way to mistype one.
#include <fstream>
#include <sstream>

#include "run_binary.h"
#include "tiny_model.h"

using namespace tiny;

namespace {

const char* const kCommands[] = {"init", "train", "score", "generate", "inspect", "devices"};

// Exit code 2, nothing on stdout, one line on stderr that says `text`.
void check_refused(const std::vector<std::string>& args, const std::string& text) {
  const Ran ran = run_binary(args);
  if (ran.exit_code != 2 || ran.err.find(text) == std::string::npos || std::count(ran.err.begin(), ran.err.end(), '\n') != 1)
    throw check::Failed("expected exit code 2 and one line with \"" + text + "\", got " + std::to_string(ran.exit_code) + ": " + ran.err);
  CHECK_EQ(ran.out, "");
}

Json one_json_line(const Ran& ran) {
  CHECK_EQ(ran.err, "");
  CHECK_EQ(ran.exit_code, 0);
  CHECK_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 1);
  return parse_json(std::string_view(ran.out).substr(0, ran.out.size() - 1), "stdout");
}

// Preferences over 12 prompts: the first completion is better.
std::string write_pairs(const TempDir& dir) {
  Random random(6, 0);
  GroupsFile file;
  for (int32_t g = 0; g < 12; g++) {
    file.add(random_ids(random, 5), {random_ids(random, 6), random_ids(random, 4)});
    file.groups.pairs.push_back({3 * g + 1, 3 * g + 2});
  }
  return file.write(dir, "pairs.safetensors");
}

std::string write_job(const TempDir& dir, const std::string& model, const std::string& groups, Json::Object extra = {}) {
  Json job = Json::Object{{"model_name_or_path", model}, {"train_file", groups}, {"output_dir", dir / "run"}, {"objective", "dpo"},
                          {"r", 4}, {"learning_rate", 0.01}, {"groups_per_step", 4}, {"num_train_epochs", 2}};
  for (auto& [key, value] : extra) job.set(key, value);
  return dir.write("job.json", to_text(job));
}

}  // namespace

TEST("from init to samples: every subcommand on its own output") {
  TempDir dir;
  const std::string model = dir / "model", groups = write_pairs(dir), adapter = dir / "run/adapter";
  const Json made = one_json_line(run_binary({"init", "--config", dir.write("config.json", to_text(config())), "--seed", "3", "--out", model}));
  const Json facts = one_json_line(run_binary({"inspect", "--model", model}));
  CHECK_EQ(to_text(*facts.find("parameters")), to_text(*made.find("parameters")));
  CHECK_EQ(std::get<std::string>(facts.find("architecture")->find("model_type")->value), "llama");

  const Ran trained = run_binary({"train", write_job(dir, model, groups)});
  CHECK_EQ(trained.exit_code, 0);
  CHECK(path_exists(adapter + "/adapter_config.json") && path_exists(adapter + "/adapter_model.safetensors"));

  const auto rewards = [&](const std::vector<std::string>& with) {
    std::vector<std::string> args = {"score", "--model", model, "--groups", groups, "--out", dir / "scores.safetensors"};
    args.insert(args.end(), with.begin(), with.end());
    CHECK_EQ(run_binary(args).exit_code, 0);
    return to_f32(*read_safetensors(dir / "scores.safetensors").find("logps"));
  };
  const std::vector<float> base = rewards({}), tuned = rewards({"--adapter=" + adapter});
  double margin = 0;
  for (size_t i = 0; i < base.size(); i += 2) margin += tuned[i] - base[i] - (tuned[i + 1] - base[i + 1]);
  CHECK(margin > 0);  // what was preferred gained

  const Ran generated = run_binary({"generate", "--model", model, "--adapter", adapter, "--groups", groups, "--out", dir / "samples.safetensors",
                                    "--num-return-sequences", "3", "--max-new-tokens", "7", "--temperature", "0.8", "--top-p", "0.9",
                                    "--top-k", "20", "--min-p", "0.01", "--repetition-penalty", "1.1", "--seed", "9", "--stop", "none"});
  CHECK_EQ(generated.exit_code, 0);
  CHECK_EQ(generated.out, "");
  const Groups samples = read_groups(dir / "samples.safetensors");
  CHECK_EQ(samples.n_groups(), 12);
  CHECK_EQ(samples.n_segments(), 12 * 4);
}

TEST("inspect --job predicts what train then plans, by part") {
  TempDir dir;
  const std::string model = write_model(dir, config()), groups = write_pairs(dir);
  const auto predicted = [&](Json::Object extra) {
    const std::string job = write_job(dir, model, groups, std::move(extra));
    const Json out = one_json_line(run_binary({"inspect", "--model", model, "--job", job}));
    const Json* memory = out.find("memory");
    CHECK(memory != nullptr);
    int64_t sum = 0;
    for (const auto& [name, bytes] : memory->find("parts_bytes")->object()) sum += std::get<int64_t>(bytes.value);
    CHECK_EQ(sum, std::get<int64_t>(memory->find("total_bytes")->value));
    CHECK(!path_exists(dir / "run"));
    return out;
  };
  const Json lora = predicted({});
  CHECK_EQ(std::get<int64_t>(lora.find("trainable_parameters")->value), 3 * 4 * (32 + 32 + 2 * (32 + 16) + 32 + 32 + 3 * (32 + 48)));
  const auto total = [](const Json& out) { return std::get<int64_t>(out.find("memory")->find("total_bytes")->value); };
  CHECK(total(predicted({{"r", 32}})) > total(lora));
  CHECK(total(predicted({{"gradient_checkpointing", true}})) < total(lora));
  CHECK(total(predicted({{"micro_batch_tokens", 64}})) < total(lora));

  const Ran trained = run_binary({"train", write_job(dir, model, groups)});
  const Json start = parse_json(trained.out.substr(0, trained.out.find('\n')), "stdout");
  CHECK_EQ(to_text(*start.find("memory")), to_text(*lora.find("memory")));
  CHECK_EQ(to_text(*start.find("trainable_parameters")), to_text(*lora.find("trainable_parameters")));
}

TEST("a job that cannot fit ends with exit code 3 and says what to lower, before anything is written") {
  TempDir dir;
  Random random(6, 0);
  GroupsFile file;
  for (int g = 0; g < 8'000; g++) file.add({}, {random_ids(random, 90)});
  const std::string model = write_model(dir, config()), groups = file.write(dir, "documents.safetensors");
  const std::string job = write_job(dir, model, groups, {{"objective", "sft"}, {"micro_batch_tokens", 16'777'216}});
  for (const std::vector<std::string>& args : {std::vector<std::string>{"train", job}, {"inspect", "--model", model, "--job", job}}) {
    const Ran ran = run_binary(args, "ulimit -v 2000000; CONCORD_THREADS=1 OPENBLAS_NUM_THREADS=1");
    CHECK_EQ(ran.exit_code, 3);
    CHECK(ran.err.find("micro_batch_tokens 16777216 needs") != std::string::npos);
    CHECK_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1);
    CHECK(!path_exists(dir / "run"));
  }
}

TEST("devices lists the CPU with its memory") {
  const Json out = one_json_line(run_binary({"devices"}));
  const Json& cpu = out.find("devices")->array().at(0);
  CHECK_EQ(std::get<std::string>(cpu.find("device")->value), "cpu");
  CHECK(std::get<int64_t>(cpu.find("threads")->value) > 0);
  CHECK(std::get<int64_t>(cpu.find("free_memory_bytes")->value) > 0);
}

TEST("help goes to stdout and succeeds, no command at all is a mistake") {
  const Ran help = run_binary({"--help"});
  CHECK_EQ(help.exit_code, 0);
  CHECK_EQ(help.err, "");
  const Ran none = run_binary({});
  CHECK_EQ(none.exit_code, 2);
  CHECK_EQ(none.out, "");
  CHECK_EQ(none.err, help.out);
  for (const std::string name : kCommands) {
    CHECK(help.out.find("\n  " + name + " ") != std::string::npos);
    const Ran one = run_binary({name, "--help"});
    CHECK_EQ(one.exit_code, 0);
    CHECK(one.out.find("usage: concord-trainer " + name + " ") == 0);
  }
}

TEST("a mistyped command or flag is named, with what was meant") {
  const std::string model = "m", groups = "g", out = "o";
  const auto generate = [&](const std::string& flag, const std::string& value) {
    return std::vector<std::string>{"generate", "--model", model, "--groups", groups, "--out", out, flag, value};
  };
  check_refused({"trian"}, "unknown command \"trian\"; did you mean train?");
  check_refused({"zzz"}, "unknown command \"zzz\"");
  check_refused({"bad\ncommand"}, "bad\\ncommand");
  check_refused({"train"}, "JOB.json is required");
  check_refused({"train", "a.json", "b.json"}, "unexpected argument \"b.json\"");
  check_refused({"init"}, "--config is required");
  check_refused({"init", "--config", "c", "--out", "o"}, "--seed is required");
  check_refused({"score"}, "--model is required");
  check_refused({"score", "--model", "m"}, "--groups is required");
  check_refused({"generate", "--model", "m", "--groups", "g"}, "--out is required");
  check_refused({"inspect"}, "--model is required");
  check_refused({"inspect", "x"}, "unexpected argument \"x\"");
  check_refused({"score", "--modle", "m"}, "unknown flag \"--modle\"; did you mean --model?");
  check_refused({"score", "--temperature", "1"}, "unknown flag \"--temperature\"");
  check_refused({"score", "--model"}, "--model needs a value");
  check_refused({"score", "--model="}, "--model needs a value");
  check_refused({"score", "--model", "--groups", "g"}, "--model needs a value, not the flag --groups");
  check_refused({"score", "--model", "m", "--model=n"}, "--model is given twice");
  check_refused({"devices", "--device", "gpu"}, "--device is \"gpu\", but must be auto, cpu, cuda or cuda:N");
  check_refused({"init", "--config", "c", "--seed", "-1", "--out", "o"}, "--seed is -1, but must be from 0");
  check_refused({"init", "--config", "c", "--seed", "1e3", "--out", "o"}, "--seed is \"1e3\", but must be an integer");
  check_refused(generate("--num-return-sequences", "0"), "--num-return-sequences is 0, but must be from 1 to 1024");
  check_refused(generate("--num-return-sequences", "1025"), "--num-return-sequences is 1025");
  check_refused(generate("--max-new-tokens", "0"), "--max-new-tokens is 0");
  check_refused(generate("--max-new-tokens", "99999999999999999999"), "--max-new-tokens is \"99999999999999999999\", but must be an integer");
  check_refused(generate("--temperature", "-0.1"), "--temperature is -0.1, but must be from 0");
  check_refused(generate("--temperature", "nan"), "--temperature is nan");
  check_refused(generate("--temperature", "warm"), "--temperature is \"warm\", but must be a number");
  check_refused(generate("--top-p", "1.1"), "--top-p is 1.1");
  check_refused(generate("--top-k", "2.5"), "--top-k is \"2.5\", but must be an integer");
  check_refused(generate("--min-p", "2"), "--min-p is 2");
  check_refused(generate("--repetition-penalty", "0"), "--repetition-penalty is 0");
  for (const char* stop : {"1,,2", ",1", "1,", "all", "-1", "1.0", "1 2"})
    check_refused(generate("--stop", stop), "--stop is \"" + std::string(stop) + "\", but must be token ids joined by commas, or none");
}

TEST("CONCORD_THREADS that is no number of threads is refused") {
  TempDir dir;
  const std::string model = write_model(dir, config()), groups = write_pairs(dir);
  for (const char* threads : {"0", "-1", "two", "1.5", "4096"}) {
    const Ran ran = run_binary({"score", "--model", model, "--groups", groups, "--out", dir / "o"}, std::string("CONCORD_THREADS=") + threads);
    CHECK_EQ(ran.exit_code, 2);
    CHECK(ran.err.find("CONCORD_THREADS must be a whole number from 1 to 1024") != std::string::npos);
    CHECK(!path_exists(dir / "o"));
  }
}
