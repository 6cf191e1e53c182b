// Activation functions, elementwise, and the bias before them: one pass forward, one backward.
//
// Arrays are C-contiguous, of `count` elements of T, at any alignment; a bias has `width` elements and belongs to the last
// axis.  y may be x itself.  Computed in A, rounded once.
// Constants: T; ACTIVATION, a name of the list in activations.cuh; BIAS, whether there is a bias (for PRELU: the slopes).
// Backward: dx = g * slope, from `saved`: y for the functions that `gradient` forms from y, else x before the bias.  The gradient
// of the bias is a sum over rows in a fixed order, in A: block (i, j) writes the sums of its rows to row j of `partial` (slabs,
// width), which partial_sums.cu adds.
#include "common.cuh"
#include "activations.cuh"

#define BLOCK 256
#define UNROLL 2  // Vectors of each thread, loaded before the first is used.

constexpr int N = gl::Vector<T>::size;

// The elements of the bias that belong to the elements `first` ... of x.
GL_DEVICE void spread(const T* bias, long long first, int width, A* b) {
  int column = gl::remainder(first, width);
#pragma unroll
  for (int i = 0; i < N; i++) {
    b[i] = gl::to<A>(bias[column]);
    column = column + 1 == width ? 0 : column + 1;
  }
}

extern "C" __global__ void __launch_bounds__(BLOCK) activation_forward(
    const T* x, const T* bias, T* y, long long count, int width, A a, A b, A c) {
  const bool whole = gl::aligned(x, y);
  const long long start = ((long long)blockIdx.x * BLOCK * UNROLL + threadIdx.x) * N, step = BLOCK * N;
  gl::Vector<T> v[UNROLL];
#pragma unroll
  for (int u = 0; u < UNROLL; u++) v[u] = gl::load(x, start + u * step, count, whole);
#pragma unroll
  for (int u = 0; u < UNROLL; u++) {
    if (start + u * step >= count) return;
    A added[N], out[N];
    if (BIAS) spread(bias, start + u * step, width, added);
#pragma unroll
    for (int i = 0; i < N; i++) {
      const A e = gl::to<A>(v[u].at[i]);
      if (ACTIVATION == PRELU) out[i] = e > 0 ? e : added[i] * e;
      else out[i] = value(BIAS ? e + added[i] : e, a, b, c);
    }
    gl::store(y, start + u * step, count, whole, gl::packed<T>(out));
  }
}

#if !BIAS
extern "C" __global__ void __launch_bounds__(BLOCK) activation_backward(
    const T* g, const T* saved, T* dx, long long count, A a, A b, A c) {
  const bool whole = gl::aligned(g, saved, dx);
  const long long start = ((long long)blockIdx.x * BLOCK * UNROLL + threadIdx.x) * N, step = BLOCK * N;
  gl::Vector<T> v[UNROLL], w[UNROLL];
#pragma unroll
  for (int u = 0; u < UNROLL; u++) {
    v[u] = gl::load(g, start + u * step, count, whole);
    w[u] = gl::load(saved, start + u * step, count, whole);
  }
#pragma unroll
  for (int u = 0; u < UNROLL; u++) {
    if (start + u * step >= count) return;
    A out[N];
#pragma unroll
    for (int i = 0; i < N; i++) {
      const A e = gl::to<A>(w[u].at[i]);
      out[i] = gradient(gl::to<A>(v[u].at[i]), e, e, a, b, c);
    }
    gl::store(dx, start + u * step, count, whole, gl::packed<T>(out));
  }
}
#else
// Rows and columns: a block has `lanes` (a power of two, at most 32) threads side by side, each with N columns, and BLOCK / lanes rows
// at a time; block (i, j) takes the i-th lanes * N columns and the j-th `rows_each` rows.  dx or partial may be NULL: not wanted.
extern "C" __global__ void __launch_bounds__(BLOCK) bias_activation_backward(
    const T* g, const T* saved, const T* bias, T* dx, A* partial, long long rows, int width, long long rows_each, int lanes,
    A a, A b, A c) {
  __shared__ A sums[BLOCK][N + 1];
  const bool whole = gl::aligned(g, saved, dx) && width % N == 0;
  const int lane = threadIdx.x % lanes, column = (blockIdx.x * lanes + lane) * N;
  const long long first = blockIdx.y * rows_each, last = gl::min(first + rows_each, rows);
  A sum[N], added[N];
#pragma unroll
  for (int i = 0; i < N; i++) {
    sum[i] = 0;
    added[i] = column + i < width ? gl::to<A>(bias[column + i]) : A(0);
  }
  for (long long row = first + threadIdx.x / lanes; row < last && column < width; row += BLOCK / lanes) {
    const long long place = row * width + column, end = (row + 1) * width;
    const gl::Vector<T> v = gl::load(g, place, end, whole), w = gl::load(saved, place, end, whole);
    A out[N];
#pragma unroll
    for (int i = 0; i < N; i++) {
      const A from = gl::to<A>(v.at[i]), e = gl::to<A>(w.at[i]);
      if (ACTIVATION == PRELU) {
        out[i] = from * (e > 0 ? A(1) : e < 0 ? added[i] : A(0));
        sum[i] += from * (e < 0 ? e : A(0));
      } else {
        out[i] = gradient(from, e + added[i], e, a, b, c);
        sum[i] += out[i];
      }
    }
    if (dx) gl::store(dx, place, end, whole, gl::packed<T>(out));
  }
  if (!partial) return;  // All threads of all blocks.
#pragma unroll
  for (int i = 0; i < N; i++) sums[threadIdx.x][i] = sum[i];
  for (int half_of = BLOCK / 2; half_of >= lanes; half_of /= 2) {
    __syncthreads();
    if (threadIdx.x < half_of) {
#pragma unroll
      for (int i = 0; i < N; i++) sums[threadIdx.x][i] += sums[threadIdx.x + half_of][i];
    }
  }
  if (threadIdx.x < lanes) {
#pragma unroll
    for (int i = 0; i < N; i++)
      if (column + i < width) partial[(long long)blockIdx.y * width + column + i] = sums[threadIdx.x][i];
  }
}
#endif
