// A Hugging Face checkpoint folder: config.json and model.safetensors or shards named by model.safetensors.index.json.
// defines: CheckpointDir, open_checkpoint, read_checkpoint_config, write_checkpoint
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/model_config.h"
#include "io/safetensors.h"

namespace concord {

// Open: its headers are read and checked, its weights are read when they are asked for.
struct CheckpointDir {
  struct Weight {
    const TensorInfo* info;
    const OpenFile* file;
  };
  std::string dir;
  Json config_json;  // as read, for writing back
  ModelConfig config;
  std::vector<OpenSafetensors> files;
  std::map<std::string, Weight, std::less<>> tensors;  // exactly model_tensors(config), F32 F16 or BF16
  int64_t piece = 1 << 17;  // elements of a weight that one core reads at a time, which stay in its caches until they are converted

  // By name; the name is one of model_tensors(config), so it is there and has that shape.
  const TensorInfo& tensor(std::string_view name) const { return *weight(name).info; }
  // Its elements from `begin` on, as floats. NaN and infinity are refused by name: once computed with, nothing says where they came from.
  void read_weight(std::string_view name, int64_t begin, std::span<float> out) const;
  std::vector<float> read_weight(std::string_view name) const;

 private:
  const Weight& weight(std::string_view name) const;
};

// Only config.json: cheap, for inspect and for checks before weights are read.
ModelConfig read_checkpoint_config(const std::string& dir);

// Checks everything but the weights' values: a missing, extra or wrongly shaped weight, pickle files, a shard outside the folder are
// refused by name.
CheckpointDir open_checkpoint(const std::string& dir);

// Writes config.json and model.safetensors, each atomically, the weights first.
void write_checkpoint(const std::string& dir, const Json& config_json, const std::vector<TensorOut>& tensors);

}  // namespace concord
