#include "ranks/socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>

#include "error.h"

namespace concord {
namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Addresses look_up(const std::string& address, int port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) bad_input("MASTER_ADDR " + address + ": " + gai_strerror(error));
  return {found, freeaddrinfo};
}

void set(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

// Small messages leave at once; a host that vanished without a word is noticed after about a minute and a half.
void tune(int fd) {
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
}

}  // namespace

void Socket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool Socket::send(const void* data, size_t bytes) const {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::send(fd_, from, bytes, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    from += n;
    bytes -= static_cast<size_t>(n);
  }
  return true;
}

bool Socket::receive(void* data, size_t bytes) const {
  char* to = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t n = recv(fd_, to, bytes, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    bytes -= static_cast<size_t>(n);
  }
  return true;
}

std::optional<size_t> Socket::peek(void* data, size_t bytes) const {
  const ssize_t n = recv(fd_, data, bytes, MSG_PEEK | MSG_DONTWAIT);
  if (n > 0) return static_cast<size_t>(n);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  return std::nullopt;
}

void Socket::give_up_after(int seconds) const {
  const timeval time{seconds, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

void Socket::finish(int seconds) const {
  shutdown(fd_, SHUT_WR);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  give_up_after(1);
  char ignored[4096];
  while (std::chrono::steady_clock::now() < end) {
    const ssize_t n = recv(fd_, ignored, sizeof ignored, 0);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) return;
  }
}

Socket listen_at(const std::string& address, int port) {
  const Addresses found = look_up(address, port);
  int error = 0;
  for (const addrinfo* a = found.get(); a; a = a->ai_next) {
    Socket socket(::socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol));
    if (!socket.open()) continue;
    set(socket.fd(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(socket.fd(), a->ai_addr, a->ai_addrlen) == 0 && listen(socket.fd(), SOMAXCONN) == 0) return socket;
    error = errno;
  }
  bad_input("rank 0 cannot listen at " + address + ", port " + std::to_string(port) + " (" + std::strerror(error) +
            "); set MASTER_ADDR to an address of its host and MASTER_PORT to a free port");
}

Socket accept_within(const Socket& listener, int milliseconds) {
  pollfd ready{listener.fd(), POLLIN, 0};
  if (poll(&ready, 1, milliseconds) <= 0) return {};
  Socket socket(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  if (socket.open()) tune(socket.fd());
  return socket;
}

Socket connect_to(const std::string& address, int port) {
  const Addresses found = look_up(address, port);
  for (const addrinfo* a = found.get(); a; a = a->ai_next) {
    Socket socket(::socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol));
    if (!socket.open()) continue;
    if (connect(socket.fd(), a->ai_addr, a->ai_addrlen) != 0) continue;
    tune(socket.fd());
    return socket;
  }
  return {};
}

}  // namespace concord
