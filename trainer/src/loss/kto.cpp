#include "loss/kto.h"

#include "loss/logistic.h"

namespace concord {

VoteLoss kto(double r, double z, double beta, bool desirable) {
  const double x = desirable ? beta * (r - z) : beta * (z - r);
  const double d = -beta * sigmoid_slope(x);
  return {sigmoid(-x), desirable ? d : -d};
}

}  // namespace concord
