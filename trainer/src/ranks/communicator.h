// What the ranks of a job say to each other: sums, one rank's values for all, every rank's text for the first.
//
// All goes through rank 0, over TCP, and sums are made in the order of the ranks, so that they are the same in bits every time and on
// every rank. Each rank calls the same functions in the same order. What is sent is trusted: whoever reaches rank 0's port before the
// job's own ranks can join it.
// defines: Communicator, EndedByRank
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "error.h"
#include "ranks/launch.h"
#include "ranks/socket.h"

namespace concord {

// Another rank ended the job and has said why; this one ends without a word of its own.
struct EndedByRank : Failure {
  using Failure::Failure;
};

class Communicator {
 public:
  Communicator() = default;  // of one rank
  // Waits for all ranks. Failure(2) where they do not come, or are not of one job.
  explicit Communicator(const Launch& launch);

  static Communicator& alone();

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool first() const { return rank_ == 0; }
  int local_rank() const { return local_rank_; }  // among those on this host
  int local_size() const { return local_size_; }

  // A rank that is gone is Failure(6), on every rank; one that failed is its failure, said by rank 0.
  void sum(std::span<float> values);
  void sum(std::span<double> values);
  void broadcast(std::string& text);  // rank 0's
  template <class V>
  void broadcast(std::span<V> values) {
    broadcast(values.data(), values.size_bytes());
  }
  std::vector<std::string> gather(const std::string& text);  // by rank, at rank 0; elsewhere empty
  void barrier();
  // Throws what the other ranks have failed of, or that one is gone, without waiting for a word of them.
  void require_all();

  // The others end with this failure. True where rank 0 has taken it and says it, so that this rank need not.
  bool fail(const Failure& failure) noexcept;

 private:
  struct Header;
  void meet_others(const Launch& launch);
  void join(const Launch& launch);
  void place_ranks();
  template <class V>
  void sum_all(std::span<V> values);
  void broadcast(void* data, size_t bytes);
  void send(int to, const void* data, size_t bytes);
  // The size of the message that begins; what its sender failed of, or that it is gone, is thrown.
  size_t begin_receiving(int from);
  void receive(int from, void* data, size_t bytes);
  std::string receive_text(int from);
  [[noreturn]] void lost(int rank) const;

  int rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
  std::vector<Socket> peers_;  // at rank 0 by rank, the first not open; elsewhere rank 0 alone
};

}  // namespace concord
