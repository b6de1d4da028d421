// TCP between the ranks of a job.
// defines: Socket, listen_at, connect_to, accept_within
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

namespace concord {

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void close();
  // All of it, or false: the other end is gone.
  bool send(const void* data, size_t bytes) const;
  bool receive(void* data, size_t bytes) const;
  // How much has come of what is next, left where it is; nothing where the other end is gone.
  std::optional<size_t> peek(void* data, size_t bytes) const;
  void give_up_after(int seconds) const;  // receiving and sending; 0: never
  // Nothing more will be sent; what comes is thrown away until the other end closes or `seconds` are over.
  void finish(int seconds) const;

 private:
  int fd_ = -1;
};

// Failure(2) where the address or its port cannot be had.
Socket listen_at(const std::string& address, int port);
// The next connection within a moment, or one that is not open.
Socket accept_within(const Socket& listener, int milliseconds);
// A connection, or one that is not open where nobody listens there yet; Failure(2) where there is no such address.
Socket connect_to(const std::string& address, int port);

}  // namespace concord
