#include "io/checkpoint_dir.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>
#include <span>

#include "error.h"
#include "io/limits.h"

namespace concord {
namespace fs = std::filesystem;
namespace {

constexpr const char* single_name = "model.safetensors";
constexpr const char* index_name = "model.safetensors.index.json";

// A link may stay inside the folder; one that leads out could publish any file of this machine as a model.
void refuse_link_out(const std::string& dir, const std::string& path) {
  std::error_code error;
  if (!fs::is_symlink(fs::symlink_status(path, error))) return;
  const fs::path target = fs::weakly_canonical(path, error), home = fs::weakly_canonical(dir, error);
  if (target.parent_path() != home) bad_input(path + ": is a link to a place outside the folder; copy the file here instead");
}

bool is_pickle_name(const std::string& name) {
  const std::string end = fs::path(name).extension().string();
  return end == ".bin" || end == ".pt" || end == ".pth" || end == ".ckpt" || end == ".pkl";
}

[[noreturn]] void refuse_no_weights(const std::string& dir) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(dir, error)) {
    const std::string name = entry.path().filename().string();
    if (is_pickle_name(name))
      bad_input(dir + ": holds " + in_quotes(name) + ", a pickle file, which can run code; convert it to " + single_name);
  }
  bad_input(dir + ": holds neither " + single_name + " nor " + index_name);
}

void check_shard_name(const JsonAt& at) {
  const std::string& name = at.string();
  const bool plain = name.find_first_of("/\\") == std::string::npos && !name.empty() && name[0] != '.';
  if (!plain) at.refuse("is " + in_quotes(name) + ", but must be a plain file name inside the folder");
  if (is_pickle_name(name)) at.refuse("is " + in_quotes(name) + ", a pickle file, which can run code; convert it to safetensors");
  if (!name.ends_with(".safetensors")) at.refuse("is " + in_quotes(name) + ", but must end in .safetensors");
}

// Reads the shards; every tensor must be where weight_map says, and nothing else may be in them.
void read_shards(CheckpointDir& checkpoint) {
  const std::string path = join_path(checkpoint.dir, index_name);
  refuse_link_out(checkpoint.dir, path);
  const Json index = parse_json(read_file(path, limits::index_bytes_max).text(), path);
  const JsonAt map = JsonAt{&index, path, ""}["weight_map"];
  std::map<std::string, std::string> shard_of;
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map.object()) {
    const JsonAt at{&shard, path, "weight_map[" + in_quotes(tensor) + "]"};
    check_shard_name(at);
    shard_of[tensor] = at.string();
    shards.insert(at.string());
  }
  if (shards.size() > limits::shards_max)
    map.refuse("names more than " + std::to_string(limits::shards_max) + " files");
  for (const std::string& shard : shards) {
    const std::string shard_path = join_path(checkpoint.dir, shard);
    refuse_link_out(checkpoint.dir, shard_path);
    checkpoint.files.push_back(read_safetensors(shard_path));
    for (const TensorView& view : checkpoint.files.back().tensors) {
      const auto entry = shard_of.find(view.name);
      if (entry == shard_of.end() || entry->second != shard)
        bad_input(shard_path + ": holds tensor " + in_quotes(view.name) + ", which " + index_name + " does not place there");
      shard_of.erase(entry);
    }
  }
  if (!shard_of.empty())
    bad_input(path + ": weight_map places " + in_quotes(shard_of.begin()->first) + " in " + shard_of.begin()->second + ", but it is not there");
}

// Old checkpoints carry this buffer; it holds no weights.
bool is_passed_over(const std::string& name) { return name.ends_with("rotary_emb.inv_freq"); }

bool same_bytes(const TensorView& x, const TensorView& y) {
  return x.dtype == y.dtype && x.shape == y.shape && std::memcmp(x.data, y.data, x.bytes) == 0;
}

void collect_tensors(CheckpointDir& checkpoint) {
  for (const SafetensorsFile& file : checkpoint.files)
    for (const TensorView& view : file.tensors) {
      if (is_passed_over(view.name)) continue;
      if (view.dtype != DType::F32 && view.dtype != DType::F16 && view.dtype != DType::BF16)
        bad_input(file.path + ": tensor " + in_quotes(view.name) + " is " + std::string(dtype_name(view.dtype)) +
                  ", but must be F32, F16 or BF16");
      if (!checkpoint.tensors.emplace(view.name, &view).second)
        bad_input(file.path + ": tensor " + in_quotes(view.name) + " is also in another file");
    }
}

