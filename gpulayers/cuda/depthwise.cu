// Convolutions in which each channel has filters of its own, and their gradients: read and written once, with sums in A.
//
// x: (batch, sizes[3], channels); kernel: (windows[3], filters); y and its gradient g: (batch, counts[3], filters); C-contiguous, at any
// alignment.  Filter f sees the channel f / (filters / channels).  A thread has the channels of one 16-byte vector side by side.
// Geometry has a group for each channel: `groups` channels, and `filters` of each.
// Forward ends with a bias and an activation with the parameters p0, p1, p2; `saved`, like y, gets what the bias is added to, or is NULL.
// Constants: T; ACTIVATION, of forward; SINGLE, whether each channel has one filter; TAPS: in forward the window's last size where it
// moves over that axis by STRIDE without dilation, so that neighbours' inputs stay in registers, or 0 for any window; in
// kernel_gradient how many taps of the last axis a block sums.
#include "common.cuh"
#include "activations.cuh"
#include "geometry.cuh"

#define BLOCK 256
#define STRIP 4  // Places of a thread along the last axis.

constexpr int N = gl::Vector<T>::size;

// What the filters f ... see at an element of x (its first channel at `x`).
GL_DEVICE gl::Vector<T> inputs(const T* x, const Geometry& o, int f, bool whole) {
  if (SINGLE) return gl::load(x, f, o.groups, whole);
  gl::Vector<T> v;
#pragma unroll
  for (int i = 0; i < N; i++) v.at[i] = f + i < o.groups * o.filters ? x[(unsigned)(f + i) / (unsigned)o.filters] : T();
  return v;
}
GL_DEVICE bool within(int at, long long size) { return at >= 0 && at < size; }

// turned: with the window's taps in reverse order, as for the gradient where windows move by 1.
extern "C" __global__ void __launch_bounds__(BLOCK, SINGLE && TAPS <= 3 && STRIDE == 1 ? 2 : 1) depthwise_forward(
    const T* x, const T* kernel, const T* bias, T* y, T* saved, Geometry o, bool turned, A p0, A p1, A p2) {
  const int filters = (int)(o.filters * o.groups), vectors = (filters + N - 1) / N;
  const bool whole = gl::aligned(x, kernel, y, saved) && filters % N == 0;
  const long long strips[3] = {o.counts[0], o.counts[1], (o.counts[2] + STRIP - 1) / STRIP};
  long long vector;
  const Place p(strips, gl::divided((long long)blockIdx.x * BLOCK + threadIdx.x, vectors, &vector));
  if (p.image >= o.batch) return;
  const int f = (int)vector * N, column = p.at[2] * STRIP, first = column * (int)o.strides[2] - (int)o.low[2];
  const int taps = (int)(o.windows[0] * o.windows[1] * o.windows[2]);
  A sum[STRIP][N];
#pragma unroll
  for (int i = 0; i < STRIP * N; i++) sum[i / N][i % N] = 0;
  int tap = 0;
  for (int ta = 0; ta < o.windows[0]; ta++)
    for (int tb = 0; tb < o.windows[1]; tb++, tap += (int)o.windows[2]) {
      const int za = p.at[0] * (int)o.strides[0] - (int)o.low[0] + ta * (int)o.dilations[0];
      const int zb = p.at[1] * (int)o.strides[1] - (int)o.low[1] + tb * (int)o.dilations[1];
      if (!within(za, o.sizes[0]) || !within(zb, o.sizes[1])) continue;
      const T* row = x + ((p.image * o.sizes[0] + za) * o.sizes[1] + zb) * o.sizes[2] * o.groups;
#if TAPS
      constexpr int SEEN = (STRIP - 1) * STRIDE + TAPS;
      gl::Vector<T> seen[SEEN];
#pragma unroll
      for (int e = 0; e < SEEN; e++) {
        if (within(first + e, o.sizes[2])) {
          seen[e] = inputs(row + (first + e) * o.groups, o, f, whole);
        } else {
#pragma unroll
          for (int i = 0; i < N; i++) seen[e].at[i] = T();
        }
      }
#pragma unroll
      for (int t = 0; t < TAPS; t++) {
        const long long at = turned ? taps - 1 - tap - t : tap + t;
        const gl::Vector<T> weights = gl::load(kernel, at * filters + f, (at + 1) * filters, whole);
#pragma unroll
        for (int i = 0; i < N; i++) {
          const A weight = gl::to<A>(weights.at[i]);
#pragma unroll
          for (int s = 0; s < STRIP; s++) sum[s][i] += gl::to<A>(seen[s * STRIDE + t].at[i]) * weight;
        }
      }
#else
      for (int t = 0; t < o.windows[2]; t++) {
        const long long at = turned ? taps - 1 - tap - t : tap + t;
        const gl::Vector<T> weights = gl::load(kernel, at * filters + f, (at + 1) * filters, whole);
#pragma unroll
        for (int s = 0; s < STRIP; s++) {
          const int z = first + s * (int)o.strides[2] + t * (int)o.dilations[2];
          if (!within(z, o.sizes[2])) continue;
          const gl::Vector<T> seen = inputs(row + z * o.groups, o, f, whole);
#pragma unroll
          for (int i = 0; i < N; i++) sum[s][i] += gl::to<A>(seen.at[i]) * gl::to<A>(weights.at[i]);
        }
      }
#endif
    }
  const long long to = (((p.image * o.counts[0] + p.at[0]) * o.counts[1] + p.at[1]) * o.counts[2] + column) * filters;
  gl::Vector<T> added;
  if (bias) added = gl::load(bias, f, filters, gl::aligned(bias));
#pragma unroll
  for (int s = 0; s < STRIP; s++) {
    if (column + s >= o.counts[2]) return;
    if (saved) gl::store(saved + to + s * filters, f, filters, whole, gl::packed<T>(sum[s]));
#pragma unroll
    for (int i = 0; i < N; i++) sum[s][i] = value(bias ? sum[s][i] + gl::to<A>(added.at[i]) : sum[s][i], p0, p1, p2);
    gl::store(y + to + s * filters, f, filters, whole, gl::packed<T>(sum[s]));
  }
}

