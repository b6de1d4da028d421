#include "run/shares.h"

#include <array>
#include <csignal>

#include "run/signals.h"

namespace concord {

std::span<const int64_t> share_of(const Dataset& data, std::span<const int64_t> groups, const Communicator& ranks) {
  int64_t all = 0, before = 0;
  for (const int64_t g : groups) all += data.groups[g].view.tokens();
  // A group is its owner's in whose part of all tokens its middle lies.
  const auto owner = [&](int64_t tokens) { return (2 * before + tokens) * ranks.size() / (2 * all); };
  size_t begin = 0, end = 0;
  for (const int64_t g : groups) {
    const int64_t tokens = data.groups[g].view.tokens(), rank = owner(tokens);
    begin += rank < ranks.rank();
    end += rank <= ranks.rank();
    before += tokens;
  }
  return groups.subspan(begin, end - begin);
}

int agreed_signal(Communicator& ranks) {
  const int mine = pending_signal();
  if (ranks.size() == 1) return mine;
  std::array<double, 2> got = {mine == SIGTERM ? 1.0 : 0.0, mine == SIGINT ? 1.0 : 0.0};
  ranks.sum(std::span(got));
  return got[0] > 0 ? SIGTERM : got[1] > 0 ? SIGINT : 0;
}

}  // namespace concord
