// Softmax and its logarithm over an axis, and their gradients from y (x is not kept).
//
// Arrays are C-contiguous, of T, at any alignment, all of one shape: (rows, width) with the softmax over the last axis, or for
// COLUMNS (outer, length, inner) with the softmax over the middle one.  y may be x itself, dx may be g.  Computed in A, rounded once.
// A row with NaN or +infinity, or of -infinity only, gives NaN; else an element of -infinity gives 0 (the logarithm: -infinity).
//
// Constants: T; LOG, whether the logarithm; WHOLE, whether elements are moved by 16 bytes, also in rows that begin between vectors;
// FORM, how the axis is read:
//   ROWS     once: LANES threads (a power of two up to 32, or 0: all of the block) hold a row in registers, PER vectors each
//   LONG     twice, with `part` vectors of a row for a block; the second time backwards, as what was read last is still in the cache
//   COLUMNS  once, in PER vectors for each thread, or twice for PER = 0; neighbouring threads have neighbouring columns
// Expected: bound by memory in all forms where the tensor is large; ROWS and COLUMNS move the fewest bytes that there are.
#include "common.cuh"

#define ROWS 0
#define LONG 1
#define COLUMNS 2
#define BLOCK 256
#define LONG_BLOCK 1024  // Few rows at a time, so that the cache has them still.
#define UNROLL 4  // Vectors that a thread of LONG loads before it uses the first; half of them from each of two arrays.

typedef gl::Vector<T> Vector;
constexpr int N = WHOLE ? Vector::size : 1;

// The gradient at one element, and what is summed over its axis first.
GL_DEVICE A summand(A g, A y) { return LOG ? g : g * y; }
GL_DEVICE A gradient(A g, A y, A total) { return LOG ? g - gl::exp_for<T>(y) * total : (g - total) * y; }
GL_DEVICE A result(A x, A max, A scale) { return LOG ? x - max - scale : gl::exp_for<T>(x - max) * scale; }
GL_DEVICE A scale_of(A sum) { return LOG ? gl::log_for<T>(sum) : 1 / sum; }

// The N numbers of a vector; those out of [start, end) are `outside`.
GL_DEVICE void numbers(const Vector& v, long long first, long long start, long long end, A outside, A* a) {
  const int skip = (int)gl::min(gl::max(start - first, 0ll), (long long)N), stop = (int)gl::min(end - first, (long long)N);
#pragma unroll
  for (int i = 0; i < N; i++) a[i] = i >= skip && i < stop ? gl::to<A>(v.at[i]) : outside;
}

#if FORM == ROWS
constexpr int THREADS = LANES ? BLOCK : 1024, GROUP = LANES ? LANES : 1024;
constexpr int MOST = LANES ? BLOCK : sizeof(T) == 8 ? 512 : 1024, MOST_OF_TWO = LANES ? BLOCK : 512;  // So that registers suffice.

struct Row {  // Where this thread's part of its row lies.
  long long start, end, first;
  int step;
  GL_DEVICE Row(long long rows, int width) {
    const long long row = (long long)blockIdx.x * (THREADS / GROUP) + threadIdx.x / GROUP;
    start = row < rows ? row * width : 0;
    end = row < rows ? start + width : 0;
    first = start - start % N + threadIdx.x % GROUP * N;
    step = (LANES ? LANES : blockDim.x) * N;
  }
  GL_DEVICE Vector load(const T* x, int k, bool whole) const {
    return gl::load_within<N>(x, first + (long long)k * step, start, end, whole);
  }
  GL_DEVICE void store(T* y, int k, bool whole, const A* a) const {
    gl::store_within<N>(y, first + (long long)k * step, start, end, whole, a);
  }
};
template <class Reduction> GL_DEVICE A together(A a, A* shared) {
  return LANES ? gl::warp_reduce<Reduction, LANES ? LANES : 32>(a) : gl::block_reduce<Reduction>(a, shared);
}

