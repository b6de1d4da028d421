#include "run/device_choice.h"

#include "error.h"
#include "io/json.h"

namespace concord {

DeviceChoice parse_device(const std::string& text, const std::string& where) {
  if (text == "auto" || text == "cpu") return {};
  const std::string index = text.starts_with("cuda:") ? text.substr(5) : text == "cuda" ? "0" : "";
  if (index.empty() || index.size() > 3 || index.find_first_not_of("0123456789") != std::string::npos)
    bad_input(where + " is " + in_quotes(text) + ", but must be auto, cpu, cuda or cuda:N");
#ifndef CONCORD_CUDA
  bad_input(where + " is " + in_quotes(text) + ", but this build has no CUDA backend");
#endif
  return {true, std::stoi(index)};
}

}  // namespace concord
