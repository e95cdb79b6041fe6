// Products of small matrices, C = A B with (M, N) = (M, K) (K, N), for AVX-512.
//
// All sizes and strides are known at compile time, so loops over a few columns are unrolled. A tile
// of C stays in registers while its K terms are added. Each term is a piece of a row of B, a few
// vectors, times a number of A for each row of the tile. The end of a row is masked.

#include <torch/csrc/inductor/cpp_prefix.h>

namespace minifw {

// A tile has at most four vectors side by side and 24 in all. The processor has 32 registers: 24
// sums, four vectors of B and a number of A. With less than eight sums, each waits for the one
// before; that cannot be helped where C is so small.
constexpr int64_t VECTORS_A_ROW = 4, VECTORS_A_TILE = 24;
// Bytes on the (call) stack for a copy of columns of B, at most.
constexpr int64_t COPY_BYTES = 32 * 1024;

// Element (i, j) of a matrix is at i * row + j * column in memory.
template <int64_t row_stride, int64_t column_stride>
struct Layout {
  static constexpr int64_t row = row_stride, column = column_stride;
  using Transposed = Layout<column_stride, row_stride>;
};

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Calls f<size>(start) for blocks of `size` that cover `total`; the last one may be smaller.
template <int64_t total, int64_t size, typename F>
inline void in_blocks(F f) {
  for (int64_t start = 0; start + size <= total; start += size) f.template operator()<size>(start);
  if constexpr (total % size != 0) f.template operator()<total % size>(total - total % size);
}

// One tile; the rows of B are contiguous and b_row apart.
template <int64_t M, int64_t N, int64_t K, typename A, typename C, typename T>
inline void tile(const T* a, const T* b, int64_t b_row, T* c) {
  using Vector = at::vec::Vectorized<T>;
  constexpr int64_t L = Vector::size(), W = ceil_div(N, L);
  auto length = [=](int64_t w) { return w < W - 1 ? L : N - w * L; };
  Vector sum[M][W];
  for (int64_t m = 0; m < M; m++)
    for (int64_t w = 0; w < W; w++) sum[m][w] = Vector(0);
  for (int64_t k = 0; k < K; k++) {
    Vector row[W];
    for (int64_t w = 0; w < W; w++) row[w] = Vector::loadu(b + k * b_row + w * L, length(w));
    for (int64_t m = 0; m < M; m++) {
      Vector number(a[m * A::row + k * A::column]);
      for (int64_t w = 0; w < W; w++) sum[m][w] = at::vec::fmadd(number, row[w], sum[m][w]);
    }
  }
  if constexpr (C::column == 1) {
    for (int64_t m = 0; m < M; m++)
      for (int64_t w = 0; w < W; w++) sum[m][w].store(c + m * C::row + w * L, length(w));
  } else {
    T sums[M][W * L];
    for (int64_t m = 0; m < M; m++)
      for (int64_t w = 0; w < W; w++) sum[m][w].store(sums[m] + w * L);
    for (int64_t n = 0; n < N; n++)
      for (int64_t m = 0; m < M; m++) c[m * C::row + n * C::column] = sums[m][n];
  }
}

template <int64_t M, int64_t N, int64_t K, typename A, typename B, typename C, typename T>
inline void product(const T* a, const T* b, T* c) {
  constexpr int64_t L = at::vec::Vectorized<T>::size();
  if constexpr (N < L && N < M) {  // the longer side fills vectors better: C^T = B^T A^T
    product<N, M, K, typename B::Transposed, typename A::Transposed, typename C::Transposed>(
        b, a, c);
  } else {
    in_blocks<N, VECTORS_A_ROW * L>([&]<int64_t n>(int64_t column) {
      constexpr bool copied = B::column != 1;
      const T* columns = b + column * B::column;
      int64_t b_row = B::row;
      T copy[copied ? K * n : 1];
      if constexpr (copied) {
        static_assert(B::row == 1 && sizeof(copy) <= COPY_BYTES);
        at::vec::transpose_mxn<T>(columns, B::column, copy, n, n, K);
        columns = copy, b_row = n;
      }
      constexpr int64_t tiles = ceil_div(M, VECTORS_A_TILE / ceil_div(n, L));
      in_blocks<M, ceil_div(M, tiles)>([&]<int64_t m>(int64_t row) {
        tile<m, n, K, A, C>(
            a + row * A::row, columns, b_row, c + row * C::row + column * C::column);
      });
    });
  }
}

// The products of a stack of `seeds` networks, whose matrices are a_seed, b_seed numbers apart.
template <int64_t seeds, int64_t M, int64_t N, int64_t K, int64_t a_seed, int64_t a_row,
          int64_t a_column, int64_t b_seed, int64_t b_row, int64_t b_column, typename T>
inline void products(const T* a, const T* b, T* c) {
  for (int64_t seed = 0; seed < seeds; seed++)
    product<M, N, K, Layout<a_row, a_column>, Layout<b_row, b_column>, Layout<N, 1>>(
        a + seed * a_seed, b + seed * b_seed, c + seed * M * N);
}

}  // namespace minifw
