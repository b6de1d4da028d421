// Listwise DPO over a ranking with ties: minus the log-likelihood of an ordered partition into tiers under Plackett-Luce with scores
// s = beta (log pi - log ref) (Plackett 1975, Luce 1959; DPO for rankings: Rafailov et al. 2023, appendix A.3).
//
// Items leave one after another, each with probability exp(s) over the sum of exp(s) of those that are left. A tie says only that its
// items leave before all lower ones, in whatever order: the sum over all orders inside the tier. This is the exact method for ties of
// Cox's partial likelihood (Cox 1972; Kalbfleisch and Prentice 1973). With all tiers of one item it is the usual Plackett-Luce
// loss, with two items it is DPO's. TRL has no counterpart.
// defines: plackett_luce, tied_max
#pragma once

#include <cstdint>
#include <span>

namespace concord {

// Most items of a tie above the last tier: a tie of d costs d 2^d. The last tier costs nothing, whatever its size.
constexpr int64_t tied_max = 16;

// `tiers` (0 best) in any order; d receives the derivatives by `scores`. Returns the loss, 0 where there is one tier only.
double plackett_luce(std::span<const double> scores, std::span<const int32_t> tiers, std::span<double> d);

}  // namespace concord
