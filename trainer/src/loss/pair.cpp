#include "loss/pair.h"

#include <stdexcept>

#include "loss/log_ratios.h"
#include "loss/margin.h"
#include "loss/reference_free.h"

namespace concord {
namespace {

// The margin is `chosen` times the one log-probability less `rejected` times the other, plus what does not depend on them.
PairLoss by_margin(double chosen, double rejected, const MarginLoss& at) { return {at.loss, chosen * at.d, -rejected * at.d}; }

PairLoss by_ratios(double scale, const RatioLoss& at) { return {at.loss, scale * at.d_chosen, scale * at.d_rejected}; }

PairLoss by_odds(const PairLogps& p, const OddsRatioLoss& at) {
  return {at.loss, at.d_chosen / p.chosen.tokens, at.d_rejected / p.rejected.tokens};
}

}  // namespace

PairLoss pair_loss(const PairLogps& pair, const LossOptions& options) {
  const auto& [chosen, rejected] = pair;
  const double beta = options.beta, e = options.label_smoothing;
  const double a = beta * chosen.ratio(), b = beta * rejected.ratio(), x = a - b;
  const double mean_margin = chosen.mean_ratio() - rejected.mean_ratio();
  const double per_chosen = 1 / chosen.tokens, per_rejected = 1 / rejected.tokens;
  switch (options.type) {
    case LossType::sigmoid: return by_margin(beta, beta, cdpo(x, e));
    case LossType::robust: return by_margin(beta, beta, robust(x, e));
    case LossType::hinge: return by_margin(beta, beta, hinge(x));
    case LossType::exo_pair: return by_margin(beta, beta, exo_pair(x, e));
    case LossType::discopop: return by_margin(beta, beta, discopop(x, options.discopop_tau));
    case LossType::ipo: return by_margin(per_chosen, per_rejected, ipo(mean_margin, beta));
    case LossType::sigmoid_norm: return by_margin(beta * per_chosen, beta * per_rejected, cdpo(beta * mean_margin, 0));
    case LossType::apo_zero: return by_ratios(beta, apo_zero(a, b));
    case LossType::apo_down: return by_ratios(beta, apo_down(a, b));
    case LossType::nca_pair: return by_ratios(beta, nca_pair(a, b));
    case LossType::sppo_hard: return by_ratios(1, sppo_hard(chosen.ratio(), rejected.ratio(), beta));
    case LossType::simpo:
      return by_margin(beta * per_chosen, beta * per_rejected,
                       cdpo(simpo_margin(chosen.mean(), rejected.mean(), beta, options.simpo_gamma), e));
    case LossType::orpo: return by_odds(pair, odds_ratio(chosen.mean(), rejected.mean(), beta));
    case LossType::kto:
    case LossType::plackett_luce: break;
  }
  throw std::logic_error("not a loss of pairs");
}

double implicit_reward(const SequenceLogp& logp, const LossOptions& options) {
  return options.beta * (loss_spec(options.type).mean_logps ? logp.mean() : logp.ratio());
}

}  // namespace concord
