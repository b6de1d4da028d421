#include "run/group_builder.h"

#include <algorithm>

#include "error.h"
#include "loss/plackett_luce.h"

namespace concord {
namespace {

bool in_pair(int64_t segment, const std::vector<TrainPair>& pairs) {
  return std::any_of(pairs.begin(), pairs.end(), [&](const TrainPair& p) { return p.chosen == segment || p.rejected == segment; });
}

// Index of the file's segment among the completions, or -1.
int32_t place_of(int32_t segment, const std::vector<Completion>& completions) {
  const auto it = std::find_if(completions.begin(), completions.end(), [&](const Completion& c) { return c.segment == segment; });
  return it == completions.end() ? -1 : static_cast<int32_t>(it - completions.begin());
}

int64_t total_tokens(const GroupView& view, const Completion& c) { return static_cast<int64_t>(view.prompt.size() + c.tokens.size()); }

void keep_first(Completion& c, int64_t tokens) {
  c.tokens = c.tokens.first(tokens);
  if (!c.mask.empty()) c.mask = c.mask.first(tokens);
}

void drop_first(Completion& c, int64_t tokens) {
  c.tokens = c.tokens.subspan(tokens);
  if (!c.mask.empty()) c.mask = c.mask.subspan(tokens);
}

}  // namespace

bool GroupBuilder::read_by_loss(const Completion& c, const std::vector<TrainPair>& pairs) const {
  switch (signal_) {
    case Signal::completions: return true;
    case Signal::pairs: return in_pair(c.segment, pairs);
    case Signal::labels: return file_.segment_labels[c.segment] >= 0;
    case Signal::tiers: return file_.segment_tiers[c.segment] >= 0;
  }
  return false;
}

// Cuts prompt and completions to max_length.
void GroupBuilder::truncate(GroupView& view) {
  if (mode_ == TruncationMode::keep_end) return keep_end(view);
  const int64_t room = max_length_ - static_cast<int64_t>(view.prompt.size());
  for (auto& c : view.completions) {
    if (mode_ != TruncationMode::keep_start || static_cast<int64_t>(c.tokens.size()) <= room || room <= 0) continue;
    keep_first(c, room);
    report_.truncated_completions++;
  }
}

// Cuts the front of the shared prompt, as much as the longest completion needs but leaving one token, so that the group still
// shares one prompt; a completion longer than what is then left loses its own front.
void GroupBuilder::keep_end(GroupView& view) {
  int64_t longest = 0;
  for (const auto& c : view.completions) longest = std::max(longest, total_tokens(view, c));
  const int64_t excess = std::max<int64_t>(0, longest - max_length_);
  const int64_t cut = std::min(excess, std::max<int64_t>(0, static_cast<int64_t>(view.prompt.size()) - 1));
  view.prompt = view.prompt.subspan(cut);
  report_.truncated_completions += cut > 0 ? static_cast<int64_t>(view.completions.size()) : 0;
  for (auto& c : view.completions) {
    const int64_t over = total_tokens(view, c) - max_length_;
    if (over <= 0) continue;
    drop_first(c, over);
    report_.truncated_completions += cut == 0;
  }
}

bool GroupBuilder::fits(const GroupView& view, const Completion& c) {
  if (total_tokens(view, c) > max_length_) {
    report_.dropped_too_long++;
    return false;
  }
  if (predicted_tokens(view, c) == 0 || (signal_ == Signal::completions && c.weight == 0)) {
    report_.dropped_no_target++;
    return false;
  }
  return true;
}

// Pairs of which both sides are left; a completion that lost all of its partners goes as well.
void GroupBuilder::place_pairs(TrainGroup& group, const std::vector<TrainPair>& pairs) {
  auto& completions = group.view.completions;
  std::vector<TrainPair> whole;
  for (const TrainPair& p : pairs)
    if (place_of(p.chosen, completions) >= 0 && place_of(p.rejected, completions) >= 0) whole.push_back(p);
  report_.dropped_pairs += static_cast<int64_t>(pairs.size() - whole.size());
  report_.dropped_unpaired += static_cast<int64_t>(std::erase_if(completions, [&](const Completion& c) { return !in_pair(c.segment, whole); }));
  for (const TrainPair& p : whole) group.pairs.push_back({place_of(p.chosen, completions), place_of(p.rejected, completions), p.weight});
}

void GroupBuilder::copy_marks(TrainGroup& group) const {
  for (const Completion& c : group.view.completions) {
    if (signal_ == Signal::tiers) group.tiers.push_back(file_.segment_tiers[c.segment]);
    if (signal_ == Signal::labels) group.labels.push_back(file_.segment_labels[c.segment]);
  }
}

void GroupBuilder::check_ties(const TrainGroup& group) const {
  const int32_t last = *std::max_element(group.tiers.begin(), group.tiers.end());
  for (const int32_t tier : group.tiers) {
    const auto tied = std::count(group.tiers.begin(), group.tiers.end(), tier);
    if (tier != last && tied > tied_max) {
      bad_input(path_ + ": group " + std::to_string(group.view.group) + " has " + std::to_string(tied) + " completions in tier " +
                std::to_string(tier) + ", but only its last tier may have more than " + std::to_string(tied_max) +
                ": exact ties cost 2^n; split the tier or leave completions unranked (-1)");
    }
  }
}

TrainGroup GroupBuilder::build(GroupView view, const std::vector<TrainPair>& pairs) {
  TrainGroup group;
  group.view = std::move(view);
  auto& completions = group.view.completions;
  report_.dropped_unpaired +=
      static_cast<int64_t>(std::erase_if(completions, [&](const Completion& c) { return !read_by_loss(c, pairs); }));
  truncate(group.view);
  std::erase_if(completions, [&](const Completion& c) { return !fits(group.view, c); });
  if (signal_ == Signal::pairs) place_pairs(group, pairs);
  copy_marks(group);
  if (signal_ == Signal::tiers && !group.tiers.empty()) {
    check_ties(group);
    const auto [best, worst] = std::minmax_element(group.tiers.begin(), group.tiers.end());
    if (*best == *worst) completions.clear();  // one tier is no ranking: its likelihood is 1
  }
  return group;
}

void add_mismatched(std::vector<TrainGroup>& groups, int64_t max_length, const std::string& path) {
  if (groups.size() < 2) {
    bad_input(path + ": loss_type kto needs at least two groups with a label: it estimates the policy's distance from its "
              "reference on each prompt with another group's completions");
  }
  for (size_t i = 0; i < groups.size(); i++) {
    GroupView& view = groups[i].mismatched;
    view.group = groups[i].view.group;
    view.prompt = groups[i].view.prompt;
    view.longrope_length = groups[i].view.longrope_length;
    const int64_t room = max_length - static_cast<int64_t>(view.prompt.size());
    for (Completion c : groups[(i + groups.size() - 1) % groups.size()].view.completions) {
      if (static_cast<int64_t>(c.tokens.size()) > room) keep_first(c, room);
      if (predicted_tokens(view, c) > 0) view.completions.push_back(c);
    }
  }
}

}  // namespace concord
