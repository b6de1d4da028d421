// KTO's loss of a vote.
#include "check.h"
#include "loss/kto.h"

using namespace concord;

TEST("KTO: a desirable completion should gain on the reference point, an undesirable one lose") {
  const auto sigma = [](double x) { return 1 / (1 + std::exp(-x)); };
  CHECK_NEAR(kto(1.2, 0.3, 0.5, true).loss, 1 - sigma(0.5 * 0.9), 1e-15);
  CHECK_NEAR(kto(1.2, 0.3, 0.5, false).loss, 1 - sigma(-0.5 * 0.9), 1e-15);
  CHECK_NEAR(kto(0, 0, 0.1, true).loss, 0.5, 1e-15);
}

TEST("derivatives, and no overflow") {
  for (const bool desirable : {true, false}) {
    for (const double r : {-40.0, -1.0, 0.0, 3.0}) {
      const double h = 1e-6;
      const double slope = (kto(r + h, 0.4, 0.7, desirable).loss - kto(r - h, 0.4, 0.7, desirable).loss) / (2 * h);
      CHECK_NEAR(kto(r, 0.4, 0.7, desirable).d, slope, 1e-9);
    }
    for (const double far : {-1e8, 1e8}) {
      CHECK(std::isfinite(kto(far, 0, 1, desirable).loss));
      CHECK_EQ(kto(far, 0, 1, desirable).d, 0.0);
    }
  }
}