extern "C" __global__ void __launch_bounds__(MOST) softmax_forward(
    const T* x, T* y, long long rows, int width) {
  __shared__ A shared[32];
  const Row row(rows, width);
  const bool whole = gl::aligned(x, y);
  Vector v[PER];
  A a[PER][N], max = -gl::infinity(), sum = 0;
#pragma unroll
  for (int k = 0; k < PER; k++) v[k] = row.load(x, k, whole);
#pragma unroll
  for (int k = 0; k < PER; k++) {
    numbers(v[k], row.first + (long long)k * row.step, row.start, row.end, -gl::infinity(), a[k]);
#pragma unroll
    for (int i = 0; i < N; i++) max = gl::max(a[k][i], max);  // NaN will show in the sum.
  }
  max = together<gl::Max>(max, shared);
#pragma unroll
  for (int k = 0; k < PER; k++) {
#pragma unroll
    for (int i = 0; i < N; i++) {
      const A shifted = a[k][i] - max, e = gl::exp_for<T>(shifted);
      a[k][i] = LOG ? shifted : e;
      sum += e;
    }
  }
  const A scale = scale_of(together<gl::Sum>(sum, shared));
#pragma unroll
  for (int k = 0; k < PER; k++) {
#pragma unroll
    for (int i = 0; i < N; i++) a[k][i] = LOG ? a[k][i] - scale : a[k][i] * scale;
    row.store(y, k, whole, a[k]);
  }
}

extern "C" __global__ void __launch_bounds__(MOST_OF_TWO) softmax_backward(
    const T* g, const T* y, T* dx, long long rows, int width) {
  __shared__ A shared[32];
  const Row row(rows, width);
  const bool whole = gl::aligned(g, y, dx);
  Vector v[PER], w[PER];
  A total = 0;
#pragma unroll
  for (int k = 0; k < PER; k++) {
    v[k] = row.load(g, k, whole);
    w[k] = row.load(y, k, whole);
  }
#pragma unroll
  for (int k = 0; k < PER; k++) {
#pragma unroll
    for (int i = 0; i < N; i++) total += summand(gl::to<A>(v[k].at[i]), gl::to<A>(w[k].at[i]));  // Outside: zeros.
  }
  total = together<gl::Sum>(total, shared);
#pragma unroll
  for (int k = 0; k < PER; k++) {
    A out[N];
#pragma unroll
    for (int i = 0; i < N; i++) out[i] = gradient(gl::to<A>(v[k].at[i]), gl::to<A>(w[k].at[i]), total);
    row.store(dx, k, whole, out);
  }
}

#elif FORM == LONG
template <int VECTORS> struct Part {  // Of row blockIdx.x, the part blockIdx.y of `each` vectors.
  long long start, end, first, rounds;
  GL_DEVICE Part(long long width, long long each) {
    const long long row = blockIdx.x * width, base = row - row % N + blockIdx.y * each * N;
    start = gl::max(row, base);
    end = gl::min(row + width, base + each * N);
    first = base + threadIdx.x * N;
    rounds = end > base ? (end - base + ROUND - 1) / ROUND : 0;
  }
  static constexpr int ROUND = LONG_BLOCK * VECTORS * N;
  GL_DEVICE long long place(long long round, int u) const { return first + round * ROUND + u * (LONG_BLOCK * N); }
};

// One launch with partial = NULL and each part a row; or, for rows that are few, two: one with y = NULL writes (max, sum) of each part
// to `partial` (rows, parts, 2), and one with both puts them together and writes y.
extern "C" __global__ void __launch_bounds__(LONG_BLOCK) long_softmax_forward(
    const T* x, T* y, A* partial, long long width, long long each) {
  __shared__ A shared[32];
  const Part<UNROLL> part(width, each);
  const bool whole = gl::aligned(x, y);
  gl::Exponentials<T> all;
  if (!partial || !y) {
    for (long long round = 0; round < part.rounds; round++) {
      Vector v[UNROLL];
#pragma unroll
      for (int u = 0; u < UNROLL; u++) v[u] = gl::load_within<N>(x, part.place(round, u), part.start, part.end, whole);
#pragma unroll
      for (int u = 0; u < UNROLL; u++) {
        A a[N];
        numbers(v[u], part.place(round, u), part.start, part.end, -gl::infinity(), a);
        all.template add<N>(a);
      }
    }
  } else {
    for (int i = threadIdx.x; i < (int)gridDim.y; i += LONG_BLOCK) {
      const A* other = partial + ((long long)blockIdx.x * gridDim.y + i) * 2;
      all.raise(other[0]);
      all.sum += other[1] * gl::exp_for<T>(other[0] - all.shift());
    }
  }
  all = gl::together<0>(all, shared);
  if (!y) {
    A* mine = partial + ((long long)blockIdx.x * gridDim.y + blockIdx.y) * 2;
    if (threadIdx.x == 0) mine[0] = all.max, mine[1] = all.sum;
    return;  // All threads.
  }
  const A scale = scale_of(all.sum);
  for (long long round = part.rounds; round--;) {
    Vector v[UNROLL];
#pragma unroll
    for (int u = 0; u < UNROLL; u++) v[u] = gl::load_within<N>(x, part.place(round, u), part.start, part.end, whole);
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      A out[N];
#pragma unroll
      for (int i = 0; i < N; i++) out[i] = result(gl::to<A>(v[u].at[i]), all.max, scale);
      gl::store_within<N>(y, part.place(round, u), part.start, part.end, whole, out);
    }
  }
}

