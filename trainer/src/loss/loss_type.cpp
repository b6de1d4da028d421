#include "loss/loss_type.h"

namespace concord {
namespace {

constexpr LossSpec specs[] = {
    {.type = LossType::sigmoid, .name = "sigmoid", .label_smoothing = true},
    {.type = LossType::robust, .name = "robust", .label_smoothing = true},
    {.type = LossType::hinge, .name = "hinge"},
    {.type = LossType::ipo, .name = "ipo"},
    {.type = LossType::sigmoid_norm, .name = "sigmoid_norm"},
    {.type = LossType::exo_pair, .name = "exo_pair", .label_smoothing = true},
    {.type = LossType::discopop, .name = "discopop", .discopop_tau = true},
    {.type = LossType::apo_zero, .name = "apo_zero"},
    {.type = LossType::apo_down, .name = "apo_down"},
    {.type = LossType::sppo_hard, .name = "sppo_hard"},
    {.type = LossType::nca_pair, .name = "nca_pair"},
    {.type = LossType::simpo, .name = "simpo", .reference = false, .mean_logps = true, .label_smoothing = true, .simpo_gamma = true},
    {.type = LossType::orpo, .name = "orpo", .reference = false, .mean_logps = true, .rpo_alpha = false},
    {.type = LossType::kto, .name = "kto", .signal = Signal::labels, .rpo_alpha = false, .vote_weights = true},
    {.type = LossType::plackett_luce, .name = "plackett_luce", .signal = Signal::tiers, .rpo_alpha = false}};

}  // namespace

std::span<const LossSpec> loss_specs() { return specs; }

const LossSpec& loss_spec(LossType type) { return specs[static_cast<int>(type)]; }

double nll_weight(const LossOptions& options) {
  return options.type == LossType::orpo ? 1 : options.rpo_alpha.value_or(0);
}

}  // namespace concord
