// Matrix products by cuBLASLt, with float sums. cuBLAS is column-major: a row-major matrix is its own transpose there, so
// Y = X W^T is computed as Y^T = W X^T.
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>

#include "ops/cuda/cublas.h"
#include "ops/cuda/state.h"
#include "ops/ops.h"

namespace concord {

struct Blas {
  static constexpr int64_t kWorkspaceBytes = 64 << 20;  // what NVIDIA advises for Hopper, with room

  cublasLtHandle_t handle = nullptr;
  Cuda::Memory workspace = Cuda::allocate(kWorkspaceBytes);
  // The algorithm of each product that has been asked for: types, operations, shapes, leading dimensions, alignment.
  std::map<std::tuple<int, int, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, uint32_t>, cublasLtMatmulAlgo_t> algorithms;
};

std::unique_ptr<Blas, EndBlas> start_blas() {
  std::unique_ptr<Blas, EndBlas> blas(new Blas);
  check_cublas(cublas().Create(&blas->handle), "starting cuBLASLt");
  return blas;
}

void EndBlas::operator()(Blas* blas) const {
  if (blas->handle) cublas().Destroy(blas->handle);
  delete blas;
}

}  // namespace concord

namespace concord::ops {
namespace {

constexpr size_t kAlgorithmsMax = 1 << 14;  // batches have many lengths; a run must not grow with them

template <class T>
constexpr cudaDataType_t type_of() {
  return sizeof(T) == 2 ? CUDA_R_16BF : CUDA_R_32F;
}

// cuBLASLt's descriptions, destroyed with their scope.
struct Layout {
  cublasLtMatrixLayout_t handle = nullptr;
  Layout(cudaDataType_t type, int64_t rows, int64_t cols, int64_t stride) {
    check_cublas(cublas().MatrixLayoutCreate(&handle, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols), stride), "describing a matrix");
  }
  ~Layout() { cublas().MatrixLayoutDestroy(handle); }
};
struct Product {
  cublasLtMatmulDesc_t handle = nullptr;
  Product(bool transpose_a, bool transpose_b) {
    check_cublas(cublas().MatmulDescCreate(&handle, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, transpose_a);
    set(CUBLASLT_MATMUL_DESC_TRANSB, transpose_b);
  }
  ~Product() { cublas().MatmulDescDestroy(handle); }
  void set(cublasLtMatmulDescAttributes_t attribute, bool transpose) {
    const cublasOperation_t operation = transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
    check_cublas(cublas().MatmulDescSetAttribute(handle, attribute, &operation, sizeof operation), "describing a product");
  }
};
struct Preference {
  cublasLtMatmulPreference_t handle = nullptr;
  Preference() {
    check_cublas(cublas().MatmulPreferenceCreate(&handle), "describing a choice");
    const auto workspace = static_cast<uint64_t>(Blas::kWorkspaceBytes);
    check_cublas(cublas().MatmulPreferenceSetAttribute(handle, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace), "describing a choice");
    // One that adds up parts in the order in which they become ready would not give the same bytes twice.
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    check_cublas(cublas().MatmulPreferenceSetAttribute(handle, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes), "describing a choice");
  }
  ~Preference() { cublas().MatmulPreferenceDestroy(handle); }
  void set_alignment(uint32_t bytes) {
    for (const auto attribute : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                                 CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      check_cublas(cublas().MatmulPreferenceSetAttribute(handle, attribute, &bytes, sizeof bytes), "describing a choice");
  }
};

// C[n,m] = alpha op(A) op(B) + beta C, all column-major, k the length of the sums. A and B are of T, C of Y.
template <class T, class Y>
struct Gemm {
  bool transpose_a, transpose_b;
  int64_t n, m, k;
  const T* a;
  int64_t lda;
  const T* b;
  int64_t ldb;
  Y* c;
  int64_t ldc;

