#include "io/groups.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "error.h"
#include "io/json.h"
#include "io/safetensors.h"

namespace concord {
namespace {

constexpr const char* format_name = "groups.v1";

struct Checker {
  const Groups& groups;
  const std::string& path;

  [[noreturn]] void fail(const std::string& why) const { bad_input(path + ": " + why); }

  static std::string at(const char* tensor, int64_t i) { return std::string(tensor) + "[" + std::to_string(i) + "]"; }

  void offsets(const std::vector<int64_t>& offsets, const char* tensor, int64_t end, const char* of, bool strict) const {
    if (offsets.empty()) fail(std::string(tensor) + " is empty; it begins with 0 and has one entry more than there are items");
    if (offsets[0] != 0) fail(at(tensor, 0) + " must be 0");
    for (size_t i = 1; i < offsets.size(); i++)
      if (offsets[i] < offsets[i - 1] || (strict && offsets[i] == offsets[i - 1]))
        fail(at(tensor, static_cast<int64_t>(i)) + " does not ascend");
    if (offsets.back() != end)
      fail(std::string(tensor) + " ends at " + std::to_string(offsets.back()) + ", but there are " + std::to_string(end) + " " + of);
  }

  template <class T>
  void length(const std::vector<T>& values, const char* tensor, int64_t n, const char* of) const {
    if (!values.empty() && static_cast<int64_t>(values.size()) != n)
      fail(std::string(tensor) + " has " + std::to_string(values.size()) + " entries, but there are " + std::to_string(n) + " " + of);
  }

  void completions() const {
    for (int64_t g = 0; g < groups.n_groups(); g++)
      for (int64_t s = groups.completions_begin(g); s < groups.completions_end(g); s++)
        if (groups.segment_length(s) == 0)
          fail("group " + std::to_string(g) + ": completion " + std::to_string(s - groups.completions_begin(g)) + " (segment " +
               std::to_string(s) + ") is empty");
  }

  // The group of each segment, and -1 for prompts.
  std::vector<int64_t> completion_groups() const {
    std::vector<int64_t> owner(static_cast<size_t>(groups.n_segments()), -1);
    for (int64_t g = 0; g < groups.n_groups(); g++)
      for (int64_t s = groups.completions_begin(g); s < groups.completions_end(g); s++) owner[static_cast<size_t>(s)] = g;
    return owner;
  }

  void pairs() const {
    const std::vector<int64_t> owner = completion_groups();
    for (size_t p = 0; p < groups.pairs.size(); p++) {
      const std::string who = at("pairs", static_cast<int64_t>(p));
      for (const int32_t s : groups.pairs[p]) {
        if (s < 0 || s >= groups.n_segments()) fail(who + " names segment " + std::to_string(s) + ", which does not exist");
        if (owner[static_cast<size_t>(s)] < 0) fail(who + " names segment " + std::to_string(s) + ", which is a prompt");
      }
      const auto [chosen, rejected] = groups.pairs[p];
      if (chosen == rejected) fail(who + " names the same segment twice");
      if (owner[static_cast<size_t>(chosen)] != owner[static_cast<size_t>(rejected)])
        fail(who + " joins segments of two groups, " + std::to_string(owner[static_cast<size_t>(chosen)]) + " and " +
             std::to_string(owner[static_cast<size_t>(rejected)]));
    }
  }

  void weights(const std::vector<float>& weights, const char* tensor) const {
    for (size_t i = 0; i < weights.size(); i++)
      if (!std::isfinite(weights[i]) || weights[i] < 0) fail(at(tensor, static_cast<int64_t>(i)) + " is not a finite number of at least 0");
  }

  // Values within [-1, max], and -1 on every prompt.
  void marks(const std::vector<int32_t>& marks, const char* tensor, int32_t max) const {
    for (size_t s = 0; s < marks.size(); s++)
      if (marks[s] < -1 || marks[s] > max) fail(at(tensor, static_cast<int64_t>(s)) + " is " + std::to_string(marks[s]) + ", out of range");
    if (marks.empty()) return;
    for (int64_t g = 0; g < groups.n_groups(); g++)
      if (marks[static_cast<size_t>(groups.prompt_of(g))] != -1) fail(at(tensor, groups.prompt_of(g)) + " must be -1: it is a prompt");
  }

