// Training checkpoints: output_dir/checkpoint-<step>/, whole or not at all, each file's SHA-256 in manifest.json.
// defines: TrainingState, save_checkpoint, find_checkpoint, checkpoint_problem, write_training_state, read_training_state
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "io/json.h"
#include "io/safetensors.h"

namespace concord {

// Makes a temporary folder, lets `write` fill it, adds the manifest, flushes, renames it to checkpoint-<step> and
// then removes the oldest beyond save_total_limit (0: keep all), never `keep` (a folder name such as the best
// checkpoint's, may be empty). Returns the folder's path. On failure nothing new remains and older ones are untouched.
std::string save_checkpoint(const std::string& output_dir, int64_t step, int64_t save_total_limit,
                            const std::string& keep, const std::function<void(const std::string& dir)>& write);

// Why this folder cannot be resumed from ("" if it is good): missing manifest, a file missing, changed or cut.
std::string checkpoint_problem(const std::string& dir);

// The newest good checkpoint-<step> in output_dir, or "" if there is none. Torn ones are skipped and named on stderr.
std::string find_checkpoint(const std::string& output_dir);

// What resuming needs beyond the weights. Two files: training_state.json (step, schedule, random state, data position; 64-bit
// unsigned values as decimal or hex strings) and optimizer.safetensors (moments, by name).
struct TrainingState {
  Json values;
  SafetensorsFile optimizer;
};
void write_training_state(const std::string& dir, const Json& values, const std::vector<TensorOut>& optimizer);
TrainingState read_training_state(const std::string& dir);

}  // namespace concord
