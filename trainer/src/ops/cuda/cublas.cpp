#include "ops/cuda/cublas.h"

#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "error.h"

namespace concord {
namespace {

Cublas load() {
  void* library = nullptr;
  for (const char* place : {CONCORD_CUBLASLT_LIBRARY, "libcublasLt.so.13", "libcublasLt.so.12"}) {
    library = dlopen(place, RTLD_LAZY | RTLD_LOCAL);
    if (library) break;
  }
  if (!library) bad_input(std::string("cuBLASLt, which a GPU needs, was not found: neither ") + CONCORD_CUBLASLT_LIBRARY + " nor libcublasLt on the library path");
  Cublas functions;
#define CONCORD_LOAD(Name)                                                                                         \
  functions.Name = reinterpret_cast<decltype(functions.Name)>(dlsym(library, "cublasLt" #Name));                   \
  if (!functions.Name) bad_input("cuBLASLt lacks the function cublasLt" #Name "; another version is installed than this program was built with");
  CONCORD_CUBLAS_FUNCTIONS(CONCORD_LOAD)
#undef CONCORD_LOAD
  return functions;
}

}  // namespace

const Cublas& cublas() {
  static const Cublas functions = load();
  return functions;
}

void check_cublas(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) throw std::runtime_error(std::string(what) + ": cuBLASLt status " + std::to_string(status));
}

}  // namespace concord