  void all() const {
    offsets(groups.segments, "segments", static_cast<int64_t>(groups.tokens.size()), "tokens", false);
    offsets(groups.group_segments, "group_segments", groups.n_segments(), "segments", true);
    if (groups.n_groups() == 0) fail("holds no groups");
    completions();
    length(groups.pair_weights, "pair_weights", static_cast<int64_t>(groups.pairs.size()), "pairs");
    length(groups.segment_tiers, "segment_tiers", groups.n_segments(), "segments");
    length(groups.segment_labels, "segment_labels", groups.n_segments(), "segments");
    length(groups.segment_weights, "segment_weights", groups.n_segments(), "segments");
    length(groups.token_mask, "token_mask", static_cast<int64_t>(groups.tokens.size()), "tokens");
    pairs();
    weights(groups.pair_weights, "pair_weights");
    weights(groups.segment_weights, "segment_weights");
    marks(groups.segment_tiers, "segment_tiers", std::numeric_limits<int32_t>::max());
    marks(groups.segment_labels, "segment_labels", 1);
    for (size_t t = 0; t < groups.token_mask.size(); t++)
      if (groups.token_mask[t] > 1) fail(at("token_mask", static_cast<int64_t>(t)) + " must be 0 or 1");
    for (size_t t = 0; t < groups.tokens.size(); t++)
      if (groups.tokens[t] < 0) fail(at("tokens", static_cast<int64_t>(t)) + " is " + std::to_string(groups.tokens[t]) + ", below 0");
  }
};

void check_rank(const SafetensorsFile& file, const TensorView& view, size_t dims) {
  if (view.shape.size() != dims)
    bad_input(file.path + ": tensor " + in_quotes(view.name) + " has the shape " + shape_text(view.shape) + ", but must have " +
              std::to_string(dims) + (dims == 1 ? " dimension" : " dimensions"));
}

// A tensor present but of no entries, where entries are due, must not pass for an absent one.
void check_present_length(const SafetensorsFile& file, const TensorView& view, int64_t n) {
  if (view.shape[0] != n)
    bad_input(file.path + ": " + view.name + " has " + std::to_string(view.shape[0]) + " entries, but must have " + std::to_string(n));
}

template <class T>
std::vector<T> exact(const SafetensorsFile& file, const TensorView& view, std::vector<T> (*convert)(const TensorView&)) {
  try {
    return convert(view);
  } catch (const Failure& failure) {
    throw Failure(failure.exit_code, failure.code, file.path + ": " + failure.what());
  }
}

std::vector<float> exact_f32(const TensorView& view) {
  if (view.dtype != DType::F32)
    bad_input("tensor " + in_quotes(view.name) + " is " + std::string(dtype_name(view.dtype)) + ", but must be F32");
  return to_f32(view);
}

void read_pairs(const SafetensorsFile& file, const TensorView& view, Groups& groups) {
  check_rank(file, view, 2);
  if (view.shape[1] != 2) bad_input(file.path + ": pairs has the shape " + shape_text(view.shape) + ", but must be [P, 2]");
  const std::vector<int32_t> flat = exact(file, view, to_i32);
  groups.has_pairs = true;
  for (size_t p = 0; p < flat.size(); p += 2) groups.pairs.push_back({flat[p], flat[p + 1]});
}

void read_tensor(const SafetensorsFile& file, const TensorView& view, Groups& groups) {
  const std::string& name = view.name;
  if (name == "pairs") return read_pairs(file, view, groups);
  if (name == "tokens") groups.tokens = exact(file, view, to_i32);
  else if (name == "segments") groups.segments = exact(file, view, to_i64);
  else if (name == "group_segments") groups.group_segments = exact(file, view, to_i64);
  else if (name == "pair_weights") groups.pair_weights = exact(file, view, exact_f32);
  else if (name == "segment_tiers") groups.segment_tiers = exact(file, view, to_i32);
  else if (name == "segment_labels") groups.segment_labels = exact(file, view, to_i32);
  else if (name == "segment_weights") groups.segment_weights = exact(file, view, exact_f32);
  else if (name == "token_mask") groups.token_mask = exact(file, view, to_u8);
  else bad_input(file.path + ": holds the tensor " + in_quotes(name) + ", which groups.v1 does not have");
  check_rank(file, view, 1);
}

void check_presence(const SafetensorsFile& file, const Groups& groups) {
  for (const char* name : {"tokens", "segments", "group_segments"})
    if (!file.find(name)) bad_input(file.path + ": the tensor " + in_quotes(name) + " is missing");
  if (file.find("pair_weights") && !file.find("pairs")) bad_input(file.path + ": has pair_weights but no pairs");
  const std::pair<const char*, int64_t> lengths[] = {
      {"pair_weights", static_cast<int64_t>(groups.pairs.size())}, {"segment_tiers", groups.n_segments()},
      {"segment_labels", groups.n_segments()}, {"segment_weights", groups.n_segments()},
      {"token_mask", static_cast<int64_t>(groups.tokens.size())}};
  for (const auto& [name, n] : lengths)
    if (const TensorView* view = file.find(name)) check_present_length(file, *view, n);
}

}  // namespace

void check_groups(const Groups& groups, const std::string& path) { Checker{groups, path}.all(); }

void check_groups_vocab(const Groups& groups, int64_t vocab_size, const std::string& path) {
  for (int64_t g = 0; g < groups.n_groups(); g++)
    for (int64_t s = groups.prompt_of(g); s < groups.completions_end(g); s++)
      for (const int32_t id : groups.segment_tokens(s))
        if (id < 0 || id >= vocab_size)
          bad_input(path + ": group " + std::to_string(g) + " holds the token id " + std::to_string(id) + ", but the model's vocabulary has " +
                    std::to_string(vocab_size) + " ids; was it made with this model's tokenizer?");
}

Groups read_groups(const std::string& path) {
  const SafetensorsFile file = read_safetensors(path);
  const std::string* format = file.find_metadata("format");
  if (!format || *format != format_name)
    bad_input(path + ": metadata format is " + (format ? in_quotes(*format) : "missing") + ", but must be \"" + format_name + "\"");
  Groups groups;
  for (const TensorView& view : file.tensors) read_tensor(file, view, groups);
  check_presence(file, groups);
  check_groups(groups, path);
  return groups;
}

void write_groups(const std::string& path, const Groups& groups) {
  check_groups(groups, path);
  const auto rows = [](const auto& values) { return std::vector<int64_t>{static_cast<int64_t>(values.size())}; };
  std::vector<TensorOut> out{{"tokens", DType::I32, rows(groups.tokens), groups.tokens.data()},
                             {"segments", DType::I64, rows(groups.segments), groups.segments.data()},
                             {"group_segments", DType::I64, rows(groups.group_segments), groups.group_segments.data()}};
  if (groups.has_pairs || !groups.pairs.empty())
    out.push_back({"pairs", DType::I32, {static_cast<int64_t>(groups.pairs.size()), 2}, groups.pairs.data()});
  const auto optional = [&](const char* name, DType dtype, const auto& values) {
    if (!values.empty()) out.push_back({name, dtype, rows(values), values.data()});
  };
  optional("pair_weights", DType::F32, groups.pair_weights);
  optional("segment_tiers", DType::I32, groups.segment_tiers);
  optional("segment_labels", DType::I32, groups.segment_labels);
  optional("segment_weights", DType::F32, groups.segment_weights);
  optional("token_mask", DType::U8, groups.token_mask);
  write_safetensors(path, out, {{"format", format_name}});
}

}  // namespace concord
