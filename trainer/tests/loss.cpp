#include "check.h"
#include "loss/dpo.h"

#include <initializer_list>

using namespace concord;

TEST("at the reference the loss is log 2, whatever the smoothing") {
  for (const double smoothing : {0.0, 0.1, 0.5}) CHECK_NEAR(dpo_sigmoid({-5, -9, -5, -9}, 0.1, smoothing).loss, std::log(2.0), 1e-15);
}

TEST("sigmoid and cDPO, worked by hand") {
  // delta = (-3 + 7) - (-4 + 6) = 2, beta delta = 1.
  const PairLogps pair{-3, -7, -4, -6};
  const double likely = std::log1p(std::exp(-1.0)), unlikely = std::log1p(std::exp(1.0));
  CHECK_NEAR(dpo_sigmoid(pair, 0.5, 0).loss, likely, 1e-15);
  CHECK_NEAR(dpo_sigmoid(pair, 0.5, 0.1).loss, 0.9 * likely + 0.1 * unlikely, 1e-15);
  CHECK_NEAR(dpo_rewards(pair, 0.5).chosen, 0.5, 1e-15);
  CHECK_NEAR(dpo_rewards(pair, 0.5).rejected, -0.5, 1e-15);
}

TEST("derivatives by both log-probabilities") {
  for (const double beta : {0.05, 1.0}) {
    for (const double smoothing : {0.0, 0.2, 0.5}) {
      for (const double chosen : {-30.0, -3.0, 8.0}) {
        const double h = 1e-6;
        const auto loss = [&](double dc, double dr) { return dpo_sigmoid({chosen + dc, -2 + dr, -4, -1}, beta, smoothing).loss; };
        const PairLoss at = dpo_sigmoid({chosen, -2, -4, -1}, beta, smoothing);
        CHECK_NEAR(at.d_chosen, (loss(h, 0) - loss(-h, 0)) / (2 * h), 1e-8);
        CHECK_NEAR(at.d_rejected, (loss(0, h) - loss(0, -h)) / (2 * h), 1e-8);
      }
    }
  }
}

TEST("with smoothing the loss is least where the odds are (1 - e) to e") {
  const double beta = 0.5, smoothing = 0.1, best = std::log((1 - smoothing) / smoothing) / beta;
  CHECK_NEAR(dpo_sigmoid({best, 0, 0, 0}, beta, smoothing).d_chosen, 0, 1e-15);
}

TEST("far from the reference nothing overflows") {
  for (const double far : {1e4, 1e8}) {
    CHECK_NEAR(dpo_sigmoid({far, 0, 0, 0}, 1, 0).loss, 0, 1e-12);
    CHECK_NEAR(dpo_sigmoid({0, far, 0, 0}, 1, 0).loss, far, 1e-9 * far);
    CHECK_NEAR(dpo_sigmoid({0, far, 0, 0}, 1, 0).d_rejected, 1, 1e-12);
  }
}
