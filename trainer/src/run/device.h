#pragma once

namespace concord {

// CONCORD_THREADS if it is set, else 0: every core this process may use; of several ranks on this host each a part of them, where the
// launcher has not divided them itself. Results are the same for any count.
int thread_count(int local_ranks = 1);

}  // namespace concord
