// The trainer's events: JSON lines on stdout, and the same lines in output_dir/events.jsonl, which is the truth.
// defines: EventLog
#pragma once

#include <string>

#include "io/json.h"

namespace concord {

enum class EventSink { stdout_and_file, file, none };

// Holds output_dir's lock while it lives, so that two trainers never write into one folder (Failure(2) for the second).
struct EventLog {
  // `none` is of the ranks that say nothing: neither folder nor lock.
  explicit EventLog(const std::string& output_dir, EventSink sink = EventSink::stdout_and_file);  // makes the folder
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // One line `{"event": name, "time": unix seconds, ...fields}`. A reader that went away (EPIPE) never stops training; a full disk is Failure(5).
  void emit(std::string_view name, Json::Object fields);
  // What ended the run; never throws, as something worse is already under way.
  void emit_error(Json::Object fields);
  // Flushes the file to the disk: at checkpoints and at the end.
  void sync();

  std::string path;
  int fd = -1, lock_fd = -1;
  bool stdout_open;
};

}  // namespace concord
