#include <filesystem>

#include "tiny_run.h"

using namespace concord;

TEST("bench: one JSON object, and nothing of the job's own is touched") {
  TinyRun tiny;
  const std::string job = tiny.job("out", {{"objective", "dpo"}, {"r", 4}});
  const Ran ran = run_binary({"bench", "--job", job, "--completions", "3", "--prompt-tokens", "5", "--completion-tokens", "7", "--steps", "3"});
  CHECK_EQ(ran.exit_code == 0 ? "" : ran.err, "");
  const Json json = parse_json(ran.out, "bench");
  CHECK_EQ(event_number(json, "tokens_per_step"), 2.0 * (5 + 3 * 7));
  for (const char* key : {"parameters", "trainable_parameters", "tokens_per_second", "seconds_per_step", "peak_memory_bytes"})
    CHECK(event_number(json, key) > 0);
  CHECK(!path_exists(tiny.dir / "out"));
}

TEST("bench: pairs need two completions; a model that is not there is named") {
  TinyRun tiny;
  const Ran one = run_binary({"bench", "--job", tiny.job("out", {{"objective", "dpo"}}), "--completions", "1"});
  CHECK_EQ(one.exit_code, 2);
  CHECK(one.err.find("--completions must be 2 or more") != std::string::npos);
  const Ran none = run_binary({"bench", "--job", tiny.job("out", {{"objective", "sft"}, {"model_name_or_path", "/nowhere"}})});
  CHECK_EQ(none.exit_code, 2);
  CHECK(none.err.find("/nowhere") != std::string::npos);
}

TEST("bench-generate: the share of the memory's bandwidth, by what a step must read") {
  TinyRun tiny;
  const Ran ran = run_binary({"bench-generate", "--model", tiny.model, "--device", "cpu", "--prompts", "3", "--prompt-tokens", "5", "--num-return-sequences", "2",
                              "--max-new-tokens", "6"});
  CHECK_EQ(ran.exit_code == 0 ? "" : ran.err, "");
  const Json json = parse_json(ran.out, "bench-generate");
  for (const char* key : {"seconds", "tokens_per_second", "seconds_per_step", "copy_bytes_per_second"}) CHECK(event_number(json, key) > 0);
  // All prompts are through in the first step, which samples a token for each of six; before the other five there are 6, 12, 18, 24 and 30.
  CHECK_EQ(event_number(json, "steps"), 5.0);
  const double layer = 2 * 32 + (32 + 2 * 16) * 32 + 32 * 32 + 3 * 32 * 48, weights = 64 * 32 + 2 * layer + 32, row = 2 * 2 * 16;
  CHECK_EQ(event_number(json, "bytes_per_step"), 4 * (weights + row * (3 * 5 + 18)));
  CHECK_NEAR(event_number(json, "bandwidth_fraction"),
             event_number(json, "bytes_per_step") / event_number(json, "seconds_per_step") / event_number(json, "copy_bytes_per_second"), 1e-9);
  const Ran short_one = run_binary({"bench-generate", "--model", tiny.model, "--device", "cpu", "--prompts", "600", "--prompt-tokens", "4", "--max-new-tokens", "3"});
  CHECK_EQ(short_one.exit_code, 2);
  CHECK(short_one.err.find("--max-new-tokens") != std::string::npos);
  const Ran long_one = run_binary({"bench-generate", "--model", tiny.model, "--prompt-tokens", "60"});
  CHECK_EQ(long_one.exit_code, 2);
  CHECK(long_one.err.find("the model has 64 positions") != std::string::npos);
}
