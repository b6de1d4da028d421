// Launches that come again, as graphs.
#include "twin.h"

using namespace twin;

namespace {

// y += x, and how often the host was asked to launch it.
struct Adding {
  Twin<float> x{3, 40}, y{3, 40};
  Cuda::Graphs graphs;
  int launched = 0;

  void run(const Cuda::Graphs::Key& key) {
    graphs.run(cuda(), key, [&] {
      launched++;
      ops::add<float>(cuda(), x.gpu(), y.gpu());
    });
    ops::add<double>(cpu(), x.exact(), y.exact());
  }
};

}  // namespace

TEST("the third run of a key launches nothing and does the same") {
  Adding adding;
  for (int i = 1; i <= 6; i++) {
    adding.run({1, 2});
    CHECK_EQ(adding.launched, std::min(i, 2));
    adding.y.check("sum", 8);
  }
  adding.run({1, 3});
  CHECK_EQ(adding.launched, 3);
  adding.y.check("sum", 8);
}

TEST("of many keys the one that was not run for longest is forgotten, and made again") {
  Adding adding;
  for (int round = 0; round < 2; round++)
    for (int64_t key = 0; key < 40; key++)
      for (int i = 0; i < 3; i++) adding.run({key});
  CHECK_EQ(adding.launched, 2 * 40 * 2);
  adding.y.check("sum", 100);
}

TEST("what throws while launches are taken down launches nothing, and does no harm to what follows") {
  Adding adding;
  Cuda::Graphs graphs;
  graphs.run(cuda(), {1}, [] {});
  const auto stopped = [&] {
    ops::add<float>(cuda(), adding.x.gpu(), adding.y.gpu());
    throw std::runtime_error("stopped");
  };
  CHECK_THROWS_WITH(graphs.run(cuda(), {1}, stopped), "stopped");
  for (int i = 0; i < 3; i++) adding.run({1});
  adding.y.check("sum", 8);
}
