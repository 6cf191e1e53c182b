// Cross-entropies of labels and predictions, each in one pass each way, and their gradients for the predictions.
//
// Predictions x: logits (LOGITS), or probabilities that are divided by their sum and kept in [low, high].  C-contiguous, of T, at any
// alignment: (rows, width), or (outer, width, inner) with WHOLE = false, where row r is (r / inner, :, r % inner).  dx may be x itself.
// Loss, and its gradient g: one of T for each row; g_step is 0 where g is one number for all.
// Kept for the gradient, in A: logits: lse, the logarithm of the sum of exponentials of a row (so that no probabilities are), and for
// categorical the sum of its targets; probabilities: their sum (and for categorical that of the targets which are not clipped).
// The gradient of logits has the rounding of lse: relatively 6e-8 |lse| where A is float (the loss has not: it is formed from x - max).
// Expected: bound by memory.  Forward reads x (and targets) once, for categorical probabilities twice; backward reads them once,
// for sparse probabilities only at the label.
//
// Constants: T; L, the dtype of labels (T for targets); LOGITS; WHOLE, whether rows are read by 16 bytes, also where they begin between
// vectors; LANES, how many threads share a row: a power of two up to 32, or 0: all of the block.
#include "common.cuh"

#define BLOCK 256

typedef gl::Vector<T> Vector;
constexpr int N = WHOLE ? Vector::size : 1;
constexpr int UNROLL = sizeof(T) == 8 ? 2 : 4;  // Vectors that a thread loads before it uses the first.
constexpr int MOST = sizeof(T) == 8 ? 256 : 512;  // Threads of a block that share one row: so that registers suffice.
constexpr int THREADS = LANES ? BLOCK : MOST, GROUP = LANES ? LANES : MOST;

struct Row {
  long long row, width, start, end, first, inner;
  int step;
  bool there, whole;
  GL_DEVICE Row(long long rows, long long width, long long inner, bool whole) : width(width), inner(inner), whole(whole) {
    row = (long long)blockIdx.x * (THREADS / GROUP) + threadIdx.x / GROUP;
    there = row < rows;
    // By vectors: elements start ... end - 1 of the array.  Else elements 0 ... width - 1, `inner` apart, from `start` on.
    start = !there ? 0 : WHOLE ? row * width : row / inner * width * inner + row % inner;
    end = !there ? 0 : WHOLE ? start + width : width;
    first = (WHOLE ? start - start % N : 0) + threadIdx.x % GROUP * N;
    step = (LANES ? LANES : blockDim.x) * N;
  }
  GL_DEVICE bool lead() const { return there && threadIdx.x % GROUP == 0; }
  GL_DEVICE long long place(long long column) const { return start + column * (WHOLE ? 1 : inner); }
  GL_DEVICE bool has(long long at) const { return at < end && (!WHOLE || at >= start); }  // at: as `first`.
  GL_DEVICE long long column(long long at) const { return WHOLE ? at - start : at; }
  GL_DEVICE Vector load(const T* x, long long at) const {
    if (WHOLE) return gl::load_within<N>(x, at, start, end, whole);
    Vector v;
    v.at[0] = at < end ? x[place(at)] : T();
    return v;
  }
  GL_DEVICE void store(T* x, long long at, const A* a) const {
    if (WHOLE) gl::store_within<N>(x, at, start, end, whole, a);
    else if (at < end) x[place(at)] = gl::from<T>(a[0]);
  }
};
GL_DEVICE A total(A a, A* shared) {
  return LANES ? gl::warp_reduce<gl::Sum, LANES ? LANES : 32>(a) : gl::block_reduce<gl::Sum>(a, shared);
}
template <class K> GL_DEVICE long long as_class(K label) { return (long long)label; }
GL_DEVICE long long as_class(half label) { return (long long)gl::to<float>(label); }
GL_DEVICE long long as_class(bfloat16 label) { return (long long)gl::to<float>(label); }
GL_DEVICE A not_a_number() { return gl::infinity() - gl::infinity(); }

