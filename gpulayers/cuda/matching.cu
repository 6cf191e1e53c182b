// Whether predictions are right, as 1 or 0 of R: one pass over them.
//
// scores: (rows, width) of T, C-contiguous, at any alignment; classes: (rows,) of K, targets: as scores, of K.  WIDE: a block takes
// a row, else a warp does.  Of several highest the first counts; NaN is higher than all numbers for highest_is and highest_alike
// (as for NumPy's argmax), and not above any for among_highest.
#include "common.cuh"

#define BLOCK 256

template <class U> struct Compared { typedef float type; static constexpr bool whole = sizeof(U) < 4; };  // Small integers.
template <> struct Compared<half> { typedef float type; static constexpr bool whole = false; };
template <> struct Compared<bfloat16> { typedef float type; static constexpr bool whole = false; };
template <> struct Compared<float> { typedef float type; static constexpr bool whole = false; };
template <> struct Compared<double> { typedef double type; static constexpr bool whole = false; };
template <> struct Compared<int> { typedef double type; static constexpr bool whole = true; };
template <> struct Compared<uint32> { typedef double type; static constexpr bool whole = true; };
template <> struct Compared<long long> { typedef double type; static constexpr bool whole = true; };
template <> struct Compared<uint64> { typedef double type; static constexpr bool whole = true; };

GL_DEVICE R result(bool right) { return gl::from<R>(right ? 1.0f : 0.0f); }

// Whether the number a at place i goes before b at j.
template <class C> GL_DEVICE bool higher(C a, int i, C b, int j) {
  if (a != a) return b == b || i < j;
  return b == b && (a > b || (a == b && i < j));
}

// The place of the highest of a row, for every thread of it.  All threads of the block come here.
template <class U> GL_DEVICE int highest(const U* row, int width, int thread, int threads, bool whole) {
  typedef typename Compared<U>::type C;
  constexpr int N = gl::Vector<U>::size;
  C best = -gl::infinity();
  int place = 0x7fffffff;
  for (int column = thread * N; column < width; column += threads * N) {
    const gl::Vector<U> v = gl::load(row, column, width, whole);
#pragma unroll
    for (int i = 0; i < N; i++) {
      const C x = gl::to<C>(v.at[i]);
      if (column + i < width && higher(x, column + i, best, place)) best = x, place = column + i;
    }
  }
#pragma unroll
  for (int lane = 16; lane; lane >>= 1) {
    const C other = __shfl_xor_sync(0xffffffffu, best, lane);
    const int there = __shfl_xor_sync(0xffffffffu, place, lane);
    if (higher(other, there, best, place)) best = other, place = there;
  }
#if WIDE
  __shared__ C bests[BLOCK / 32];
  __shared__ int places[BLOCK / 32];
  if (threadIdx.x % 32 == 0) bests[threadIdx.x / 32] = best, places[threadIdx.x / 32] = place;
  __syncthreads();
#pragma unroll
  for (int i = 0; i < BLOCK / 32; i++)
    if (higher(bests[i], places[i], best, place)) best = bests[i], place = places[i];
  __syncthreads();
#endif
  return place;
}

GL_DEVICE long long row_of_thread() {
  return WIDE ? (long long)blockIdx.x : (long long)blockIdx.x * (BLOCK / 32) + threadIdx.x / 32;
}
GL_DEVICE int thread_of_row() { return WIDE ? threadIdx.x : threadIdx.x % 32; }
constexpr int THREADS = WIDE ? BLOCK : 32;  // Of a row.

extern "C" __global__ void __launch_bounds__(BLOCK) highest_is(
    const T* scores, const K* classes, R* y, long long rows, int width) {
  const long long row = row_of_thread();
  if (row >= rows) return;  // All threads that would meet in it.
  const int place = highest(scores + row * width, width, thread_of_row(), THREADS, gl::aligned(scores + row * width));
  if (thread_of_row()) return;
  typedef typename Compared<K>::type C;
  const C own = gl::to<C>(classes[row]), found = Compared<K>::whole ? C(place) : gl::to<C>(gl::from<K>(C(place)));
  y[row] = result(own == found);
}

extern "C" __global__ void __launch_bounds__(BLOCK) highest_alike(
    const T* scores, const K* targets, R* y, long long rows, int width) {
  const long long row = row_of_thread();
  if (row >= rows) return;
  const int a = highest(scores + row * width, width, thread_of_row(), THREADS, gl::aligned(scores + row * width));
  const int b = highest(targets + row * width, width, thread_of_row(), THREADS, gl::aligned(targets + row * width));
  if (thread_of_row() == 0) y[row] = result(a == b);
}

extern "C" __global__ void __launch_bounds__(BLOCK) among_highest(
    const T* scores, const K* classes, R* y, long long rows, int width, int k) {
  constexpr int N = gl::Vector<T>::size;
  const long long row = row_of_thread();
  if (row >= rows) return;
  const T* x = scores + row * width;
  const bool whole = gl::aligned(x);
  typedef typename Compared<K>::type C;
  const long long place = Compared<K>::whole ? (long long)gl::to<double>(classes[row]) : (long long)gl::to<C>(classes[row]);
  const bool known = (uint64)place < (uint64)width;
  A own = known ? gl::to<A>(x[place]) : A(0);
  if (own != own) own = -gl::infinity();
  int above = 0;
  for (int column = thread_of_row() * N; column < width; column += THREADS * N) {
    const gl::Vector<T> v = gl::load(x, column, width, whole);
#pragma unroll
    for (int i = 0; i < N; i++) above += column + i < width && gl::to<A>(v.at[i]) > own;
  }
#if WIDE
  __shared__ int shared[32];
  above = gl::block_sum(above, shared);
#else
  above = gl::warp_sum(above);
#endif
  if (thread_of_row() == 0) y[row] = result(known && above < k);
}

extern "C" __global__ void __launch_bounds__(BLOCK) equal_in_dtype(const T* y_pred, const K* y_true, R* y, long long count) {
  typedef typename Compared<K>::type C;
  const long long i = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (i < count) y[i] = result(gl::to<A>(gl::from<T>((A)gl::to<C>(y_true[i]))) == gl::to<A>(y_pred[i]));
}

extern "C" __global__ void __launch_bounds__(BLOCK) on_its_side(
    const T* y_pred, const K* y_true, R* y, long long count, A threshold) {
  typedef typename Compared<K>::type C;
  const long long i = (long long)blockIdx.x * BLOCK + threadIdx.x;
  if (i < count) y[i] = result(C(gl::to<A>(y_pred[i]) > threshold) == gl::to<C>(y_true[i]));
}
