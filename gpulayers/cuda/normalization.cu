// Rows scaled by their own moments: layer, RMS and unit normalization.  Forward: x is read once, y written once.  Backward: g and x are
// read once, dx written once; rows too long for registers are read twice.
//
// x, g, y, dx: (rows, width) of T, C-contiguous, at any alignment.  `added`, like x, may be added to it first; the sum, rounded to T, is
// written to `total`.  Backward `more`, the gradient of the sum where others read it, too, may be added to dx.  gamma, beta: (width,) of
// A, or NULL.  What is kept for the backward pass is x (or the sum) and, of each row, what was subtracted (means, not for RMS and LENGTH)
// and by what was multiplied (factors), of A.  Moments are those of two passes over registers: the mean, then the squares around it; long
// rows merge the moments of their parts (Chan et al., 1979).  Computed in A, rounded once.
// The gradients of gamma and beta are sums over rows in a fixed order, in A: block b writes the sums of its rows to d_gamma + b * apart
// and d_beta + b * apart (width of each), which partial_sums.cu adds; NULL where not wanted, as dx may be.
// Constants: T; KIND, a name of the list below; PER, the vectors of 16 bytes that a thread holds of its row.
#include "common.cuh"

enum Kind { LAYER, RMS, DEVIATION, LENGTH };
constexpr int N = gl::Vector<T>::size, E = PER * N;
constexpr bool CENTRED = KIND == LAYER || KIND == DEVIATION;  // The squares are those around the mean.
#define LONG_BLOCK 512
#define TILE_BLOCK 256

// The sum over the `group` threads of a row: the whole block, or a power of two of neighbours in a warp.
GL_DEVICE A row_sum(A a, int group, A* shared) {
  if (group > 32) return gl::block_sum(a, shared);
  for (int lane = group / 2; lane; lane >>= 1) a += __shfl_xor_sync(0xffffffffu, a, lane);
  return a;
}
// The same of two numbers, with half of the barriers; `shared` holds 64.
GL_DEVICE void row_sums(A& a, A& b, int group, A* shared) {
  for (int lane = gl::min(group, 32) / 2; lane; lane >>= 1) {
    a += __shfl_xor_sync(0xffffffffu, a, lane);
    b += __shfl_xor_sync(0xffffffffu, b, lane);
  }
  if (group <= 32) return;
  const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
  if (lane == 0) shared[threadIdx.x / 32] = a, shared[32 + threadIdx.x / 32] = b;
  __syncthreads();
  a = gl::warp_sum(lane < warps ? shared[lane] : A(0));
  b = gl::warp_sum(lane < warps ? shared[32 + lane] : A(0));
  __syncthreads();
}
// What a row is multiplied by, from the sum of its squares.
GL_DEVICE A factor_of(A squares, int width, A epsilon) {
  if (KIND == LENGTH) return 1 / gl::Max::of(gl::sqrt(squares), epsilon);
  return gl::rsqrt(squares / width + epsilon);
}
// N weights from a column on; `other` where there are none.
GL_DEVICE void weights(const A* w, long long column, int width, A other, A* out) {
  constexpr int M = gl::Vector<A>::size;
  const bool whole = gl::aligned(w);
#pragma unroll
  for (int i = 0; i < N; i += M) {
    if (w) {
      const gl::Vector<A> v = gl::load(w, column + i, width, whole);
#pragma unroll
      for (int j = 0; j < M && i + j < N; j++) out[i + j] = v.at[j];
    } else {
#pragma unroll
      for (int j = 0; j < M && i + j < N; j++) out[i + j] = other;
    }
  }
}
GL_DEVICE void numbers(gl::Vector<T> v, A* out) {
#pragma unroll
  for (int i = 0; i < N; i++) out[i] = gl::to<A>(v.at[i]);
}
// N numbers of a row from a column on; if SUM, with those that are added.
template <bool SUM> GL_DEVICE void read(const T* x, const T* added, T* total, int column, int count, bool whole, A* out) {
  numbers(gl::load(x, column, count, whole), out);
  if (!SUM) return;
  A more[N];
  numbers(gl::load(added, column, count, whole), more);
#pragma unroll
  for (int i = 0; i < N; i++) more[i] += out[i];
  const gl::Vector<T> sum = gl::packed<T>(more);
  gl::store(total, column, count, whole, sum);
  numbers(sum, out);
}

