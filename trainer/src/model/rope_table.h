#pragma once

#include <vector>

#include "io/model_config.h"
#include "ops/ops.h"

namespace concord {

// Angles per position step, [rotary_dim/2]: theta^(-2i/rotary_dim), then scaled. `long_context`: longrope's second half.
std::vector<double> rope_frequencies(const Rope& rope, bool long_context = false);

// Rows of the table that positions 0 to `positions` - 1 need. A sequence of longrope turns by other angles throughout once it
// is longer than the original context: row p for one that is not, row original + p for one that is.
int64_t rope_rows(const Rope& rope, int64_t positions);

// table [rope_rows, rotary_dim]: rotary_dim/2 cosines, then rotary_dim/2 sines, both times the attention factor.
template <class T>
void fill_rope_table(const Rope& rope, Mat<T> table);

}  // namespace concord