// dx, each element from the windows that saw it.
extern "C" __global__ void __launch_bounds__(BLOCK) depthwise_input_gradient(const T* g, const T* kernel, T* dx, Geometry o) {
  const int channels = (int)o.groups, filters = (int)(o.filters * o.groups), vectors = (channels + N - 1) / N;
  const bool whole = gl::aligned(g, kernel, dx) && channels % N == 0;
  long long vector;
  const Place p(o.sizes, gl::divided((long long)blockIdx.x * BLOCK + threadIdx.x, vectors, &vector));
  if (p.image >= o.batch) return;
  const int c = (int)vector * N, k0 = (int)o.windows[0], k1 = (int)o.windows[1], k2 = (int)o.windows[2];
  Seen a(p.at[0] + (int)o.low[0], k0, (int)o.strides[0], (int)o.dilations[0]);
  const Seen from_b(p.at[1] + (int)o.low[1], k1, (int)o.strides[1], (int)o.dilations[1]);
  const Seen from_c(p.at[2] + (int)o.low[2], k2, (int)o.strides[2], (int)o.dilations[2]);
  A sum[N];
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] = 0;
  for (; a.tap < k0; a.tap += a.period, a.seen -= a.apart) {
    if (!within(a.seen, o.counts[0])) continue;
    for (Seen b = from_b; b.tap < k1; b.tap += b.period, b.seen -= b.apart) {
      if (!within(b.seen, o.counts[1])) continue;
      for (Seen d = from_c; d.tap < k2; d.tap += d.period, d.seen -= d.apart) {
        if (!within(d.seen, o.counts[2])) continue;
        const T* from = g + (((p.image * o.counts[0] + a.seen) * o.counts[1] + b.seen) * o.counts[2] + d.seen) * filters;
        const T* weights = kernel + (long long)((a.tap * k1 + b.tap) * k2 + d.tap) * filters;
        if (SINGLE) {
          const gl::Vector<T> v = gl::load(from, c, channels, whole), w = gl::load(weights, c, channels, whole);
#pragma unroll
          for (int i = 0; i < N; i++) sum[i] += gl::to<A>(v.at[i]) * gl::to<A>(w.at[i]);
        } else {
#pragma unroll
          for (int i = 0; i < N; i++)
            for (int m = 0; m < o.filters && c + i < channels; m++) {
              const int f = (c + i) * (int)o.filters + m;
              sum[i] += gl::to<A>(from[f]) * gl::to<A>(weights[f]);
            }
        }
      }
    }
  }
  const long long first = (((p.image * o.sizes[0] + p.at[0]) * o.sizes[1] + p.at[1]) * o.sizes[2] + p.at[2]) * channels;
  gl::store(dx, first + c, first + channels, whole, gl::packed<T>(sum));
}

