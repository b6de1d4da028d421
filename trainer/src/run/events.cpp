#include "run/events.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "error.h"
#include "io/files.h"

namespace concord {
namespace {

double unix_seconds() {
  using namespace std::chrono;
  return static_cast<double>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()) / 1000;
}

// 0, or errno of the write that failed.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return errno;
    text.remove_prefix(static_cast<size_t>(wrote));
  }
  return 0;
}

int lock_dir(const std::string& output_dir) {
  const std::string lock_path = join_path(output_dir, ".lock");
  const int fd = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) throw_io_error(errno, "write", lock_path);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  close(fd);
  bad_input(output_dir + ": another trainer is running in this output_dir; wait for it or choose another folder");
}

// A line cut by a crash must not join the next one.
void end_torn_line(int fd) {
  const off_t end = lseek(fd, 0, SEEK_END);
  char last = '\n';
  if (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n') write_all(fd, "\n");
}

}  // namespace

EventLog::EventLog(const std::string& output_dir, EventSink sink)
    : path(join_path(output_dir, "events.jsonl")), stdout_open(sink == EventSink::stdout_and_file) {
  if (sink == EventSink::none) return;
  make_dir(output_dir);
  lock_fd = lock_dir(output_dir);
  fd = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) {
    const int error = errno;
    close(lock_fd);
    throw_io_error(error, "write", path);
  }
  end_torn_line(fd);
}

EventLog::~EventLog() {
  if (fd >= 0) {
    fsync(fd);
    close(fd);
  }
  if (lock_fd >= 0) close(lock_fd);
}

void EventLog::emit(std::string_view name, Json::Object fields) {
  if (fd < 0) return;
  fields.insert(fields.begin(), {{"event", name}, {"time", unix_seconds()}});
  const std::string line = to_text(Json(std::move(fields))) + '\n';
  const int error = write_all(fd, line);
  if (stdout_open && write_all(STDOUT_FILENO, line) != 0) stdout_open = false;
  if (error != 0) throw_io_error(error, "write", path);
}

void EventLog::emit_error(Json::Object fields) {
  try {
    emit("error", std::move(fields));
  } catch (const Failure&) {
    // A full disk is what it was to report; stdout and stderr have it.
  }
}

void EventLog::sync() {
  if (fd >= 0 && fsync(fd) != 0) throw_io_error(errno, "flush", path);
}

}  // namespace concord