// One row for each `group` threads, held in their registers.
template <bool SUM> GL_DEVICE void forward(
    const T* x, const T* added, T* total, const A* gamma, const A* beta, T* y, A* means, A* factors, long long rows, int width,
    int group, A epsilon, A* shared) {
  const bool whole = gl::aligned(x, y, added, total) && width % N == 0;
  const int lane = threadIdx.x % group;
  const long long row = (long long)blockIdx.x * (blockDim.x / group) + threadIdx.x / group;
  const int count = row < rows ? width : 0;
  A v[E];
#pragma unroll
  for (int k = 0; k < PER; k++)
    read<SUM>(x + row * width, added + row * width, total + row * width, (k * group + lane) * N, count, whole, v + k * N);
  A mean = 0, squares = 0;
  if (CENTRED) {
    A sum = 0;
#pragma unroll
    for (int i = 0; i < E; i++) sum += v[i];
    mean = row_sum(sum, group, shared) / width;
  }
#pragma unroll
  for (int i = 0; i < E; i++) {
    const bool there = (i / N * group + lane) * N + i % N < count;
    const A d = CENTRED && there ? v[i] - mean : v[i];
    squares += d * d;
    if (KIND == LAYER) v[i] = d;
  }
  const A factor = factor_of(row_sum(squares, group, shared), width, epsilon);
  if (lane == 0 && count && factors) {
    factors[row] = factor;
    if (CENTRED) means[row] = mean;
  }
#pragma unroll
  for (int k = 0; k < PER; k++) {
    const int column = (k * group + lane) * N;
    if (column >= count) continue;
    A scale[N], offset[N], out[N];
    weights(gamma, column, width, 1, scale);
    weights(beta, column, width, 0, offset);
#pragma unroll
    for (int i = 0; i < N; i++) out[i] = v[k * N + i] * factor * scale[i] + offset[i];
    gl::store(y + row * width, column, count, whole, gl::packed<T>(out));
  }
}
extern "C" __global__ void __launch_bounds__(1024) normalize_forward(
    const T* x, const A* gamma, const A* beta, T* y, A* means, A* factors, long long rows, int width, int group, A epsilon) {
  __shared__ A shared[32];
  forward<false>(x, 0, 0, gamma, beta, y, means, factors, rows, width, group, epsilon, shared);
}
extern "C" __global__ void __launch_bounds__(512) normalize_sum(
    const T* x, const T* added, T* total, const A* gamma, const A* beta, T* y, A* means, A* factors, long long rows, int width,
    int group, A epsilon) {
  __shared__ A shared[32];
  forward<true>(x, added, total, gamma, beta, y, means, factors, rows, width, group, epsilon, shared);
}

// The gradient by x of one element: g is weighed by gamma; `first` and `second` are the row's means of g, and of g times the result.
GL_DEVICE A through(A g, A unit, A factor, A first, A second) {
  return (KIND == LAYER ? g - first - unit * second : g - unit * second) * factor;
}
GL_DEVICE void shares(A& first, A& second, A factor, int width, A epsilon) {
  if (KIND == LENGTH) {
    if (factor * epsilon >= A(0.999999)) second = 0;  // It is epsilon that divides.
  } else {
    first /= width, second /= width;
  }
}

// N numbers of a row of `more` from a column on; without MORE zeros.
template <bool MORE> GL_DEVICE void begin(const T* more, long long column, int count, bool whole, A* out) {
  if (MORE) return numbers(gl::load(more, column, count, whole), out);
#pragma unroll
  for (int i = 0; i < N; i++) out[i] = 0;
}

