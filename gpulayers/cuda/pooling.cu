// Pooling: the largest or the mean value that windows see of x as they slide, and the gradients of both.
//
// x: (batch, sizes[3], channels); y and its gradient g: (batch, counts[3], channels); C-contiguous, at any alignment; no dilation, one
// group.  The margins are less than all values for the maximum (NaN wins; the first of equal values), and do not count for the mean.
// A thread has the channels of one 16-byte vector at one place.  Means in A, rounded once.
// positions, like y: which element of the window was the largest, as P: 8 bits for windows of up to 256; NULL if no gradient is wanted.
// Gradients are gathered: each element of x asks the windows that saw it, so that no two threads write to one place.
// Constants: T; P: uint8, uint16 or uint32.
#include "common.cuh"
#include "geometry.cuh"

#define BLOCK 256

constexpr int N = gl::Vector<T>::size;
struct __align__(N * sizeof(P) < 16 ? N * sizeof(P) : 16) Positions { P at[N]; };

// The part of a window that is on an axis.
struct Part {
  int begin, end, first;  // first: where tap 0 is.
  GL_DEVICE Part(const Geometry& o, int a, int place) : first(place * (int)o.strides[a] - (int)o.low[a]) {
    begin = gl::max(-first, 0), end = gl::min((int)o.windows[a], (int)o.sizes[a] - first);
  }
  GL_DEVICE int count() const { return gl::max(end - begin, 1); }
};
// This thread's place among so many along each axis, and its channels.
struct Mine {
  long long vector;
  Place p;
  int channel;
  GL_DEVICE Mine(const Geometry& o, const long long* counts)
      : p(counts, gl::divided((long long)blockIdx.x * BLOCK + threadIdx.x, (o.channels + N - 1) / N, &vector)), channel((int)vector * N) {}
};
GL_DEVICE long long offset(const Geometry& o, const long long* counts, long long image, int a, int b, int c) {
  return (((image * counts[0] + a) * counts[1] + b) * counts[2] + c) * o.channels;
}

extern "C" __global__ void __launch_bounds__(BLOCK) max_pooling_forward(const T* x, T* y, P* positions, Geometry o) {
  const Mine mine(o, o.counts);
  if (mine.p.image >= o.batch) return;
  const bool whole = gl::aligned(x, y) && o.channels % N == 0;
  const Part a(o, 0, mine.p.at[0]), b(o, 1, mine.p.at[1]), c(o, 2, mine.p.at[2]);
  A most[N];
  Positions found;
#pragma unroll
  for (int i = 0; i < N; i++) most[i] = -gl::infinity(), found.at[i] = 0;
  for (int ta = a.begin; ta < a.end; ta++)
    for (int tb = b.begin; tb < b.end; tb++)
      for (int tc = c.begin; tc < c.end; tc++) {
        const T* from = x + offset(o, o.sizes, mine.p.image, a.first + ta, b.first + tb, c.first + tc);
        const gl::Vector<T> v = gl::load(from, mine.channel, o.channels, whole);
        const P tap = (P)((ta * (int)o.windows[1] + tb) * (int)o.windows[2] + tc);
#pragma unroll
        for (int i = 0; i < N; i++) {
          const A e = gl::to<A>(v.at[i]);
          if (e > most[i] || (e != e && most[i] == most[i])) most[i] = e, found.at[i] = tap;
        }
      }
  const long long to = offset(o, o.counts, mine.p.image, mine.p.at[0], mine.p.at[1], mine.p.at[2]);
  gl::store(y + to, mine.channel, o.channels, whole, gl::packed<T>(most));
  if (!positions) return;
  if (whole) {
    *(Positions*)(positions + to + mine.channel) = found;
  } else {
#pragma unroll
    for (int i = 0; i < N; i++)
      if (mine.channel + i < o.channels) positions[to + mine.channel + i] = found.at[i];
  }
}

