#include "run/device.h"

#include <cstdlib>
#include <string>

#include "error.h"

namespace concord {

int thread_count() {
  const char* text = std::getenv("CONCORD_THREADS");
  if (!text || !*text) return 0;
  char* end = nullptr;
  const long n = std::strtol(text, &end, 10);
  if (*end != '\0' || n < 1 || n > 1024) bad_input("CONCORD_THREADS must be a whole number from 1 to 1024, not " + std::string(text));
  return static_cast<int>(n);
}

}  // namespace concord
