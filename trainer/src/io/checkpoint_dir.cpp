#include "io/checkpoint_dir.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <memory>
#include <set>

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

// Opens the shards; every tensor must be where weight_map says, and nothing else may be in them.
void open_shards(CheckpointDir& checkpoint) {
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
    checkpoint.files.push_back(open_safetensors(shard_path));
    for (const TensorInfo& tensor : checkpoint.files.back().header.tensors) {
      const auto entry = shard_of.find(tensor.name);
      if (entry == shard_of.end() || entry->second != shard)
        bad_input(shard_path + ": holds tensor " + in_quotes(tensor.name) + ", which " + index_name + " does not place there");
      shard_of.erase(entry);
    }
  }
  if (!shard_of.empty())
    bad_input(path + ": weight_map places " + in_quotes(shard_of.begin()->first) + " in " + shard_of.begin()->second + ", but it is not there");
}

// Old checkpoints carry this buffer; it holds no weights.
bool is_passed_over(const std::string& name) { return name.ends_with("rotary_emb.inv_freq"); }

bool same_bytes(const CheckpointDir::Weight& x, const CheckpointDir::Weight& y) {
  if (x.info->dtype != y.info->dtype || x.info->shape != y.info->shape) return false;
  constexpr size_t kPiece = 1 << 20;
  std::string of_x, of_y;
  for (size_t at = 0; at < x.info->bytes; at += of_x.size()) {
    of_x.resize(std::min(kPiece, x.info->bytes - at));
    of_y.resize(of_x.size());
    x.file->read(x.info->begin + at, of_x.data(), of_x.size());
    y.file->read(y.info->begin + at, of_y.data(), of_y.size());
    if (of_x != of_y) return false;
  }
  return true;
}

void collect_tensors(CheckpointDir& checkpoint) {
  for (const OpenSafetensors& shard : checkpoint.files)
    for (const TensorInfo& tensor : shard.header.tensors) {
      const std::string& path = shard.header.path;
      if (is_passed_over(tensor.name)) continue;
      if (tensor.dtype != DType::F32 && tensor.dtype != DType::F16 && tensor.dtype != DType::BF16)
        bad_input(path + ": tensor " + in_quotes(tensor.name) + " is " + std::string(dtype_name(tensor.dtype)) +
                  ", but must be F32, F16 or BF16");
      if (!checkpoint.tensors.emplace(tensor.name, CheckpointDir::Weight{&tensor, &shard.file}).second)
        bad_input(path + ": tensor " + in_quotes(tensor.name) + " is also in another file");
    }
}

// With tied embeddings some writers store the head as well; a copy is harmless, anything else would be a different model.
void drop_tied_head(CheckpointDir& checkpoint) {
  if (!checkpoint.config.tie_word_embeddings) return;
  const auto head = checkpoint.tensors.find("lm_head.weight");
  const auto embedding = checkpoint.tensors.find("model.embed_tokens.weight");
  if (head == checkpoint.tensors.end() || embedding == checkpoint.tensors.end()) return;
  if (!same_bytes(head->second, embedding->second))
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
    if (found->second.info->shape != spec.shape)
      bad_input(checkpoint.dir + ": the weight " + in_quotes(spec.name) + " has the shape " + shape_text(found->second.info->shape) +
                ", but config.json asks for " + shape_text(spec.shape));
  }
  for (const auto& [name, weight] : checkpoint.tensors)
    if (!expected.contains(name))
      bad_input(checkpoint.dir + ": the weight " + in_quotes(name) + " has no place in a model of this config.json");
}

bool all_finite(std::span<const float> values) {
  uint32_t largest = 0;
  for (const float v : values) largest = std::max(largest, std::bit_cast<uint32_t>(v) & 0x7FFFFFFFu);
  return largest < 0x7F800000u;
}

}  // namespace

const CheckpointDir::Weight& CheckpointDir::weight(std::string_view name) const {
  const auto found = tensors.find(name);
  if (found == tensors.end()) bad_input(dir + ": the weight " + in_quotes(name) + " is missing");
  return found->second;
}

void CheckpointDir::read_weight(std::string_view name, int64_t begin, std::span<float> out) const {
  const auto [info, file] = weight(name);
  const size_t width = dtype_bytes(info->dtype), step = std::min(static_cast<size_t>(piece), out.size());
  const auto raw = std::make_unique_for_overwrite<std::byte[]>(step * width);
  for (size_t done = 0; done < out.size();) {
    const std::span<float> values = out.subspan(done, std::min(step, out.size() - done));
    file->read(info->begin + (static_cast<size_t>(begin) + done) * width, raw.get(), values.size() * width);
    to_f32(*info, raw.get(), values.size(), values.data());
    if (!all_finite(values)) {
      const auto at = std::find_if_not(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
      bad_input(dir + ": the weight " + in_quotes(name) + " holds " + (std::isnan(*at) ? "NaN" : "infinity") + " at element " +
                std::to_string(begin + static_cast<int64_t>(done) + (at - values.begin())) + "; the file is damaged, fetch it again");
    }
    done += values.size();
  }
}

std::vector<float> CheckpointDir::read_weight(std::string_view name) const {
  std::vector<float> values(static_cast<size_t>(tensor(name).elements()));
  read_weight(name, 0, values);
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
    checkpoint.files.push_back(open_safetensors(single));
  } else if (path_exists(join_path(dir, index_name))) {
    open_shards(checkpoint);
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
