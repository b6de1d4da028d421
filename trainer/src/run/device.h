#pragma once

namespace concord {

// CONCORD_THREADS if it is set, else 0: every core this process may use. Results are the same for any count.
int thread_count();

}  // namespace concord