// ------------------------------------------------------------------------------------------------------------------ sparse
// -log(p[label]); NaN where the label is no class.  `kept` (rows,) may be NULL.
extern "C" __global__ void __launch_bounds__(LANES ? BLOCK : MOST) sparse_forward(
    const L* labels, const T* x, T* loss, A* kept, long long rows, long long width, long long inner, A low, A high) {
  __shared__ A shared[32];
  const Row my(rows, width, inner, gl::aligned(x));
  gl::Exponentials<T> all;
  A sum = 0;
  for (long long at = my.first; at < my.end; at += UNROLL * my.step) {
    Vector v[UNROLL];
#pragma unroll
    for (int u = 0; u < UNROLL; u++) v[u] = my.load(x, at + u * my.step);
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      A a[N];
#pragma unroll
      for (int i = 0; i < N; i++) {
        a[i] = gl::to<A>(v[u].at[i]);
        if (!LOGITS) sum += a[i];
        else if (!my.has(at + u * my.step + i)) a[i] = -gl::infinity();
      }
      if (LOGITS) all.template add<N>(a);
    }
  }
  if (LOGITS) all = gl::together<LANES>(all, shared);
  else sum = total(sum, shared);
  if (!my.lead()) return;
  const long long label = as_class(labels[my.row]);
  const bool known = label >= 0 && label < width;
  const A picked = known ? gl::to<A>(x[my.place(label)]) : A(0);
  A value;
  if (LOGITS) {
    const A rest = gl::log(all.sum);
    value = rest - (picked - all.max);
    if (kept) kept[my.row] = all.max + rest;
  } else {
    value = -gl::log(gl::clip(picked / sum, low, high));
    if (kept) kept[my.row] = sum;
  }
  loss[my.row] = gl::from<T>(known ? value : not_a_number());
}

extern "C" __global__ void __launch_bounds__(LANES ? BLOCK : MOST) sparse_backward(
    const T* g, const L* labels, const T* x, const A* kept, T* dx, long long rows, long long width, long long inner, int g_step,
    A low, A high) {
  const Row my(rows, width, inner, gl::aligned(x, dx));
  if (!my.there) return;
  const long long label = as_class(labels[my.row]);
  const A scale = gl::to<A>(g[my.row * g_step]), k = kept[my.row];
  A everywhere = 0, there = scale;  // What each element has, and what the label's has less.
  if (!LOGITS) {
    const A picked = label >= 0 && label < width ? gl::to<A>(x[my.place(label)]) : A(1), p = picked / k;
    const bool inside = label >= 0 && label < width && p >= low && p <= high;
    everywhere = scale * (A(inside) / k);
    there = inside ? scale / picked : A(0);
  }
  for (long long at = my.first; at < my.end; at += UNROLL * my.step) {
    Vector v[UNROLL];
#pragma unroll
    for (int u = 0; u < UNROLL; u++)
      if (LOGITS) v[u] = my.load(x, at + u * my.step);
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      A out[N];
#pragma unroll
      for (int i = 0; i < N; i++) {
        const bool hot = my.column(at + u * my.step + i) == label;
        if (LOGITS) out[i] = scale * (gl::exp_for<T>(gl::to<A>(v[u].at[i]) - k) - A(hot));
        else out[i] = hot ? everywhere - there : everywhere;
      }
      my.store(dx, at + u * my.step, out);
    }
  }
}

// ------------------------------------------------------------------------------------------------------------- categorical
// -sum(target log(p)).  `kept` (rows, 2) may be NULL.
extern "C" __global__ void __launch_bounds__(LANES ? BLOCK : MOST) categorical_forward(
    const T* target, const T* x, T* loss, A* kept, long long rows, long long width, long long inner, A low, A high) {
  __shared__ A shared[32];
  const Row my(rows, width, inner, gl::aligned(target, x));
  gl::Exponentials<T> all;
  A weight = 0, product = 0, sum = 0;  // Of targets; of targets and x - shift, or log(p); of probabilities.
  if (!LOGITS) {
    for (long long at = my.first; at < my.end; at += my.step) {
      const Vector v = my.load(x, at);
#pragma unroll
      for (int i = 0; i < N; i++) sum += gl::to<A>(v.at[i]);
    }
    sum = total(sum, shared);
  }
  for (long long at = my.first; at < my.end; at += UNROLL / 2 * my.step) {
    Vector v[UNROLL / 2], w[UNROLL / 2];
#pragma unroll
    for (int u = 0; u < UNROLL / 2; u++) {
      v[u] = my.load(x, at + u * my.step);
      w[u] = my.load(target, at + u * my.step);
    }
#pragma unroll
    for (int u = 0; u < UNROLL / 2; u++) {
      A a[N], top = -gl::infinity();
#pragma unroll
      for (int i = 0; i < N; i++) {
        a[i] = gl::to<A>(v[u].at[i]);
        if (LOGITS && !my.has(at + u * my.step + i)) a[i] = -gl::infinity();
        top = gl::max(a[i], top);
      }
      if (LOGITS) {
        const A before = all.shift();
        all.raise(top);
        product += (before - all.shift()) * weight;
      }
#pragma unroll
      for (int i = 0; i < N; i++) {
        const A t = gl::to<A>(w[u].at[i]);
        const bool has = my.has(at + u * my.step + i);
        if (LOGITS) {
          const A shifted = a[i] - all.shift();
          all.sum += gl::exp_for<T>(shifted);
          weight += t;
          if (has) product += t * shifted;
        } else if (has) {
          const A p = a[i] / sum;
          product += t * gl::log(gl::clip(p, low, high));
          if (p >= low && p <= high) weight += t;
        }
      }
    }
  }
  if (LOGITS) {
    const A before = all.shift();
    all = gl::together<LANES>(all, shared);
    product += (before - all.shift()) * weight;
  }
  weight = total(weight, shared);
  product = total(product, shared);
  if (!my.lead()) return;
  const A rest = LOGITS ? gl::log(all.sum) : A(0);
  loss[my.row] = gl::from<T>(LOGITS ? rest * weight - product : -product);
  if (kept) {
    kept[2 * my.row] = LOGITS ? all.max + rest : sum;
    kept[2 * my.row + 1] = weight;
  }
}

