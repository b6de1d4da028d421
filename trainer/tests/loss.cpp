// Every loss of a pair against its formula written out, its derivatives by differences, and its ends.
#include "check.h"
#include "loss/pair.h"

#include <initializer_list>

using namespace concord;

namespace {

// Uneven lengths; c = 1.5 and r = -0.5.
constexpr PairLogps kPair{{-3, -4.5, 3}, {-7, -6.5, 5}};

LossOptions options(LossType type, double beta, double smoothing = 0) {
  LossOptions o;
  o.type = type;
  o.beta = beta;
  o.label_smoothing = smoothing;
  return o;
}

double loss(LossType type, double beta, double smoothing = 0) { return pair_loss(kPair, options(type, beta, smoothing)).loss; }

// As the papers write it, without care for overflow.
double sigma(double x) { return 1 / (1 + std::exp(-x)); }

std::vector<LossOptions> every_loss_of_pairs() {
  std::vector<LossOptions> all;
  for (const LossSpec& spec : loss_specs()) {
    if (spec.signal != Signal::pairs) continue;
    for (const double beta : {0.05, 1.0, 2.5})
      for (const double smoothing : {0.0, 0.2})
        if (spec.label_smoothing || smoothing == 0) all.push_back(options(spec.type, beta, spec.type == LossType::exo_pair ? 0.1 + smoothing : smoothing));
  }
  return all;
}

std::string name_of(const LossOptions& o) { return std::string(loss_spec(o.type).name) + " at beta " + std::to_string(o.beta); }

}  // namespace

TEST("every loss has its own entry, in the order of the types") {
  for (const LossSpec& spec : loss_specs()) CHECK_EQ(&loss_spec(spec.type), &spec);
  CHECK_EQ(loss_specs().size(), size_t{15});
}

TEST("sigmoid is DPO, with smoothing cDPO; robust is its unbiased form") {
  const double likely = -std::log(sigma(0.5 * 2)), unlikely = -std::log(sigma(-0.5 * 2));
  CHECK_NEAR(loss(LossType::sigmoid, 0.5), likely, 1e-15);
  CHECK_NEAR(loss(LossType::sigmoid, 0.5, 0.1), 0.9 * likely + 0.1 * unlikely, 1e-15);
  CHECK_NEAR(loss(LossType::robust, 0.5, 0.1), (0.9 * likely - 0.1 * unlikely) / 0.8, 1e-15);
  // The mean of robust over labels flipped with probability e is the loss without noise.
  const PairLogps flipped{kPair.rejected, kPair.chosen};
  const double mean = 0.7 * loss(LossType::robust, 0.5, 0.3) + 0.3 * pair_loss(flipped, options(LossType::robust, 0.5, 0.3)).loss;
  CHECK_NEAR(mean, likely, 1e-14);
}

TEST("hinge, IPO and sigmoid_norm: the last two on means over tokens") {
  CHECK_NEAR(loss(LossType::hinge, 0.25), 0.5, 1e-15);
  CHECK_NEAR(loss(LossType::hinge, 0.75), 0, 1e-15);
  const double mean_margin = 1.5 / 3 + 0.5 / 5;
  CHECK_NEAR(loss(LossType::ipo, 0.1), (mean_margin - 5) * (mean_margin - 5), 1e-13);
  CHECK_NEAR(loss(LossType::sigmoid_norm, 2), -std::log(sigma(2 * mean_margin)), 1e-15);
}

TEST("EXO is a divergence: 0 where the policy's odds are (1 - e) to e, and as written elsewhere") {
  const double q = sigma(2), e = 0.1;
  CHECK_NEAR(loss(LossType::exo_pair, 1, e), q * (std::log(q) - std::log(1 - e)) + (1 - q) * (std::log(1 - q) - std::log(e)), 1e-15);
  const PairLogps best{{std::log(9.0), 0, 1}, {0, 0, 1}};
  CHECK_NEAR(pair_loss(best, options(LossType::exo_pair, 1, e)).loss, 0, 1e-15);
}

TEST("DiscoPOP blends the logistic and the exponential loss") {
  LossOptions o = options(LossType::discopop, 0.5);
  o.discopop_tau = 0.7;
  const double s = sigma(1 / 0.7);
  CHECK_NEAR(pair_loss(kPair, o).loss, (1 - s) * -std::log(sigma(1)) + s * std::exp(-1.0), 1e-15);
}

TEST("APO, SPPO and NCA see each log-ratio by itself") {
  const double beta = 0.4, a = beta * 1.5, b = beta * -0.5;
  CHECK_NEAR(loss(LossType::apo_zero, beta), 1 - sigma(a) + sigma(b), 1e-15);
  CHECK_NEAR(loss(LossType::apo_down, beta), sigma(a) + 1 - sigma(a - b), 1e-15);
  CHECK_NEAR(loss(LossType::sppo_hard, beta), std::pow(1.5 - 0.5 / beta, 2) + std::pow(-0.5 + 0.5 / beta, 2), 1e-15);
  CHECK_NEAR(loss(LossType::nca_pair, beta), -std::log(sigma(a)) - 0.5 * std::log(sigma(-a)) - 0.5 * std::log(sigma(-b)), 1e-15);
}

