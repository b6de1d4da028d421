#include "ranks/communicator.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>
#include <thread>

#include "io/json.h"
#include "run/signals.h"

namespace concord {
namespace {

constexpr uint64_t kMagic = 0x31'6b'6e'61'72'6e'6f'63;  // of another byte order or version it is another number
constexpr int64_t kPiece = 1 << 18;                      // values added at a time
constexpr size_t kTextMax = 1 << 24;
constexpr int kHelloSeconds = 10, kFarewellSeconds = 60;

struct Hello {
  uint64_t magic = kMagic;
  int32_t rank = 0, size = 0;
};

enum class Kind : uint64_t { data, failure };

// Processes of one host are those of one boot: host names are not always different.
std::string host_of_this() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  std::getline(file, boot);
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return boot + ' ' + name;
}

std::string text_of(const Failure& failure) {
  return to_text(Json(Json::Object{{"exit_code", failure.exit_code}, {"code", failure.code}, {"message", failure.what()}}));
}

void stop_waiting_at_signal() {
  if (pending_signal() != 0) throw Failure(signal_exit_code(pending_signal()), "interrupted", "stopped while waiting for the other ranks");
}

}  // namespace

struct Communicator::Header {
  Kind kind = Kind::data;
  uint64_t bytes = 0;
};

Communicator& Communicator::alone() {
  static Communicator one;
  return one;
}

Communicator::Communicator(const Launch& launch) : rank_(launch.rank), size_(launch.size) {
  if (size_ == 1) return;
  if (first()) {
    meet_others(launch);
  } else {
    join(launch);
  }
  place_ranks();
}

void Communicator::meet_others(const Launch& launch) {
  peers_.resize(static_cast<size_t>(size_));
  const Socket listener = listen_at(launch.address, launch.port);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(rendezvous_seconds());
  for (int missing = size_ - 1; missing > 0;) {
    stop_waiting_at_signal();
    if (std::chrono::steady_clock::now() > end)
      bad_input("of " + std::to_string(size_) + " ranks " + std::to_string(missing) + " did not come to " + launch.address + ", port " +
                std::to_string(launch.port) + ", within " + std::to_string(rendezvous_seconds()) + " s; start all of them, or unset the variables of the launcher");
    Socket socket = accept_within(listener, 100);
    if (!socket.open()) continue;
    socket.give_up_after(kHelloSeconds);
    Hello hello;
    if (!socket.receive(&hello, sizeof hello) || hello.magic != kMagic) continue;  // somebody else
    const bool fits = hello.size == size_ && hello.rank > 0 && hello.rank < size_ && !peers_[static_cast<size_t>(hello.rank)].open();
    const int32_t answer = fits ? size_ : -size_;
    if (!socket.send(&answer, sizeof answer) || !fits) continue;
    socket.give_up_after(0);
    peers_[static_cast<size_t>(hello.rank)] = std::move(socket);
    missing--;
  }
}