// In the same way; `partial` (rows, parts) has sums.
extern "C" __global__ void __launch_bounds__(LONG_BLOCK) long_softmax_backward(
    const T* g, const T* y, T* dx, A* partial, long long width, long long each) {
  __shared__ A shared[32];
  const Part<UNROLL / 2> part(width, each);
  const bool whole = gl::aligned(g, y, dx);
  A total = 0;
  if (!partial || !dx) {
    for (long long round = 0; round < part.rounds; round++) {
      Vector v[UNROLL / 2], w[UNROLL / 2];
#pragma unroll
      for (int u = 0; u < UNROLL / 2; u++) {
        v[u] = gl::load_within<N>(g, part.place(round, u), part.start, part.end, whole);
        if (!LOG) w[u] = gl::load_within<N>(y, part.place(round, u), part.start, part.end, whole);
      }
#pragma unroll
      for (int u = 0; u < UNROLL / 2; u++) {
#pragma unroll
        for (int i = 0; i < N; i++) total += summand(gl::to<A>(v[u].at[i]), LOG ? A(0) : gl::to<A>(w[u].at[i]));
      }
    }
  } else {
    for (int i = threadIdx.x; i < (int)gridDim.y; i += LONG_BLOCK) total += partial[(long long)blockIdx.x * gridDim.y + i];
  }
  total = gl::block_sum(total, shared);
  if (!dx) {
    if (threadIdx.x == 0) partial[(long long)blockIdx.x * gridDim.y + blockIdx.y] = total;
    return;  // All threads.
  }
  for (long long round = part.rounds; round--;) {
    Vector v[UNROLL / 2], w[UNROLL / 2];
#pragma unroll
    for (int u = 0; u < UNROLL / 2; u++) {
      v[u] = gl::load_within<N>(g, part.place(round, u), part.start, part.end, whole);
      w[u] = gl::load_within<N>(y, part.place(round, u), part.start, part.end, whole);
    }
#pragma unroll
    for (int u = 0; u < UNROLL / 2; u++) {
      A out[N];
#pragma unroll
      for (int i = 0; i < N; i++) out[i] = gradient(gl::to<A>(v[u].at[i]), gl::to<A>(w[u].at[i]), total);
      gl::store_within<N>(dx, part.place(round, u), part.start, part.end, whole, out);
    }
  }
}

#else
// A block has `lanes` threads side by side, each with N neighbouring columns, and BLOCK / lanes along the axis (powers of two).
struct Columns {
  long long base, inner, length;  // Of this thread's columns: its first element.
  int lane, part, along;
  bool there;
  GL_DEVICE Columns(long long columns, long long length, long long inner, int lanes)
      : inner(inner), length(length), lane(threadIdx.x % lanes), part(threadIdx.x / lanes), along(BLOCK / lanes) {
    const long long column = ((long long)blockIdx.x * lanes + lane) * N;
    there = column < columns;
    base = there ? column / inner * length * inner + column % inner : 0;
  }
  GL_DEVICE bool has(long long k) const { return there && part + k * along < length; }
  GL_DEVICE long long place(long long k) const { return base + (part + k * along) * inner; }
  GL_DEVICE Vector load(const T* x, long long k, bool whole) const {
    return gl::load_within<N>(x, place(k), has(k) ? place(k) : 0, has(k) ? place(k) + N : 0, whole);
  }
  GL_DEVICE void store(T* y, long long k, bool whole, const A* a) const {
    if (has(k)) gl::store_within<N>(y, place(k), place(k), place(k) + N, whole, a);
  }
  GL_DEVICE long long count() const { return PER ? PER : (length + along - 1) / along; }
};
// The N sums or maxima of all threads along the axis, in each of them.
template <class Reduction> GL_DEVICE void together(A* a, A (*shared)[BLOCK], int lanes) {
  if (lanes == BLOCK) return;
#pragma unroll
  for (int i = 0; i < N; i++) shared[i][threadIdx.x] = a[i];
  for (int half_of = BLOCK / 2; half_of >= lanes; half_of /= 2) {
    __syncthreads();
    if (threadIdx.x < half_of) {
#pragma unroll
      for (int i = 0; i < N; i++)
        shared[i][threadIdx.x] = Reduction::of(shared[i][threadIdx.x], shared[i][threadIdx.x + half_of]);
    }
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < N; i++) a[i] = shared[i][threadIdx.x % lanes];
  __syncthreads();
}