// Blocks stride over the rows; a thread always has the same columns.
template <bool MORE> GL_DEVICE void backward(
    const T* g, const T* x, const T* more, const A* gamma, const A* means, const A* factors, T* dx, A* d_gamma, A* d_beta,
    int apart, long long rows, int width, int group, A epsilon, A* shared, A (*sums)[N + 1]) {
  const bool whole = gl::aligned(g, x, dx, more) && width % N == 0;
  const int lane = threadIdx.x % group, mine = threadIdx.x / group, at_once = blockDim.x / group;
  A scale[E], sum_gamma[E], sum_beta[E];
#pragma unroll
  for (int k = 0; k < PER; k++) weights(gamma, (k * group + lane) * N, width, 1, scale + k * N);
#pragma unroll
  for (int i = 0; i < E; i++) sum_gamma[i] = sum_beta[i] = 0;
  for (long long start = (long long)blockIdx.x * at_once; start < rows; start += (long long)gridDim.x * at_once) {
    const long long row = start + mine;
    const int count = row < rows ? width : 0;
    gl::Vector<T> vg[PER], vx[PER];
#pragma unroll
    for (int k = 0; k < PER; k++) {
      vg[k] = gl::load(g + row * width, (k * group + lane) * N, count, whole);
      vx[k] = gl::load(x + row * width, (k * group + lane) * N, count, whole);
    }
    const A mean = CENTRED && count ? means[row] : A(0), factor = count ? factors[row] : A(0);
    A first = 0, second = 0;
#pragma unroll
    for (int i = 0; i < E; i++) {
      const A from = gl::to<A>(vg[i / N].at[i % N]), e = gl::to<A>(vx[i / N].at[i % N]);
      const A y = (KIND == LAYER ? e - mean : e) * factor;
      first += from * scale[i];
      second += from * scale[i] * y;
      sum_gamma[i] += from * y;
      sum_beta[i] += from;
    }
    if (!dx) continue;
    row_sums(first, second, group, shared);
    shares(first, second, factor, width, epsilon);
#pragma unroll
    for (int k = 0; k < PER; k++) {
      A out[N];
      begin<MORE>(more + row * width, (k * group + lane) * N, count, whole, out);
#pragma unroll
      for (int i = 0; i < N; i++) {
        const A unit = ((CENTRED ? gl::to<A>(vx[k].at[i]) - mean : gl::to<A>(vx[k].at[i]))) * factor;
        out[i] += through(gl::to<A>(vg[k].at[i]) * scale[k * N + i], unit, factor, first, second);
      }
      gl::store(dx + row * width, (k * group + lane) * N, count, whole, gl::packed<T>(out));
    }
  }
#pragma unroll
  for (int which = 0; which < 2; which++) {
    A* to = which ? d_beta : d_gamma;
    if (!to) continue;  // All threads of all blocks.
#pragma unroll
    for (int k = 0; k < PER; k++) {
      const A* from = (which ? sum_beta : sum_gamma) + k * N;
      const int column = (k * group + lane) * N;
      if (at_once > 1) {  // The block's rows, a tree of fixed order.
#pragma unroll
        for (int i = 0; i < N; i++) sums[threadIdx.x][i] = from[i];
        for (int half_of = blockDim.x / 2; half_of >= group; half_of /= 2) {
          __syncthreads();
          if (threadIdx.x < half_of) {
#pragma unroll
            for (int i = 0; i < N; i++) sums[threadIdx.x][i] += sums[threadIdx.x + half_of][i];
          }
        }
      }
      if (mine == 0) {
#pragma unroll
        for (int i = 0; i < N; i++) {
          const A total = at_once > 1 ? sums[threadIdx.x][i] : from[i];
          if (column + i < width) to[(long long)blockIdx.x * apart + column + i] = total;
        }
      }
      __syncthreads();
    }
  }
}
extern "C" __global__ void __launch_bounds__(512) normalize_backward(
    const T* g, const T* x, const A* gamma, const A* means, const A* factors, T* dx, A* d_gamma, A* d_beta, int apart,
    long long rows, int width, int group, A epsilon) {
  __shared__ A shared[64], sums[256][N + 1];
  backward<false>(g, x, 0, gamma, means, factors, dx, d_gamma, d_beta, apart, rows, width, group, epsilon, shared, sums);
}
extern "C" __global__ void __launch_bounds__(512) normalize_sum_backward(
    const T* g, const T* x, const T* more, const A* gamma, const A* means, const A* factors, T* dx, A* d_gamma, A* d_beta,
    int apart, long long rows, int width, int group, A epsilon) {
  __shared__ A shared[64], sums[256][N + 1];
  backward<true>(g, x, more, gamma, means, factors, dx, d_gamma, d_beta, apart, rows, width, group, epsilon, shared, sums);
}