void Communicator::join(const Launch& launch) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(rendezvous_seconds());
  const std::string place = launch.address + ", port " + std::to_string(launch.port);
  while (true) {
    stop_waiting_at_signal();
    Socket socket = connect_to(launch.address, launch.port);
    const Hello hello{kMagic, rank_, size_};
    int32_t answer = 0;
    if (socket.open()) socket.give_up_after(rendezvous_seconds());
    if (socket.open() && socket.send(&hello, sizeof hello) && socket.receive(&answer, sizeof answer)) {
      if (answer != size_)
        bad_input("rank " + std::to_string(rank_) + " of " + std::to_string(size_) + " is not wanted at " + place + ": the job there has " + std::to_string(std::abs(answer)) +
                  " ranks, or this one already; give each job a MASTER_PORT of its own");
      socket.give_up_after(0);
      peers_.push_back(std::move(socket));
      return;
    }
    if (std::chrono::steady_clock::now() > end)
      bad_input("rank " + std::to_string(rank_) + " found no rank 0 at " + place + " within " + std::to_string(rendezvous_seconds()) +
                " s; on several hosts set MASTER_ADDR and MASTER_PORT for all ranks");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

void Communicator::place_ranks() {
  const std::vector<std::string> hosts = gather(host_of_this());
  std::vector<int32_t> places(2 * static_cast<size_t>(size_));  // of each rank: its number on its host, and how many are there
  for (size_t r = 0; r < hosts.size(); r++) {
    places[2 * r] = static_cast<int32_t>(std::count(hosts.begin(), hosts.begin() + static_cast<std::ptrdiff_t>(r), hosts[r]));
    places[2 * r + 1] = static_cast<int32_t>(std::count(hosts.begin(), hosts.end(), hosts[r]));
  }
  broadcast(std::span(places));
  local_rank_ = places[2 * static_cast<size_t>(rank_)];
  local_size_ = places[2 * static_cast<size_t>(rank_) + 1];
}

void Communicator::lost(int rank) const {
  throw Failure(exit_rank_lost, "rank_lost",
                "rank " + std::to_string(rank) + " ended without a word, and the job with it; the last checkpoint is kept: start all ranks again to resume");
}

void Communicator::send(int to, const void* data, size_t bytes) {
  const Socket& socket = peers_[static_cast<size_t>(to)];
  const Header header{Kind::data, bytes};
  if (socket.send(&header, sizeof header) && socket.send(data, bytes)) return;
  begin_receiving(to);  // it may have said why before it went
  lost(to);
}

size_t Communicator::begin_receiving(int from) {
  const Socket& socket = peers_[static_cast<size_t>(from)];
  Header header;
  if (!socket.receive(&header, sizeof header)) lost(from);
  if (header.kind == Kind::data) return header.bytes;
  std::string text(std::min<size_t>(header.bytes, kTextMax), '\0');
  if (!socket.receive(text.data(), text.size())) lost(from);
  const Json failure = parse_json(text, "rank " + std::to_string(from));
  const JsonAt at{&failure, "rank " + std::to_string(from), ""};
  const int exit_code = static_cast<int>(at["exit_code"].integer(0, 255));
  if (first()) throw Failure(exit_code, at["code"].string(), "rank " + std::to_string(from) + ": " + at["message"].string());
  throw EndedByRank(exit_code, at["code"].string(), at["message"].string());
}

void Communicator::receive(int from, void* data, size_t bytes) {
  const size_t comes = begin_receiving(from);
  if (comes != bytes)
    throw Failure(1, "internal", "rank " + std::to_string(from) + " sent " + std::to_string(comes) + " bytes where " + std::to_string(bytes) + " were due; run the same program on all ranks");
  if (!peers_[static_cast<size_t>(from)].receive(data, bytes)) lost(from);
}

std::string Communicator::receive_text(int from) {
  std::string text(std::min(begin_receiving(from), kTextMax), '\0');
  if (!peers_[static_cast<size_t>(from)].receive(text.data(), text.size())) lost(from);
  return text;
}

template <class V>
void Communicator::sum_all(std::span<V> values) {
  if (size_ == 1) return;
  if (!first()) {
    send(0, values.data(), values.size_bytes());
    receive(0, values.data(), values.size_bytes());
    return;
  }
  std::vector<V> piece(std::min<size_t>(kPiece, values.size()));
  for (int r = 1; r < size_; r++) {
    if (begin_receiving(r) != values.size_bytes()) throw Failure(1, "internal", "rank " + std::to_string(r) + " has another number of values to add; run the same program on all ranks");
    for (size_t begin = 0; begin < values.size(); begin += piece.size()) {
      const std::span<V> part = values.subspan(begin, std::min(piece.size(), values.size() - begin));
      if (!peers_[static_cast<size_t>(r)].receive(piece.data(), part.size_bytes())) lost(r);
      for (size_t i = 0; i < part.size(); i++) part[i] += piece[i];
    }
  }
  for (int r = 1; r < size_; r++) send(r, values.data(), values.size_bytes());
}

void Communicator::sum(std::span<float> values) { sum_all(values); }
void Communicator::sum(std::span<double> values) { sum_all(values); }

void Communicator::broadcast(void* data, size_t bytes) {
  if (!first()) return receive(0, data, bytes);
  for (int r = 1; r < size_; r++) send(r, data, bytes);
}

void Communicator::broadcast(std::string& text) {
  if (!first()) {
    text = receive_text(0);
    return;
  }
  for (int r = 1; r < size_; r++) send(r, text.data(), text.size());
}

std::vector<std::string> Communicator::gather(const std::string& text) {
  if (!first()) {
    send(0, text.data(), text.size());
    return {};
  }
  std::vector<std::string> all = {text};
  for (int r = 1; r < size_; r++) all.push_back(receive_text(r));
  return all;
}

void Communicator::barrier() {
  double nothing = 0;
  sum(std::span(&nothing, 1));
}

void Communicator::require_all() {
  for (size_t r = 0; r < peers_.size(); r++) {
    if (!peers_[r].open()) continue;
    Header header;
    const std::optional<size_t> there = peers_[r].peek(&header, sizeof header);
    if (!there) lost(static_cast<int>(r));
    if (*there == sizeof header && header.kind == Kind::failure) begin_receiving(static_cast<int>(r));
  }
}

bool Communicator::fail(const Failure& failure) noexcept try {
  const std::string text = text_of(failure);
  const Header header{Kind::failure, text.size()};
  bool told = false;
  for (const Socket& peer : peers_)
    if (peer.open()) told = (peer.send(&header, sizeof header) && peer.send(text.data(), text.size())) || told;
  // A connection closed with bytes unread would take the message back.
  for (const Socket& peer : peers_)
    if (peer.open()) peer.finish(kFarewellSeconds);
  return told && !first();
} catch (...) {
  return false;
}

}  // namespace concord
