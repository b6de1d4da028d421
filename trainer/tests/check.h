// A small test harness. One source file is one binary; failing tests print one line each, and the last line is
// `N passed, N failed, N skipped`. With CI in the environment a skip is a failure.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace check {

struct Case {
  const char* name;
  std::function<void()> body;
};
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
struct Add {
  Add(const char* name, std::function<void()> body) { cases().push_back({name, std::move(body)}); }
};
struct Failed : std::runtime_error {
  using runtime_error::runtime_error;
};
struct Skipped : std::runtime_error {
  using runtime_error::runtime_error;
};
[[noreturn]] inline void fail(const char* file, int line, const std::string& why) {
  throw Failed(std::string(file) + ":" + std::to_string(line) + ": " + why);
}
// Precise, and NaN is never near anything.
inline void near(const char* file, int line, const char* text, double got, double want, double tolerance) {
  if (std::abs(got - want) <= tolerance) return;
  char message[256];
  std::snprintf(message, sizeof message, "%s is %.9g, expected %.9g +- %.3g", text, got, want, tolerance);
  fail(file, line, message);
}
template <class A, class B>
void equal(const char* file, int line, const char* text, const A& got, const B& want) {
  if (got == want) return;
  std::ostringstream message;
  message << text << " is " << got << ", expected " << want;
  fail(file, line, message.str());
}

}  // namespace check

#define CHECK_JOIN2(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN2(a, b)
#define TEST(name)                                                                           \
  static void CHECK_JOIN(test_, __LINE__)();                                                 \
  static check::Add CHECK_JOIN(add_, __LINE__)(name, CHECK_JOIN(test_, __LINE__));           \
  static void CHECK_JOIN(test_, __LINE__)()
#define CHECK(condition) \
  do { if (!(condition)) check::fail(__FILE__, __LINE__, "not true: " #condition); } while (0)
#define CHECK_EQ(got, want) check::equal(__FILE__, __LINE__, #got, got, want)
#define CHECK_NEAR(got, want, tolerance) check::near(__FILE__, __LINE__, #got, got, want, tolerance)
// The statement must throw something whose message contains `text`.
#define CHECK_THROWS_WITH(statement, text)                                                                    \
  do {                                                                                                        \
    std::string thrown_;                                                                                      \
    bool threw_ = false;                                                                                      \
    try { (void)(statement); } catch (const std::exception& e) { threw_ = true; thrown_ = e.what(); }         \
    if (!threw_) check::fail(__FILE__, __LINE__, "did not throw: " #statement);                               \
    if (thrown_.find(text) == std::string::npos)                                                              \
      check::fail(__FILE__, __LINE__, "message \"" + thrown_ + "\" lacks \"" + std::string(text) + "\"");     \
  } while (0)
#define SKIP(reason) throw check::Skipped(reason)

int main(int argc, char** argv) {
  const std::string only = argc > 1 ? argv[1] : "";  // run the tests whose name contains this
  int passed = 0, failed = 0, skipped = 0;
  for (const auto& test : check::cases()) {
    if (std::string(test.name).find(only) == std::string::npos) continue;
    try {
      test.body();
      passed++;
    } catch (const check::Skipped& e) {
      const bool in_ci = std::getenv("CI") != nullptr;
      (in_ci ? failed : skipped)++;
      std::printf("%s: %s: %s\n", in_ci ? "FAIL (skipped in CI)" : "skip", test.name, e.what());
    } catch (const std::exception& e) {
      failed++;
      std::printf("FAIL: %s: %s\n", test.name, e.what());
    }
  }
  std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed != 0;
}
