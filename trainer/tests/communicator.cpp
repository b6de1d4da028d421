// Sums and messages between ranks, here threads of one process; and how a step's groups are divided.
#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "check.h"
#include "ranks/communicator.h"
#include "run/shares.h"

using namespace concord;

namespace {

// One thread for each rank; what the first of them throws is thrown here.
void with_ranks(int size, const std::function<void(Communicator&)>& f) {
  static std::atomic<int> port = 33'000 + static_cast<int>(std::hash<std::thread::id>{}(std::this_thread::get_id()) % 5'000);
  const Launch launch{0, size, "127.0.0.1", ++port};
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::string failed;
  for (int r = 0; r < size; r++)
    threads.emplace_back([&, r] {
      try {
        Communicator ranks(Launch{r, size, launch.address, launch.port});
        f(ranks);
      } catch (const std::exception& error) {
        const std::lock_guard lock(mutex);
        if (failed.empty()) failed = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  if (!failed.empty()) check::fail(__FILE__, __LINE__, failed);
}

// The group's prompt has all of its tokens.
Dataset groups_of(const std::vector<int32_t>& ids, const std::vector<int64_t>& tokens) {
  Dataset data;
  for (const int64_t n : tokens) {
    data.groups.emplace_back();
    data.groups.back().view.prompt = std::span(ids).first(static_cast<size_t>(n));
  }
  return data;
}

}  // namespace

TEST("sums are made in the order of the ranks, the same bits on each") {
  const std::array<float, 4> parts = {1e8f, 3.0f, -1e8f, 5.0f};
  const float expected = ((parts[0] + parts[1]) + parts[2]) + parts[3];
  with_ranks(4, [&](Communicator& ranks) {
    std::vector<float> values(600'000, parts[static_cast<size_t>(ranks.rank())]);
    values.back() = static_cast<float>(ranks.rank());
    ranks.sum(std::span(values));
    for (size_t i = 0; i + 1 < values.size(); i++) CHECK(values[i] == expected);
    CHECK_EQ(values.back(), 6.0f);
    double one = 1;
    ranks.sum(std::span(&one, 1));
    CHECK_EQ(one, 4.0);
    ranks.sum(std::span<double>());
  });
}

TEST("the first rank's values go to all, texts of all to the first, and each knows its place on the host") {
  with_ranks(3, [&](Communicator& ranks) {
    std::string text = ranks.first() ? std::string(100'000, 'x') : "";
    ranks.broadcast(text);
    CHECK_EQ(text, std::string(100'000, 'x'));
    const std::vector<std::string> all = ranks.gather(std::string(static_cast<size_t>(ranks.rank()), 'r'));
    CHECK(all == (ranks.first() ? std::vector<std::string>{"", "r", "rr"} : std::vector<std::string>{}));
    CHECK_EQ(ranks.local_rank(), ranks.rank());
    CHECK_EQ(ranks.local_size(), 3);
    ranks.barrier();
  });
}

TEST("a stranger at the port is passed over") {
  const Launch first{0, 2, "127.0.0.1", 39'871}, second{1, 2, "127.0.0.1", 39'871};
  std::thread other([&] {
    Socket stranger;
    while (!stranger.open()) stranger = connect_to(first.address, first.port);
    CHECK(stranger.send("GET / HTTP/1.1\r\n\r\n", 18));
    Communicator ranks(second);
    ranks.barrier();
  });
  Communicator ranks(first);
  ranks.barrier();
  other.join();
}

TEST("what one rank fails of, the others fail of, named by the first") {
  std::mutex mutex;
  std::multiset<std::string> said;
  with_ranks(3, [&](Communicator& ranks) {
    try {
      if (ranks.rank() == 2) throw Failure(exit_disk_full, "disk_full", "no room");
      ranks.barrier();
    } catch (const Failure& failure) {
      CHECK_EQ(failure.exit_code, exit_disk_full);
      const bool taken = ranks.fail(failure);
      const bool quiet = taken || dynamic_cast<const EndedByRank*>(&failure) != nullptr;
      const std::lock_guard lock(mutex);
      said.insert(quiet ? "" : failure.what());
    }
  });
  CHECK(said == (std::multiset<std::string>{"", "", "rank 2: no room"}));
}

TEST("a rank that computes notices one that failed or is gone, and takes no word meant for later for either") {
  for (const bool says_why : {true, false}) {
    std::atomic<int> noticed = 0;
    with_ranks(3, [&](Communicator& ranks) {
      if (ranks.rank() == 2) {
        if (says_why) (void)ranks.fail(Failure(exit_disk_full, "disk_full", "no room"));
        return;
      }
      double one = 1;
      try {
        if (ranks.rank() == 1) return ranks.sum(std::span(&one, 1));  // ahead of rank 0
        while (true) ranks.require_all();
      } catch (const Failure& failure) {
        if (ranks.first()) noticed = failure.exit_code;
        (void)ranks.fail(failure);
      }
    });
    CHECK_EQ(noticed, static_cast<int>(says_why ? exit_disk_full : exit_rank_lost));
  }
}

TEST("groups are divided in order, none left out, by tokens") {
  const std::vector<int32_t> ids(100);
  const Dataset data = groups_of(ids, {10, 10, 10, 10, 100, 1, 1, 1});
  const std::vector<int64_t> groups = {0, 1, 2, 3, 4, 5, 6, 7};
  for (const int size : {1, 2, 3, 8}) {
    std::mutex mutex;
    std::vector<std::vector<int64_t>> parts(static_cast<size_t>(size));
    with_ranks(size, [&](Communicator& ranks) {
      const auto share = share_of(data, groups, ranks);
      const std::lock_guard lock(mutex);
      parts[static_cast<size_t>(ranks.rank())].assign(share.begin(), share.end());
    });
    std::vector<int64_t> together;
    for (const auto& part : parts) together.insert(together.end(), part.begin(), part.end());
    CHECK(together == groups);
    if (size == 2) CHECK_EQ(parts[0].size(), size_t{4});
  }
}