// ---------------------------------------------------------------------------------------------------------------- long rows
// One block for each row, which reads it twice; the second time it may still be in the L2 cache.
template <bool SUM> GL_DEVICE void forward_long(
    const T* x, const T* added, T* total, const A* gamma, const A* beta, T* y, A* means, A* factors, int width, A epsilon, A* shared) {
  const bool whole = gl::aligned(x, y, added, total) && width % N == 0;
  const long long row = blockIdx.x;
  x += row * width, y += row * width;
  if (SUM) added += row * width, total += row * width;
  A size = 0, mean = 0, squares = 0;  // Of this thread's part.
  for (int column = threadIdx.x * N; column < width; column += LONG_BLOCK * N) {
    A v[N], sum = 0, own = 0;
    read<SUM>(x, added, total, column, width, whole, v);
    const int count = gl::min(N, width - column);
    if (!CENTRED) {
#pragma unroll
      for (int i = 0; i < N; i++) squares += v[i] * v[i];
      continue;
    }
#pragma unroll
    for (int i = 0; i < N; i++) sum += v[i];
    sum /= count;
#pragma unroll
    for (int i = 0; i < N; i++) own += i < count ? (v[i] - sum) * (v[i] - sum) : A(0);
    const A apart = sum - mean, share = count / (size + count);
    mean += apart * share;
    squares += own + apart * apart * size * share;
    size += count;
  }
  if (CENTRED) {
    const A whole_mean = gl::block_sum(mean * size, shared) / width, apart = mean - whole_mean;
    squares += size * apart * apart;
    mean = whole_mean;
  }
  const A factor = factor_of(gl::block_sum(squares, shared), width, epsilon);
  if (threadIdx.x == 0 && factors) {
    factors[row] = factor;
    if (CENTRED) means[row] = mean;
  }
  for (int column = threadIdx.x * N; column < width; column += LONG_BLOCK * N) {
    A v[N], scale[N], offset[N];
    numbers(gl::load(SUM ? total : x, column, width, whole), v);  // What this thread has written.
    weights(gamma, column, width, 1, scale);
    weights(beta, column, width, 0, offset);
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = (KIND == LAYER ? v[i] - mean : v[i]) * factor * scale[i] + offset[i];
    gl::store(y, column, width, whole, gl::packed<T>(v));
  }
}
extern "C" __global__ void __launch_bounds__(LONG_BLOCK) normalize_forward_long(
    const T* x, const A* gamma, const A* beta, T* y, A* means, A* factors, int width, A epsilon) {
  __shared__ A shared[32];
  forward_long<false>(x, 0, 0, gamma, beta, y, means, factors, width, epsilon, shared);
}
extern "C" __global__ void __launch_bounds__(LONG_BLOCK) normalize_sum_long(
    const T* x, const T* added, T* total, const A* gamma, const A* beta, T* y, A* means, A* factors, int width, A epsilon) {
  __shared__ A shared[32];
  forward_long<true>(x, added, total, gamma, beta, y, means, factors, width, epsilon, shared);
}

// The two means of each row that its gradient needs: `both` is (rows, 2).
extern "C" __global__ void __launch_bounds__(LONG_BLOCK) normalize_backward_shares(
    const T* g, const T* x, const A* gamma, const A* means, const A* factors, A* both, int width, A epsilon) {
  __shared__ A shared[64];
  const bool whole = gl::aligned(g, x) && width % N == 0;
  const long long row = blockIdx.x;
  const A mean = KIND == LAYER ? means[row] : A(0), factor = factors[row];
  A first = 0, second = 0;
  for (int column = threadIdx.x * N; column < width; column += LONG_BLOCK * N) {
    A from[N], v[N], scale[N];
    numbers(gl::load(g + row * width, column, width, whole), from);
    numbers(gl::load(x + row * width, column, width, whole), v);
    weights(gamma, column, width, 1, scale);
#pragma unroll
    for (int i = 0; i < N; i++) {
      first += from[i] * scale[i];
      second += from[i] * scale[i] * (v[i] - mean) * factor;
    }
  }
  row_sums(first, second, LONG_BLOCK, shared);
  shares(first, second, factor, width, epsilon);
  if (threadIdx.x == 0) both[2 * row] = first, both[2 * row + 1] = second;
}

