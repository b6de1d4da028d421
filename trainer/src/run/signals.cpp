#include "run/signals.h"

#include <csignal>

#include "error.h"

namespace concord {
namespace {

volatile std::sig_atomic_t pending = 0;

void remember(int signal) { pending = signal; }

}  // namespace

void install_signal_handlers() {
  struct sigaction action = {};
  action.sa_handler = remember;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // a write in progress must not fail half-way
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

int pending_signal() { return pending; }

int signal_exit_code(int signal) {
  if (signal == SIGTERM) return exit_terminated;
  if (signal == SIGINT) return exit_interrupted;
  return 0;
}

}  // namespace concord