extern "C" __global__ void __launch_bounds__(BLOCK) average_pooling_forward(const T* x, T* y, Geometry o) {
  const Mine mine(o, o.counts);
  if (mine.p.image >= o.batch) return;
  const bool whole = gl::aligned(x, y) && o.channels % N == 0;
  const Part a(o, 0, mine.p.at[0]), b(o, 1, mine.p.at[1]), c(o, 2, mine.p.at[2]);
  A sum[N];
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] = 0;
  for (int ta = a.begin; ta < a.end; ta++)
    for (int tb = b.begin; tb < b.end; tb++)
      for (int tc = c.begin; tc < c.end; tc++) {
        const T* from = x + offset(o, o.sizes, mine.p.image, a.first + ta, b.first + tb, c.first + tc);
        const gl::Vector<T> v = gl::load(from, mine.channel, o.channels, whole);
#pragma unroll
        for (int i = 0; i < N; i++) sum[i] += gl::to<A>(v.at[i]);
      }
  const A share = A(1) / ((A)a.count() * b.count() * c.count());
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] *= share;
  const long long to = offset(o, o.counts, mine.p.image, mine.p.at[0], mine.p.at[1], mine.p.at[2]);
  gl::store(y + to, mine.channel, o.channels, whole, gl::packed<T>(sum));
}

// Of the maximum, or of the mean if there are no positions.
extern "C" __global__ void __launch_bounds__(BLOCK) pooling_backward(const T* g, const P* positions, T* dx, Geometry o) {
  const Mine mine(o, o.sizes);
  if (mine.p.image >= o.batch) return;
  const bool whole = gl::aligned(g, dx) && o.channels % N == 0;
  const int k0 = (int)o.windows[0], k1 = (int)o.windows[1], k2 = (int)o.windows[2];
  Seen a(mine.p.at[0] + (int)o.low[0], k0, (int)o.strides[0], 1);
  const Seen from_b(mine.p.at[1] + (int)o.low[1], k1, (int)o.strides[1], 1);
  const Seen from_c(mine.p.at[2] + (int)o.low[2], k2, (int)o.strides[2], 1);
  A sum[N];
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] = 0;
  for (; a.tap < k0 && a.seen >= 0; a.tap += a.period, a.seen--) {
    if (a.seen >= o.counts[0]) continue;
    for (Seen b = from_b; b.tap < k1 && b.seen >= 0; b.tap += b.period, b.seen--) {
      if (b.seen >= o.counts[1]) continue;
      for (Seen c = from_c; c.tap < k2 && c.seen >= 0; c.tap += c.period, c.seen--) {
        if (c.seen >= o.counts[2]) continue;
        const long long from = offset(o, o.counts, mine.p.image, a.seen, b.seen, c.seen);
        const gl::Vector<T> v = gl::load(g + from, mine.channel, o.channels, whole);
        if (positions) {
          const P tap = (P)((a.tap * k1 + b.tap) * k2 + c.tap);
          Positions found;
          if (whole) {
            found = *(const Positions*)(positions + from + mine.channel);
          } else {
#pragma unroll
            for (int i = 0; i < N; i++) found.at[i] = mine.channel + i < o.channels ? positions[from + mine.channel + i] : P();
          }
#pragma unroll
          for (int i = 0; i < N; i++) sum[i] += found.at[i] == tap ? gl::to<A>(v.at[i]) : A(0);
        } else {
          const Part wa(o, 0, a.seen), wb(o, 1, b.seen), wc(o, 2, c.seen);
          const A share = A(1) / ((A)wa.count() * wb.count() * wc.count());
#pragma unroll
          for (int i = 0; i < N; i++) sum[i] += gl::to<A>(v.at[i]) * share;
        }
      }
    }
  }
  const long long to = offset(o, o.sizes, mine.p.image, mine.p.at[0], mine.p.at[1], mine.p.at[2]);
  gl::store(dx + to, mine.channel, o.channels, whole, gl::packed<T>(sum));
}
