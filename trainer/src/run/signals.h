// SIGTERM and SIGINT set a flag; the training loop looks at it between micro-batches, checkpoints and exits 143 or 130.
#pragma once

namespace concord {

void install_signal_handlers();    // also ignores SIGPIPE
int pending_signal();              // 0, SIGTERM or SIGINT
int signal_exit_code(int signal);  // 143 or 130, 0 for none

}  // namespace concord