// Block (i, j) takes the i-th 32 N columns and the j-th `rows_each` rows.
template <bool MORE> GL_DEVICE void backward_long(
    const T* g, const T* x, const T* more, const A* gamma, const A* means, const A* factors, const A* both, T* dx, A* d_gamma,
    A* d_beta, int apart, long long rows, int width, long long rows_each, A (*sums)[TILE_BLOCK][N + 1]) {
  const bool whole = gl::aligned(g, x, dx, more) && width % N == 0;
  const int lane = threadIdx.x % 32;
  const long long column = (blockIdx.x * 32ll + lane) * N;
  const long long start = blockIdx.y * rows_each, last = gl::min(start + rows_each, rows);
  A scale[N], sum_gamma[N], sum_beta[N];
  weights(gamma, column, width, 1, scale);
#pragma unroll
  for (int i = 0; i < N; i++) sum_gamma[i] = sum_beta[i] = 0;
  for (long long row = start + threadIdx.x / 32; row < last && column < width; row += TILE_BLOCK / 32) {
    const A mean = CENTRED ? means[row] : A(0), factor = factors[row], first = both[2 * row], second = both[2 * row + 1];
    A from[N], v[N], out[N];
    numbers(gl::load(g + row * width, column, width, whole), from);
    numbers(gl::load(x + row * width, column, width, whole), v);
    begin<MORE>(more + row * width, column, width, whole, out);
#pragma unroll
    for (int i = 0; i < N; i++) {
      const A unit = (v[i] - mean) * factor;
      out[i] += through(from[i] * scale[i], unit, factor, first, second);
      sum_gamma[i] += from[i] * (KIND == DEVIATION ? v[i] * factor : unit);
      sum_beta[i] += from[i];
    }
    if (dx) gl::store(dx + row * width, column, width, whole, gl::packed<T>(out));
  }
#pragma unroll
  for (int i = 0; i < N; i++) sums[0][threadIdx.x][i] = sum_gamma[i], sums[1][threadIdx.x][i] = sum_beta[i];
  for (int half_of = TILE_BLOCK / 2; half_of >= 32; half_of /= 2) {
    __syncthreads();
    if (threadIdx.x < half_of) {
#pragma unroll
      for (int i = 0; i < N; i++) {
        sums[0][threadIdx.x][i] += sums[0][threadIdx.x + half_of][i];
        sums[1][threadIdx.x][i] += sums[1][threadIdx.x + half_of][i];
      }
    }
  }
  if (threadIdx.x >= 32) return;
#pragma unroll
  for (int i = 0; i < N; i++) {
    if (column + i >= width) continue;
    const long long place = blockIdx.y * (long long)apart + column + i;
    if (d_gamma) d_gamma[place] = sums[0][threadIdx.x][i];
    if (d_beta) d_beta[place] = sums[1][threadIdx.x][i];
  }
}
extern "C" __global__ void __launch_bounds__(TILE_BLOCK) normalize_backward_long(
    const T* g, const T* x, const A* gamma, const A* means, const A* factors, const A* both, T* dx, A* d_gamma, A* d_beta,
    int apart, long long rows, int width, long long rows_each) {
  __shared__ A sums[2][TILE_BLOCK][N + 1];
  backward_long<false>(g, x, 0, gamma, means, factors, both, dx, d_gamma, d_beta, apart, rows, width, rows_each, sums);
}
extern "C" __global__ void __launch_bounds__(TILE_BLOCK) normalize_sum_backward_long(
    const T* g, const T* x, const T* more, const A* gamma, const A* means, const A* factors, const A* both, T* dx, A* d_gamma,
    A* d_beta, int apart, long long rows, int width, long long rows_each) {
  __shared__ A sums[2][TILE_BLOCK][N + 1];
  backward_long<true>(g, x, more, gamma, means, factors, both, dx, d_gamma, d_beta, apart, rows, width, rows_each, sums);
}