extern "C" __global__ void __launch_bounds__(LANES ? BLOCK : MOST) categorical_backward(
    const T* g, const T* target, const T* x, const A* kept, T* dx, long long rows, long long width, long long inner, int g_step,
    A low, A high) {
  const Row my(rows, width, inner, gl::aligned(target, x, dx));
  if (!my.there) return;
  const A scale = gl::to<A>(g[my.row * g_step]), k = kept[2 * my.row], weight = kept[2 * my.row + 1];
  for (long long at = my.first; at < my.end; at += UNROLL / 2 * my.step) {
    Vector v[UNROLL / 2], w[UNROLL / 2];
#pragma unroll
    for (int u = 0; u < UNROLL / 2; u++) {
      v[u] = my.load(x, at + u * my.step);
      w[u] = my.load(target, at + u * my.step);
    }
#pragma unroll
    for (int u = 0; u < UNROLL / 2; u++) {
      A out[N];
#pragma unroll
      for (int i = 0; i < N; i++) {
        const A a = gl::to<A>(v[u].at[i]), t = gl::to<A>(w[u].at[i]);
        if (LOGITS) {
          out[i] = scale * (gl::exp_for<T>(a - k) * weight - t);
        } else {
          const A p = a / k;
          out[i] = scale * (weight / k - (p >= low && p <= high && t != 0 ? t / a : A(0)));
        }
      }
      my.store(dx, at + u * my.step, out);
    }
  }
}

// ------------------------------------------------------------------------------------------------------------------ binary
// -(target log(p) + (1 - target) log(1 - p)), elementwise; `count` elements.
GL_DEVICE A binary_value(A t, A x, A low, A high) {
  if (LOGITS) return (x <= 0 ? A(0) : x) - x * t + gl::log1p(gl::exp_for<T>(-gl::abs(x)));
  const A p = gl::clip(x, low, high);
  return -(t * gl::log(p) + (1 - t) * gl::log(1 - p));
}
GL_DEVICE A binary_slope(A t, A x, A low, A high) {
  if (LOGITS) {
    const A e = gl::exp_for<T>(-gl::abs(x));
    return (x >= 0 ? A(1) : e) / (1 + e) - t;
  }
  return x >= low && x <= high ? (x - t) / (x * (1 - x)) : A(0);
}

extern "C" __global__ void __launch_bounds__(BLOCK) binary_forward(
    const T* target, const T* x, T* loss, long long count, A low, A high) {
  constexpr int M = Vector::size;
  const bool whole = gl::aligned(target, x, loss);
  const long long first = ((long long)blockIdx.x * BLOCK * 2 + threadIdx.x) * M;
  Vector v[2], w[2];
#pragma unroll
  for (int u = 0; u < 2; u++) {
    v[u] = gl::load(x, first + u * (BLOCK * M), count, whole);
    w[u] = gl::load(target, first + u * (BLOCK * M), count, whole);
  }
#pragma unroll
  for (int u = 0; u < 2; u++) {
    A out[M];
#pragma unroll
    for (int i = 0; i < M; i++) out[i] = binary_value(gl::to<A>(w[u].at[i]), gl::to<A>(v[u].at[i]), low, high);
    gl::store(loss, first + u * (BLOCK * M), count, whole, gl::packed<T>(out));
  }
}

extern "C" __global__ void __launch_bounds__(BLOCK) binary_backward(
    const T* g, const T* target, const T* x, T* dx, long long count, int g_step, A low, A high) {
  constexpr int M = Vector::size;
  const bool whole = gl::aligned(target, x, dx, g_step ? g : 0);
  const long long first = ((long long)blockIdx.x * BLOCK + threadIdx.x) * M;
  const Vector v = gl::load(x, first, count, whole), w = gl::load(target, first, count, whole);
  Vector from_above;
  if (g_step) from_above = gl::load(g, first, count, whole);
  A out[M];
#pragma unroll
  for (int i = 0; i < M; i++) {
    const A scale = gl::to<A>(g_step ? from_above.at[i] : g[0]);
    out[i] = scale * binary_slope(gl::to<A>(w.at[i]), gl::to<A>(v.at[i]), low, high);
  }
  gl::store(dx, first, count, whole, gl::packed<T>(out));
}
