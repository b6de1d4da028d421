#include "run/dataset.h"

#include <algorithm>

#include "error.h"
#include "run/group_builder.h"

namespace concord {
namespace {

GroupView view_of(const Groups& file, int64_t g, const ModelConfig& config) {
  GroupView view;
  view.group = g;
  view.longrope_length = config.longrope_length();
  view.prompt = file.segment_tokens(file.prompt_of(g));
  for (int64_t s = file.completions_begin(g); s < file.completions_end(g); s++) {
    Completion c{s, file.segment_tokens(s), {}, 1};
    if (!file.token_mask.empty()) c.mask = std::span(file.token_mask).subspan(file.segments[s], file.segment_length(s));
    if (!file.segment_weights.empty()) c.weight = file.segment_weights[s];
    view.completions.push_back(c);
  }
  return view;
}

// The file must hold what the job's loss reads.
void check_signal(const Groups& file, Signal signal, const std::string& path) {
  if (signal == Signal::pairs && file.pairs.empty())
    bad_input(path + ": objective dpo needs the tensor `pairs` with at least one row");
  if (signal == Signal::labels && file.segment_labels.empty())
    bad_input(path + ": loss_type kto needs the tensor `segment_labels`");
  if (signal == Signal::tiers && file.segment_tiers.empty())
    bad_input(path + ": loss_type plackett_luce needs the tensor `segment_tiers`");
}

// Pairs of each group, by segment index; none where the loss reads none.
std::vector<std::vector<TrainPair>> pairs_by_group(const Groups& file, Signal signal, DatasetReport& report) {
  std::vector<std::vector<TrainPair>> by_group(file.n_groups());
  if (signal != Signal::pairs) return by_group;
  for (size_t i = 0; i < file.pairs.size(); i++) {
    const float weight = file.pair_weights.empty() ? 1.0f : file.pair_weights[i];
    if (weight == 0) {
      report.dropped_pairs++;
      continue;
    }
    const auto [chosen, rejected] = file.pairs[i];
    const auto it = std::upper_bound(file.group_segments.begin(), file.group_segments.end(), int64_t{chosen});
    by_group[it - file.group_segments.begin() - 1].push_back({chosen, rejected, weight});
  }
  return by_group;
}

}  // namespace

int64_t resolve_max_length(const Job& job, const ModelConfig& config) {
  const int64_t limit = config.max_position_embeddings;
  if (job.max_length > limit) {
    bad_input(job.file + ": max_length " + std::to_string(job.max_length) + " is more than the model's " +
              std::to_string(limit) + " (max_position_embeddings)");
  }
  return job.max_length > 0 ? job.max_length : limit;
}

void Dataset::cover(const GroupView& view) {
  largest_group_tokens = std::max(largest_group_tokens, view.tokens());
  for (const Completion& c : view.completions)
    longest_sequence_tokens = std::max(longest_sequence_tokens, static_cast<int64_t>(view.prompt.size() + c.tokens.size()));
}

int64_t Dataset::memory_bytes() const {
  const auto bytes = [](const auto& vector) { return static_cast<int64_t>(vector.capacity() * sizeof(vector[0])); };
  int64_t sum = bytes(file->tokens) + bytes(file->segments) + bytes(file->group_segments) + bytes(file->pairs) +
                bytes(file->pair_weights) + bytes(file->segment_tiers) + bytes(file->segment_labels) +
                bytes(file->segment_weights) + bytes(file->token_mask) + bytes(groups);
  for (const TrainGroup& group : groups) {
    sum += bytes(group.view.completions) + bytes(group.pairs) + bytes(group.tiers) + bytes(group.labels) +
           bytes(group.mismatched.completions);
  }
  return sum;
}

Dataset load_dataset(const std::string& path, Signal signal, TruncationMode mode, int64_t max_length, const ModelConfig& config) {
  Dataset data;
  data.file = std::make_unique<Groups>(read_groups(path));
  check_groups_vocab(*data.file, config.vocab_size, path);
  check_signal(*data.file, signal, path);
  const auto pairs = pairs_by_group(*data.file, signal, data.report);
  GroupBuilder builder{*data.file, path, signal, mode, max_length, data.report};
  for (int64_t g = 0; g < data.file->n_groups(); g++) {
    TrainGroup group = builder.build(view_of(*data.file, g, config), pairs[g]);
    if (group.view.completions.empty()) {
      data.report.dropped_groups++;
      continue;
    }
    data.report.groups++;
    data.report.completions += static_cast<int64_t>(group.view.completions.size());
    data.report.pairs += static_cast<int64_t>(group.pairs.size());
    data.report.tokens += group.view.tokens();
    data.groups.push_back(std::move(group));
  }
  if (data.groups.empty()) {
    bad_input(path + ": nothing to train on: all " + std::to_string(data.report.dropped_groups) +
              " groups were dropped (max_length " + std::to_string(max_length) + "); raise max_length or set truncation_mode");
  }
  if (signal == Signal::labels) add_mismatched(data.groups, max_length, path);
  for (const TrainGroup& group : data.groups) {
    data.cover(group.view);
    data.cover(group.mismatched);
  }
  return data;
}

Json report_json(const DatasetReport& r) {
  return Json::Object{{"groups", r.groups},
                      {"completions", r.completions},
                      {"pairs", r.pairs},
                      {"tokens", r.tokens},
                      {"truncated_completions", r.truncated_completions},
                      {"dropped_too_long", r.dropped_too_long},
                      {"dropped_no_target", r.dropped_no_target},
                      {"dropped_unpaired", r.dropped_unpaired},
                      {"dropped_pairs", r.dropped_pairs},
                      {"dropped_groups", r.dropped_groups}};
}

std::vector<GroupView> whole_groups(const Groups& file, const ModelConfig& config) {
  std::vector<GroupView> views;
  for (int64_t g = 0; g < file.n_groups(); g++) views.push_back(view_of(file, g, config));
  return views;
}

std::vector<size_t> micro_batch_ends(const std::vector<int64_t>& group_tokens, int64_t tokens_max) {
  std::vector<size_t> ends;
  int64_t sum = 0;
  for (size_t i = 0; i < group_tokens.size(); i++) {
    if (i > 0 && sum + group_tokens[i] > tokens_max) {
      ends.push_back(i);
      sum = 0;
    }
    sum += group_tokens[i];
  }
  if (!group_tokens.empty()) ends.push_back(group_tokens.size());
  return ends;
}

}  // namespace concord