TEST("SimPO and ORPO: means of the policy alone, whatever the reference says") {
  LossOptions simpo = options(LossType::simpo, 2);
  simpo.simpo_gamma = 0.3;
  const double p = -3.0 / 3, q = -7.0 / 5;
  CHECK_NEAR(pair_loss(kPair, simpo).loss, -std::log(sigma(2 * (p - q) - 0.3)), 1e-15);
  const double odds = std::log(std::exp(p) / (1 - std::exp(p)) / (std::exp(q) / (1 - std::exp(q))));
  CHECK_NEAR(loss(LossType::orpo, 0.3), -0.3 * std::log(sigma(odds)), 1e-14);
  PairLogps other = kPair;
  other.chosen.reference = -100;
  for (const LossOptions& o : {simpo, options(LossType::orpo, 0.3)}) {
    CHECK(!loss_spec(o.type).reference);
    CHECK_EQ(pair_loss(other, o).loss, pair_loss(kPair, o).loss);
    CHECK_NEAR(implicit_reward(kPair.chosen, o), o.beta * p, 1e-15);
  }
}

TEST("at the reference DPO's loss is log 2, whatever beta and smoothing") {
  const PairLogps same{{-5, -5, 2}, {-9, -9, 4}};
  for (const double smoothing : {0.0, 0.1, 0.5}) CHECK_NEAR(pair_loss(same, options(LossType::sigmoid, 0.1, smoothing)).loss, std::log(2.0), 1e-15);
  CHECK_NEAR(pair_loss(same, options(LossType::sigmoid_norm, 3)).loss, std::log(2.0), 1e-15);
}

TEST("derivatives of every loss by both log-probabilities") {
  for (const LossOptions& o : every_loss_of_pairs()) {
    for (const double chosen : {-30.0, -3.0, -0.4}) {
      const double h = 1e-6;
      const PairLogps at{{chosen, -4.2, 3}, {-2, -1, 2}};
      const auto shifted = [&](double dc, double dr) {
        PairLogps p = at;
        p.chosen.policy += dc;
        p.rejected.policy += dr;
        return pair_loss(p, o).loss;
      };
      const PairLoss got = pair_loss(at, o);
      const double scale = 1 + std::abs(got.loss), dc = (shifted(h, 0) - shifted(-h, 0)) / (2 * h), dr = (shifted(0, h) - shifted(0, -h)) / (2 * h);
      if (!(std::abs(got.d_chosen - dc) <= 1e-7 * scale)) throw std::runtime_error(name_of(o) + ": derivative by the chosen is off");
      if (!(std::abs(got.d_rejected - dr) <= 1e-7 * scale)) throw std::runtime_error(name_of(o) + ": derivative by the rejected is off");
    }
  }
}

TEST("with smoothing the loss is least where the odds are (1 - e) to e") {
  const double beta = 0.5, smoothing = 0.1, best = std::log((1 - smoothing) / smoothing) / beta;
  CHECK_NEAR(pair_loss({{best, 0, 1}, {0, 0, 1}}, options(LossType::sigmoid, beta, smoothing)).d_chosen, 0, 1e-15);
}

TEST("however far the policy is from its reference, no loss and no derivative is NaN") {
  for (const LossOptions& o : every_loss_of_pairs()) {
    for (const double c : {-1e4, -1e-9, 0.0}) {
      for (const double r : {-1e4, -1e-9, 0.0}) {
        const PairLoss far = pair_loss({{c, -1, 1}, {r, -1, 1}}, o);
        if (std::isnan(far.loss) || !std::isfinite(far.d_chosen) || !std::isfinite(far.d_rejected))
          throw std::runtime_error(name_of(o) + " is no number at " + std::to_string(c) + " and " + std::to_string(r));
      }
    }
  }
  for (const double far : {1e4, 1e8}) {
    CHECK_NEAR(pair_loss({{far, 0, 1}, {0, 0, 1}}, options(LossType::sigmoid, 1)).loss, 0, 1e-12);
    CHECK_NEAR(pair_loss({{0, 0, 1}, {far, 0, 1}}, options(LossType::sigmoid, 1)).loss, far, 1e-9 * far);
    CHECK_NEAR(pair_loss({{0, 0, 1}, {far, 0, 1}}, options(LossType::sigmoid, 1)).d_rejected, 1, 1e-12);
  }
}

TEST("ORPO at a probability of 1: the derivative is its limit, the rejected's odds") {
  const PairLoss at = pair_loss({{-1e-10, 0, 1}, {-std::log(2.0), 0, 1}}, options(LossType::orpo, 1));
  CHECK_NEAR(at.loss, 0, 1e-9);
  CHECK_NEAR(at.d_chosen, -1, 1e-5);
  CHECK(std::isfinite(pair_loss({{0, 0, 1}, {0, 0, 1}}, options(LossType::orpo, 1)).d_rejected));
}
