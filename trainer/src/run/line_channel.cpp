#include "run/line_channel.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "run/signals.h"

namespace concord {

LineChannel::LineChannel(int in, int out, size_t line_bytes_max) : in_fd_(in), out_fd_(out), line_bytes_max_(line_bytes_max) {
  install_signal_handlers();
  sigset_t held;
  sigemptyset(&held);
  sigaddset(&held, SIGTERM);
  sigaddset(&held, SIGINT);
  sigprocmask(SIG_BLOCK, &held, nullptr);
}

void LineChannel::wait(bool may_sleep) {
  const bool reads = !in_ended_ && !congested() && in_.find('\n', searched_) == std::string::npos;
  // Without events the descriptor of the output is still watched for a reader that went away.
  pollfd fds[2] = {{reads ? in_fd_ : -1, POLLIN, 0}, {out_fd_, static_cast<short>(out_.empty() ? 0 : POLLOUT), 0}};
  sigset_t none;
  sigemptyset(&none);
  const timespec at_once{0, 0};
  if (ppoll(fds, 2, may_sleep ? nullptr : &at_once, &none) <= 0) return;
  if (fds[0].revents != 0) read_some();
  if ((fds[1].revents & (POLLERR | POLLNVAL)) != 0) out_closed_ = true;
  else if ((fds[1].revents & POLLOUT) != 0) write_some();
}

void LineChannel::read_some() {
  char block[1 << 16];
  const ssize_t got = read(in_fd_, block, sizeof block);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got > 0) return void(in_.append(block, static_cast<size_t>(got)));
  in_ended_ = true;
  if (!in_.empty() && in_.back() != '\n') in_ += '\n';  // a last line without an end is a line
}

// After POLLOUT a pipe takes PIPE_BUF bytes without blocking.
void LineChannel::write_some() {
  const ssize_t wrote = ::write(out_fd_, out_.data(), std::min<size_t>(out_.size(), 4096));
  if (wrote < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (wrote < 0) out_closed_ = true;
  else out_.erase(0, static_cast<size_t>(wrote));
}

std::optional<LineChannel::Line> LineChannel::next_line() {
  const size_t end = in_.find('\n', searched_);
  if (end == std::string::npos) {
    searched_ = in_.size();
    if (in_.size() > line_bytes_max_) {
      passing_over_ = true;
      in_.clear();
      searched_ = 0;
    }
    return std::nullopt;
  }
  Line line{in_.substr(0, end), passing_over_ || end > line_bytes_max_};
  if (line.too_long) line.text.clear();
  in_.erase(0, end + 1);
  searched_ = 0;
  passing_over_ = false;
  return line;
}

void LineChannel::write(std::string_view text) { out_.append(text).push_back('\n'); }

void LineChannel::drain(int milliseconds) {
  while (!out_.empty() && !out_closed_) {
    pollfd fd{out_fd_, POLLOUT, 0};
    if (poll(&fd, 1, milliseconds) <= 0) return;
    if ((fd.revents & POLLOUT) == 0) return;
    write_some();
  }
}

}  // namespace concord