  // The algorithm that cuBLASLt expects to be fastest; asked for once for each shape.
  const cublasLtMatmulAlgo_t& algorithm(Blas& blas, const Product& product, const Layout& la, const Layout& lb, const Layout& lc) const {
    uint32_t alignment = 16;  // the most that any algorithm asks for
    while ((reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b) | reinterpret_cast<uintptr_t>(c)) % alignment != 0) alignment /= 2;
    if (blas.algorithms.size() >= kAlgorithmsMax) blas.algorithms.clear();
    const int types = static_cast<int>(sizeof(T) * 8 + sizeof(Y)), operations = 2 * transpose_a + transpose_b;
    const auto [entry, is_new] = blas.algorithms.try_emplace({types, operations, n, m, k, lda, ldb, ldc, alignment});
    if (!is_new) return entry->second;
    Preference preference;
    preference.set_alignment(alignment);
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    check_cublas(cublas().MatmulAlgoGetHeuristic(blas.handle, product.handle, la.handle, lb.handle, lc.handle, lc.handle, preference.handle, 1, &result, &found),
          "choosing an algorithm");
    if (found == 0) throw std::runtime_error("cuBLASLt has no algorithm for a product of " + std::to_string(m) + " x " + std::to_string(k) + " and " + std::to_string(n));
    return entry->second = result.algo;
  }

  void run(Cuda& cuda, float alpha, float beta) const {
    if (n == 0 || m == 0) return;
    Blas& blas = *cuda.state().blas;
    const Product product(transpose_a, transpose_b);
    const Layout la(type_of<T>(), transpose_a ? k : n, transpose_a ? n : k, lda);
    const Layout lb(type_of<T>(), transpose_b ? m : k, transpose_b ? k : m, ldb);
    const Layout lc(type_of<Y>(), n, m, ldc);
    check_cublas(cublas().Matmul(blas.handle, product.handle, &alpha, a, la.handle, b, lb.handle, &beta, c, lc.handle, c, lc.handle,
                         &algorithm(blas, product, la, lb, lc), blas.workspace.get(), Blas::kWorkspaceBytes, cuda.state().stream),
          "a product");
  }
};

}  // namespace

template <class T, class Y>
void matmul_nt(Cuda& cuda, Stat<T> alpha, Mat<const T> x, Mat<const T> w, Stat<T> beta, Mat<Y> y) {
  Gemm<T, Y>{true, false, w.rows, x.rows, x.cols, w.data, w.stride, x.data, x.stride, y.data, y.stride}.run(cuda, alpha, beta);
}

template <class T>
void matmul_nn(Cuda& cuda, Stat<T> alpha, Mat<const T> y, Mat<const T> w, Stat<T> beta, Mat<T> x) {
  Gemm<T, T>{false, false, w.cols, y.rows, y.cols, w.data, w.stride, y.data, y.stride, x.data, x.stride}.run(cuda, alpha, beta);
}

template <class T>
void matmul_tn(Cuda& cuda, Stat<T> alpha, Mat<const T> y, Mat<const T> x, Stat<T> beta, Mat<Stat<T>> w) {
  Gemm<T, Stat<T>>{false, true, x.cols, y.cols, y.rows, x.data, x.stride, y.data, y.stride, w.data, w.stride}.run(cuda, alpha, beta);
}

#define CONCORD_INSTANTIATE(T)                                                                   \
  template void matmul_nt<T>(Cuda&, float, Mat<const T>, Mat<const T>, float, Mat<T>);           \
  template void matmul_nn<T>(Cuda&, float, Mat<const T>, Mat<const T>, float, Mat<T>);           \
  template void matmul_tn<T>(Cuda&, float, Mat<const T>, Mat<const T>, float, Mat<float>);
CONCORD_INSTANTIATE(Bf16)
CONCORD_INSTANTIATE(float)
#undef CONCORD_INSTANTIATE
template void matmul_nt<Bf16, float>(Cuda&, float, Mat<const Bf16>, Mat<const Bf16>, float, Mat<float>);

}  // namespace concord::ops
