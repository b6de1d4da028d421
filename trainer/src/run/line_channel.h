// Lines in and out of a process that works in between: reading and writing never block it, and a signal is never missed.
// defines: LineChannel
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace concord {

class LineChannel {
 public:
  // From here on SIGTERM and SIGINT arrive in wait() only; threads made later are spared them. Lines of more than
  // line_bytes_max are passed over.
  LineChannel(int in, int out, size_t line_bytes_max);

  // Moves what can be moved. Where `may_sleep`, first waits for input, for room or for a signal. With too much unwritten
  // nothing is read.
  void wait(bool may_sleep);

  struct Line {
    std::string text;
    bool too_long = false;  // text is empty then
  };
  std::optional<Line> next_line();
  void write(std::string_view text);

  bool in_ended() const { return in_ended_ && in_.empty(); }  // and every line was taken
  bool out_closed() const { return out_closed_; }
  bool congested() const { return out_.size() > kUnwritten; }
  // Writes the rest, for so long as the reader takes it: at most `milliseconds` without progress.
  void drain(int milliseconds);

 private:
  static constexpr size_t kUnwritten = 1 << 20;

  void read_some();
  void write_some();

  int in_fd_, out_fd_;
  size_t line_bytes_max_;
  std::string in_, out_;
  size_t searched_ = 0;        // no line ends before this place in in_
  bool passing_over_ = false;  // inside a line that is too long
  bool in_ended_ = false, out_closed_ = false;
};

}  // namespace concord
