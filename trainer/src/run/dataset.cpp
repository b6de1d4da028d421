#include "run/dataset.h"

#include <algorithm>

#include "error.h"

namespace concord {
namespace {

// One group on its way from the file into the dataset.
struct Builder {
  const Groups& file;
  Objective objective;
  TruncationMode mode;
  int64_t max_length;
  DatasetReport& report;

  bool in_pair(int64_t segment, const std::vector<TrainPair>& pairs) const {
    return std::any_of(pairs.begin(), pairs.end(),
                       [&](const TrainPair& p) { return p.chosen == segment || p.rejected == segment; });
  }

  // Cuts prompt and completions to max_length. `keep_end` cuts the front of the shared prompt, as much as the longest
  // completion needs but leaving one token, so that the group still shares one prompt; a completion longer than what
  // is then left loses its own front.
  void truncate(GroupView& view) {
    const auto total = [&](const Completion& c) { return static_cast<int64_t>(view.prompt.size() + c.tokens.size()); };
    if (mode == TruncationMode::keep_end) {
      int64_t longest = 0;
      for (const auto& c : view.completions) longest = std::max(longest, total(c));
      const int64_t excess = std::max<int64_t>(0, longest - max_length);
      const int64_t cut = std::min(excess, std::max<int64_t>(0, static_cast<int64_t>(view.prompt.size()) - 1));
      view.prompt = view.prompt.subspan(cut);
      report.truncated_completions += cut > 0 ? static_cast<int64_t>(view.completions.size()) : 0;
      for (auto& c : view.completions) {
        const int64_t over = total(c) - max_length;
        if (over <= 0) continue;
        c.tokens = c.tokens.subspan(over);
        if (!c.mask.empty()) c.mask = c.mask.subspan(over);
        report.truncated_completions += cut == 0;
      }
      return;
    }
    const int64_t room = max_length - static_cast<int64_t>(view.prompt.size());
    for (auto& c : view.completions) {
      if (mode != TruncationMode::keep_start || static_cast<int64_t>(c.tokens.size()) <= room || room <= 0) continue;
      c.tokens = c.tokens.first(room);
      if (!c.mask.empty()) c.mask = c.mask.first(room);
      report.truncated_completions++;
    }
  }

  bool keep(const GroupView& view, const Completion& c, const std::vector<TrainPair>& pairs) {
    if (objective == Objective::dpo && !in_pair(c.segment, pairs)) {
      report.dropped_unpaired++;
      return false;
    }
    if (static_cast<int64_t>(view.prompt.size() + c.tokens.size()) > max_length) {
      report.dropped_too_long++;
      return false;
    }
    if (predicted_tokens(view, c) == 0 || (objective == Objective::sft && c.weight == 0)) {
      report.dropped_no_target++;
      return false;
    }
    return true;
  }

  // `pairs` name segments of the file; the result's pairs name its completions.
  TrainGroup build(GroupView view, const std::vector<TrainPair>& pairs) {
    truncate(view);
    std::vector<Completion> kept;
    for (const Completion& c : view.completions) {
      if (keep(view, c, pairs)) kept.push_back(c);
    }
    TrainGroup group;
    const auto place = [&](int32_t segment) {
      const auto it = std::find_if(kept.begin(), kept.end(), [&](const Completion& c) { return c.segment == segment; });
      return it == kept.end() ? -1 : static_cast<int32_t>(it - kept.begin());
    };
    for (const TrainPair& p : pairs) {
      const TrainPair placed{place(p.chosen), place(p.rejected), p.weight};
      if (placed.chosen < 0 || placed.rejected < 0) {
        report.dropped_pairs++;
      } else {
        group.pairs.push_back(placed);
      }
    }
    view.completions = std::move(kept);
    group.view = std::move(view);
    return group;
  }
};

GroupView view_of(const Groups& file, int64_t g) {
  GroupView view;
  view.group = g;
  view.prompt = file.segment_tokens(file.prompt_of(g));
  for (int64_t s = file.completions_begin(g); s < file.completions_end(g); s++) {
    Completion c{s, file.segment_tokens(s), {}, 1};
    if (!file.token_mask.empty()) c.mask = std::span(file.token_mask).subspan(file.segments[s], file.segment_length(s));
    if (!file.segment_weights.empty()) c.weight = file.segment_weights[s];
    view.completions.push_back(c);
  }
  return view;
}

// Pairs of each group, by segment index.
std::vector<std::vector<TrainPair>> pairs_by_group(const Groups& file, DatasetReport& report) {
  std::vector<std::vector<TrainPair>> by_group(file.n_groups());
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

int64_t Dataset::memory_bytes() const {
  const auto bytes = [](const auto& vector) { return static_cast<int64_t>(vector.capacity() * sizeof(vector[0])); };
  int64_t sum = bytes(file->tokens) + bytes(file->segments) + bytes(file->group_segments) + bytes(file->pairs) +
                bytes(file->pair_weights) + bytes(file->segment_tiers) + bytes(file->segment_labels) +
                bytes(file->segment_weights) + bytes(file->token_mask) + bytes(groups);
  for (const TrainGroup& group : groups) sum += bytes(group.view.completions) + bytes(group.pairs);
  return sum;
}

Dataset load_dataset(const std::string& path, Objective objective, TruncationMode mode, int64_t max_length, int64_t vocab_size) {
  Dataset data;
  data.file = std::make_unique<Groups>(read_groups(path));
  check_groups_vocab(*data.file, vocab_size, path);
  if (objective == Objective::dpo && data.file->pairs.empty()) {
    bad_input(path + ": objective dpo needs the tensor `pairs` with at least one row");
  }
  const auto pairs = pairs_by_group(*data.file, data.report);
  Builder builder{*data.file, objective, mode, max_length, data.report};
  for (int64_t g = 0; g < data.file->n_groups(); g++) {
    const bool dpo = objective == Objective::dpo;
    TrainGroup group = builder.build(view_of(*data.file, g), dpo ? pairs[g] : std::vector<TrainPair>());
    if (dpo ? group.pairs.empty() : group.view.completions.empty()) {
      data.report.dropped_groups++;
      continue;
    }
    data.report.groups++;
    data.report.completions += static_cast<int64_t>(group.view.completions.size());
    data.report.pairs += static_cast<int64_t>(group.pairs.size());
    data.report.tokens += group.view.tokens();
    data.largest_group_tokens = std::max(data.largest_group_tokens, group.view.tokens());
    for (const auto& c : group.view.completions) {
      data.longest_sequence_tokens =
          std::max(data.longest_sequence_tokens, static_cast<int64_t>(group.view.prompt.size() + c.tokens.size()));
    }
    data.groups.push_back(std::move(group));
  }
  if (data.groups.empty()) {
    bad_input(path + ": nothing to train on: all " + std::to_string(data.report.dropped_groups) +
              " groups were dropped (max_length " + std::to_string(max_length) + "); raise max_length or set truncation_mode");
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

std::vector<GroupView> whole_groups(const Groups& file) {
  std::vector<GroupView> views;
  for (int64_t g = 0; g < file.n_groups(); g++) views.push_back(view_of(file, g));
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