// With tied embeddings some writers store the head as well; a copy is harmless, anything else would be a different model.
void drop_tied_head(CheckpointDir& checkpoint) {
  if (!checkpoint.config.tie_word_embeddings) return;
  const auto head = checkpoint.tensors.find("lm_head.weight");
  const auto embedding = checkpoint.tensors.find("model.embed_tokens.weight");
  if (head == checkpoint.tensors.end() || embedding == checkpoint.tensors.end()) return;
  if (!same_bytes(*head->second, *embedding->second))
    bad_input(checkpoint.dir + ": has a lm_head.weight that differs from model.embed_tokens.weight, though tie_word_embeddings is true");
  checkpoint.tensors.erase(head);
}

void check_against_config(const CheckpointDir& checkpoint) {
  std::set<std::string_view> expected;
  const std::vector<TensorSpec> specs = model_tensors(checkpoint.config);
  for (const TensorSpec& spec : specs) {
    expected.insert(spec.name);
    const auto found = checkpoint.tensors.find(spec.name);
    if (found == checkpoint.tensors.end()) bad_input(checkpoint.dir + ": the weight " + in_quotes(spec.name) + " is missing");
    if (found->second->shape != spec.shape)
      bad_input(checkpoint.dir + ": the weight " + in_quotes(spec.name) + " has the shape " + shape_text(found->second->shape) +
                ", but config.json asks for " + shape_text(spec.shape));
  }
  for (const auto& [name, view] : checkpoint.tensors)
    if (!expected.contains(name))
      bad_input(checkpoint.dir + ": the weight " + in_quotes(name) + " has no place in a model of this config.json");
}

}  // namespace

const TensorView& CheckpointDir::tensor(std::string_view name) const {
  const auto found = tensors.find(name);
  if (found == tensors.end()) bad_input(dir + ": the weight " + in_quotes(name) + " is missing");
  return *found->second;
}

void CheckpointDir::read_weight(std::string_view name, float* out) const {
  const TensorView& view = tensor(name);
  to_f32(view, out);
  const std::span<const float> values(out, view.elements());
  bool finite = true;
  for (const float v : values) finite &= std::isfinite(v);
  if (finite) return;
  const auto at = std::find_if_not(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
  bad_input(dir + ": the weight " + in_quotes(name) + " holds " + (std::isnan(*at) ? "NaN" : "infinity") + " at element " +
            std::to_string(at - values.begin()) + "; the file is damaged, fetch it again");
}

std::vector<float> CheckpointDir::read_weight(std::string_view name) const {
  std::vector<float> values(tensor(name).elements());
  read_weight(name, values.data());
  return values;
}

namespace {

Json read_config_json(const std::string& dir) {
  std::error_code error;
  if (!fs::is_directory(dir, error)) bad_input(dir + ": is not a folder with a model (config.json and " + single_name + ")");
  const std::string path = join_path(dir, "config.json");
  refuse_link_out(dir, path);
  return parse_json(read_file(path, limits::config_bytes_max).text(), path);
}

}  // namespace

ModelConfig read_checkpoint_config(const std::string& dir) {
  return parse_model_config(read_config_json(dir), join_path(dir, "config.json"));
}

CheckpointDir open_checkpoint(const std::string& dir) {
  CheckpointDir checkpoint;
  checkpoint.dir = dir;
  checkpoint.config_json = read_config_json(dir);
  checkpoint.config = parse_model_config(checkpoint.config_json, join_path(dir, "config.json"));
  const std::string single = join_path(dir, single_name);
  if (path_exists(single)) {
    refuse_link_out(dir, single);
    checkpoint.files.push_back(read_safetensors(single));
  } else if (path_exists(join_path(dir, index_name))) {
    read_shards(checkpoint);
  } else {
    refuse_no_weights(dir);
  }
  collect_tensors(checkpoint);
  drop_tied_head(checkpoint);
  check_against_config(checkpoint);
  return checkpoint;
}

void write_checkpoint(const std::string& dir, const Json& config_json, const std::vector<TensorOut>& tensors) {
  make_dir(dir);
  write_safetensors(join_path(dir, single_name), tensors, {{"format", "pt"}});
  write_file(join_path(dir, "config.json"), to_pretty_text(config_json));
}

}  // namespace concord