// Sums over slabs of `each` places of y to partial (slabs, windows, filters), in a fixed order.  A block has `lanes` (a power of two, at
// most 32) vectors of filters side by side, BLOCK / lanes places at a time, and TAPS taps of a row of the window.
extern "C" __global__ void __launch_bounds__(BLOCK) depthwise_kernel_gradient(
    const T* x, const T* g, A* partial, Geometry o, long long each, int lanes) {
#if TAPS
  __shared__ A parts[BLOCK][N + 1];
  const int filters = (int)(o.filters * o.groups), vectors = (filters + N - 1) / N;
  const bool whole = gl::aligned(x, g) && filters % N == 0;
  const int pieces = ((int)o.windows[2] + TAPS - 1) / TAPS, chunks = (int)(o.windows[0] * o.windows[1]) * pieces;
  const int chunk = blockIdx.x % chunks, lane = threadIdx.x % lanes, f = (blockIdx.x / chunks * lanes + lane) * N;
  const int tc = chunk % pieces * TAPS, row = chunk / pieces, tb = row % (int)o.windows[1], ta = row / (int)o.windows[1];
  const long long places = o.batch * o.counts[0] * o.counts[1] * o.counts[2], last = gl::min((blockIdx.y + 1) * each, places);
  long long at = blockIdx.y * each + threadIdx.x / lanes;
  const Place step(o.counts, BLOCK / lanes);
  Place p(o.counts, at);
  A sum[TAPS][N];
#pragma unroll
  for (int i = 0; i < TAPS * N; i++) sum[i / N][i % N] = 0;
  for (; at < last && f < filters; at += BLOCK / lanes, p.add(o.counts, step)) {
    const int za = p.at[0] * (int)o.strides[0] - (int)o.low[0] + ta * (int)o.dilations[0];
    const int zb = p.at[1] * (int)o.strides[1] - (int)o.low[1] + tb * (int)o.dilations[1];
    const int first = p.at[2] * (int)o.strides[2] - (int)o.low[2] + tc * (int)o.dilations[2];
    if (!within(za, o.sizes[0]) || !within(zb, o.sizes[1])) continue;
    const gl::Vector<T> from = gl::load(g, at * filters + f, (at + 1) * filters, whole);
    const T* line = x + ((p.image * o.sizes[0] + za) * o.sizes[1] + zb) * o.sizes[2] * o.groups;
#pragma unroll
    for (int t = 0; t < TAPS; t++) {
      const int z = first + t * (int)o.dilations[2];
      if (!within(z, o.sizes[2])) continue;
      const gl::Vector<T> seen = inputs(line + z * o.groups, o, f, whole);
#pragma unroll
      for (int i = 0; i < N; i++) sum[t][i] += gl::to<A>(seen.at[i]) * gl::to<A>(from.at[i]);
    }
  }
#pragma unroll
  for (int t = 0; t < TAPS; t++) {
    __syncthreads();  // Of the tap before.
#pragma unroll
    for (int i = 0; i < N; i++) parts[threadIdx.x][i] = sum[t][i];
    for (int half_of = BLOCK / 2; half_of >= lanes; half_of /= 2) {
      __syncthreads();
      if (threadIdx.x < half_of) {
#pragma unroll
        for (int i = 0; i < N; i++) parts[threadIdx.x][i] += parts[threadIdx.x + half_of][i];
      }
    }
    if (threadIdx.x < lanes && tc + t < o.windows[2]) {
      const long long taps = o.windows[0] * o.windows[1] * o.windows[2], tap = row * o.windows[2] + tc + t;
#pragma unroll
      for (int i = 0; i < N; i++)
        if (f + i < filters) partial[(blockIdx.y * taps + tap) * filters + f + i] = parts[threadIdx.x][i];
    }
  }
#endif
}