extern "C" __global__ void __launch_bounds__(BLOCK) column_softmax_forward(
    const T* x, T* y, long long columns, long long length, long long inner, int lanes) {
  __shared__ A shared[N][BLOCK];
  const Columns my(columns, length, inner, lanes);
  const bool whole = gl::aligned(x, y);
  A max[N], sum[N];
#if PER
  Vector v[PER];
#pragma unroll
  for (int k = 0; k < PER; k++) v[k] = my.load(x, k, whole);
#pragma unroll
  for (int i = 0; i < N; i++) {
    max[i] = -gl::infinity();
#pragma unroll
    for (int k = 0; k < PER; k++)
      if (my.has(k)) max[i] = gl::max(gl::to<A>(v[k].at[i]), max[i]);
  }
  together<gl::Max>(max, shared, lanes);
#pragma unroll
  for (int i = 0; i < N; i++) {
    sum[i] = 0;
#pragma unroll
    for (int k = 0; k < PER; k++)
      if (my.has(k)) sum[i] += gl::exp_for<T>(gl::to<A>(v[k].at[i]) - max[i]);
  }
#else
  gl::Exponentials<T> each[N];
  for (long long k = 0; my.has(k); k++) {
    const Vector v = my.load(x, k, whole);
#pragma unroll
    for (int i = 0; i < N; i++) {
      const A a = gl::to<A>(v.at[i]);
      each[i].template add<1>(&a);
    }
  }
#pragma unroll
  for (int i = 0; i < N; i++) max[i] = each[i].max;
  together<gl::Max>(max, shared, lanes);
#pragma unroll
  for (int i = 0; i < N; i++) {
    gl::Exponentials<T> all;
    all.max = max[i];
    sum[i] = each[i].sum * gl::exp_for<T>(each[i].max - all.shift());
  }
#endif
  together<gl::Sum>(sum, shared, lanes);
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] = scale_of(sum[i]);
#if PER
#pragma unroll
#endif
  for (long long k = my.count(); k--;) {
#if PER
    const Vector w = v[k];
#else
    const Vector w = my.load(x, k, whole);
#endif
    A out[N];
#pragma unroll
    for (int i = 0; i < N; i++) out[i] = result(gl::to<A>(w.at[i]), max[i], sum[i]);
    my.store(y, k, whole, out);
  }
}

extern "C" __global__ void __launch_bounds__(BLOCK) column_softmax_backward(
    const T* g, const T* y, T* dx, long long columns, long long length, long long inner, int lanes) {
  __shared__ A shared[N][BLOCK];
  const Columns my(columns, length, inner, lanes);
  const bool whole = gl::aligned(g, y, dx);
  A total[N];
#pragma unroll
  for (int i = 0; i < N; i++) total[i] = 0;
#if PER
  Vector v[PER], w[PER];
#pragma unroll
  for (int k = 0; k < PER; k++) {
    v[k] = my.load(g, k, whole);
    w[k] = my.load(y, k, whole);
  }
#pragma unroll
#endif
  for (long long k = 0; k < my.count(); k++) {
#if PER
    const Vector a = v[k], b = w[k];
#else
    const Vector a = my.load(g, k, whole), b = my.load(y, k, whole);
#endif
#pragma unroll
    for (int i = 0; i < N; i++) total[i] += summand(gl::to<A>(a.at[i]), gl::to<A>(b.at[i]));  // Outside: zeros.
  }
  together<gl::Sum>(total, shared, lanes);
#if PER
#pragma unroll
#endif
  for (long long k = my.count(); k--;) {
#if PER
    const Vector a = v[k], b = w[k];
#else
    const Vector a = my.load(g, k, whole), b = my.load(y, k, whole);
#endif
    A out[N];
#pragma unroll
    for (int i = 0; i < N; i++) out[i] = gradient(gl::to<A>(a.at[i]), gl::to<A>(b.at[i]), total[i]);
    my.store(dx, k, whole, out);
  }
}
#endif
