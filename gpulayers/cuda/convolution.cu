// Convolution over up to three axes, and its two gradients, as products of matrices that are nowhere in memory ("implicit GEMM").
//
// x: (batch, sizes[3], groups * channels); kernel: (windows[3], channels, groups * filters); y and its gradient g: (batch, counts[3],
// groups * filters); C-contiguous, at any alignment, of any sizes; fewer axes than three: 1 in front.
// WHOLE_A, WHOLE_B: operand a, or b, is aligned, and what it has of one place (channels of a group, or filters) are whole chunks.
// PASS: FORWARD   y = f(x * kernel + added + bias)   rows: places of y      columns: filters   depth: (taps of the window, channels)
//       INPUT     dx = f(g and kernel + added + bias)   rows: places of x   columns: channels  depth: (taps, filters)
//       KERNEL    dk from x and g            rows: (taps, channels) columns: filters   depth: places of y
// A place of x is seen by the taps of its residue modulo the stride only.  So the places of each residue (`strides` of each axis) are
// a product of their own: no multiplication with the zeros between elements, and no two blocks write to one place.
// f: ACTIVATION of activations.cuh with the parameters p0, p1, p2; bias, and for COLUMNS <= 128 added (like the result), may be NULL; not in
// KERNEL.  saved: like y, gets what the bias is added to, or is NULL; in FORWARD for COLUMNS <= 128.
// Sums in A; f and the rounding to T once, at the end.
// Constants: T, PASS, ACTIVATION; ROWS, COLUMNS, TENSOR: see tiles.cuh.  Dynamic shared memory: tiles, then Tables.
// By warpgroups (TENSOR 3; WHOLE_A and WHOLE_B) a is gathered, and b comes by TMA: a map of the kernel, or of g for KERNEL, as (1, depth,
// groups * filters); for floats, which wgmma takes along the depth only, of the kernel's transpose, and not in KERNEL.  INPUT gathers
// its b, too.
// Where tiles are too few for a GPU, `splits` blocks share one: each takes `depth_each` (a multiple of 32) of the depth and writes its
// sums to partial (groups, splits, rows, columns), which convolution_finish adds in their order: the same bits each time.
#include "common.cuh"
#include "activations.cuh"
#include "geometry.cuh"
#if TENSOR == 3
#include "hopper.cuh"
#endif
#include "tiles.cuh"
#include "warpgroups.cuh"

// BLOCKS: of a multiprocessor, at least: they share its registers.  TILES: in shared memory, of 16 bytes.
#if TENSOR == 3
#define BLOCKS (COLUMNS == 64 && PASS != INPUT ? 2 : 1)
#define TILES (STAGES * (STAGE / 16 + 1))
#else
#define BLOCKS (!WHOLE_A || !WHOLE_B ? 1 : ROWS > COLUMNS ? 3 : 2)
#define TILES (TENSOR ? (ROWS + COLUMNS) * 12 : 0)
#endif
#define FORWARD 0
#define INPUT 1
#define KERNEL 2
#define ADDS (PASS != KERNEL && COLUMNS <= 128)  // Wider tiles have no register left for it.
#define SAVES (PASS == FORWARD && COLUMNS <= 128)

// A window on an array: tap t of place j of an axis is at its element first + step j + jump t, if that is there.
struct Window {
  long long apart, stride[3], pitch[3];  // Elements from one image, from one element of an axis, from one tap to the next.
  int size[3], count[3], taps[3], first[3], step[3], jump[3];
  int channels;  // Of a tap: the fastest part of the depth.
};
// One of its taps, and a channel of that.
struct Tap {
  int at[3], channel;
  GL_DEVICE Tap(const Window& w, long long k) {
    long long rest;
    k = gl::divided(k, w.channels, &rest);
    channel = (int)rest;
#pragma unroll
    for (int a = 2; a >= 0; a--) {
      k = gl::divided(k, gl::max(w.taps[a], 1), &rest);  // None where no tap sees these places.
      at[a] = (int)rest;
    }
  }
  GL_DEVICE void advance(const Window& w, int by) {
    channel += by;
    while (channel >= w.channels) {
      channel -= w.channels;
      if (++at[2] == w.taps[2]) {
        at[2] = 0;
        if (++at[1] == w.taps[1]) at[1] = 0, at[0]++;
      }
    }
  }
  GL_DEVICE long long offset(const Window& w) const {
    return at[0] * w.pitch[0] + at[1] * w.pitch[1] + at[2] * w.pitch[2] + channel;
  }
};
// Where a place begins, for its taps.
struct Origin {
  long long offset;
  int at[3];
  GL_DEVICE Origin(const Window& w, const Place& p) : offset(p.image * w.apart) {
#pragma unroll
    for (int a = 0; a < 3; a++) {
      at[a] = w.first[a] + w.step[a] * p.at[a];
      offset += at[a] * w.stride[a];
    }
  }
  GL_DEVICE bool sees(const Window& w, const Tap& t) const {
    return (unsigned)(at[0] + t.at[0] * w.jump[0]) < (unsigned)w.size[0] &&
           (unsigned)(at[1] + t.at[1] * w.jump[1]) < (unsigned)w.size[1] &&
           (unsigned)(at[2] + t.at[2] * w.jump[2]) < (unsigned)w.size[2];
  }
};
// What a block keeps in shared memory, behind the tiles, rather than each thread in its registers.
struct Tables {
  Window a, b;
  long long origins[(ROWS + COLUMNS) * 3];  // Of the places of the tile's rows, and columns.
  GL_DEVICE Origin* of_a() { return (Origin*)origins; }
  GL_DEVICE Origin* of_b() { return (Origin*)origins + ROWS; }
};
static_assert(sizeof(Origin) == 24 && sizeof(Tables) <= 320 + (ROWS + COLUMNS) * 24, "as in convolution.py");
GL_DEVICE void tabulate(Origin* origins, const Window& w, int count, long long first, long long rows) {
  for (int i = threadIdx.x; i < count; i += THREADS) {
    origins[i] = Origin(w, Place(w.count, gl::min(first + i, rows - 1)));
    if (first + i >= rows) origins[i].at[0] = -0x40000000;  // Nothing is seen from there.
  }
}

// An operand with its lines along the depth: a thread's places stay, its tap goes on, with the last operand of those that have it in
// common.  INSIDE: all taps of all places are there.
template <int WIDTH, bool INSIDE, bool LAST> struct AlongTaps {
  static constexpr bool ALONG_DEPTH = true, WHOLE = WHOLE_A, whole = WHOLE_A;
  typedef Share<true, WIDTH> Mine;
  const T* x;
  const Window& w;
  const Origin* origins;
  Tap& tap;
  GL_DEVICE AlongTaps(const T* x, const Window& w, const Origin* origins, Tap& tap) : x(x), w(w), origins(origins), tap(tap) {}
  GL_DEVICE bool sees(const Origin& o, const Tap& t) const { return INSIDE ? o.at[0] >= 0 : o.sees(w, t); }
  GL_DEVICE const T* chunk(int i, int place, int deep, int* left) const {
    const Origin& o = origins[Mine::line(i)];
    *left = sees(o, tap) ? deep - place : 0;
    return *left > 0 ? x + (o.offset + tap.offset(w)) : x;
  }
  GL_DEVICE void elements(int i, int place, int deep, T* to) const {
    const Origin& o = origins[Mine::line(i)];
    Tap t = tap;
#pragma unroll 1
    for (int e = 0; e < CHUNK; e++, t.advance(w, 1)) to[e] = place + e < deep && sees(o, t) ? x[o.offset + t.offset(w)] : T();
  }
  GL_DEVICE void advance() {
    if (LAST) tap.advance(w, DEPTH);
  }
};

// An operand with its lines across the depth: a thread's tap stays, its places go on.
template <int WIDTH> struct AcrossTaps {
  static constexpr bool ALONG_DEPTH = false, WHOLE = WHOLE_A, whole = WHOLE_A;
  typedef Share<false, WIDTH> Mine;
  const T* x;
  const Window& w;
  Place place;  // Of the first piece; the others are so many lines behind it.
  Tap tap;
  int wide;
  GL_DEVICE AcrossTaps(const T* x, const Window& w, long long rows, long long first, long long k)
      : x(x), w(w), place(w.count, k + Mine::line(0)), tap(w, first + Mine::place()), wide((int)gl::min((long long)WIDTH, rows - first)) {}
  GL_DEVICE Origin origin(int i) const {
    Place p = place;
    if (i) p.advance(w.count, i * Mine::APART);
    return Origin(w, p);
  }
  GL_DEVICE const T* chunk(int i, int from, int deep, int* left) const {
    const Origin o = origin(i);
    *left = Mine::line(i) < deep && o.sees(w, tap) ? wide - from : 0;
    return *left > 0 ? x + o.offset + tap.offset(w) : x;
  }
  GL_DEVICE void elements(int i, int from, int deep, T* to) const {
    const Origin o = origin(i);
    Tap t = tap;
#pragma unroll 1
    for (int e = 0; e < CHUNK; e++, t.advance(w, 1))
      to[e] = Mine::line(i) < deep && from + e < wide && o.sees(w, t) ? x[o.offset + t.offset(w)] : T();
  }
  GL_DEVICE void advance() { place.advance(w.count, DEPTH); }
};

// The window of y = x * kernel on x.
GL_DEVICE void on_x(const Geometry& g, Window* w) {
  w->channels = (int)g.channels;
  long long stride = g.channels * g.groups;
#pragma unroll
  for (int a = 2; a >= 0; a--) {
    w->size[a] = (int)g.sizes[a], w->count[a] = (int)g.counts[a], w->taps[a] = (int)g.windows[a];
    w->first[a] = -(int)g.low[a], w->step[a] = (int)g.strides[a], w->jump[a] = (int)g.dilations[a];
    w->stride[a] = stride, w->pitch[a] = stride * w->jump[a];
    stride *= g.sizes[a];
  }
  w->apart = stride;
}
// Those of places begin[a], begin[a] + strides[a], ... of x on g, and of channels on the kernel.
GL_DEVICE void on_g(const Geometry& o, const int* begin, Window* g, Window* kernel) {
  g->channels = kernel->channels = (int)o.filters;
  long long stride = o.filters * o.groups, kernel_stride = stride * o.channels;
  kernel->apart = stride;
#pragma unroll
  for (int a = 2; a >= 0; a--) {
    const int s = (int)o.strides[a], d = (int)o.dilations[a], to = begin[a] + (int)o.low[a];
    const Seen seen(to, (int)o.windows[a], s, d);
    g->taps[a] = kernel->taps[a] = seen.tap < o.windows[a] ? ((int)o.windows[a] - seen.tap - 1) / seen.period + 1 : 0;
    g->size[a] = (int)o.counts[a], g->first[a] = seen.seen, g->step[a] = 1, g->jump[a] = -seen.apart;
    g->count[a] = begin[a] < o.sizes[a] ? ((int)o.sizes[a] - begin[a] - 1) / s + 1 : 0;
    g->stride[a] = stride, g->pitch[a] = stride * g->jump[a];
    kernel->size[a] = (int)o.windows[a], kernel->first[a] = seen.tap, kernel->step[a] = 0, kernel->jump[a] = seen.period;
    kernel->count[a] = 1;
    kernel->stride[a] = kernel_stride, kernel->pitch[a] = kernel_stride * kernel->jump[a];
    stride *= o.counts[a], kernel_stride *= o.windows[a];
  }
  g->apart = stride;
}

// Where results go: rows of the tile that begins at (row, column); of INPUT from their places among all of x.
struct Output {
  Result r;
  long long row, column;
#if PASS == INPUT
  const Geometry& o;
  const Window& w;
  const int* begin;
  GL_DEVICE long long natural(long long at) const {
    const Place p(w.count, at);
    long long found = p.image;
#pragma unroll
    for (int a = 0; a < 3; a++) found = found * o.sizes[a] + begin[a] + p.at[a] * o.strides[a];
    return found;
  }
#else
  GL_DEVICE long long natural(long long at) const { return at; }
#endif
  GL_DEVICE void operator()(const A* sum, int i, int j) const {
    if (row + i < r.rows) put(r, sum, natural(row + i), column + j);
  }
};

GL_DEVICE Result result(
    const Geometry& o, const T* bias, const T* added, T* y, T* saved, A* partial, long long group, long long split, int splits, A p0,
    A p1, A p2) {
  Result r;
  const long long taps = o.windows[0] * o.windows[1] * o.windows[2];
  const long long places = o.batch * (PASS == INPUT ? o.sizes[0] * o.sizes[1] * o.sizes[2] : o.counts[0] * o.counts[1] * o.counts[2]);
  r.rows = PASS == KERNEL ? taps * o.channels : places;
  r.columns = PASS == INPUT ? o.channels : o.filters;
  r.ld = r.columns * o.groups;
  r.bias = bias ? bias + group * r.columns : bias;
  r.added = ADDS && added ? added + group * r.columns : (const T*)0;
  r.y = y + group * r.columns;
  r.saved = SAVES && saved ? saved + group * r.columns : (T*)0;
  r.alpha = 1, r.p0 = p0, r.p1 = p1, r.p2 = p2;
  r.partial = partial ? partial + (group * splits + split) * r.rows * r.columns : partial;
  r.whole = gl::aligned(y, added, saved) && r.columns % PER == 0;
  return r;
}

// ---------------------------------------------------------------------------------------------------------------- kernels
// Blocks in order of their tiles (across, then down), then of residues, of splits, of groups: those that are computed together share
// what the L2 cache holds of x, and of the kernel all.
// `map`: of b, for warpgroups.
GL_DEVICE void convolve(
    const T* a, const T* b, const void* map, const T* bias, const T* added, T* y, T* saved, A* partial, const Geometry& o,
    long long down, int residues, int splits, long long depth_each, A p0, A p1, A p2) {
  const long long across = ((PASS == INPUT ? o.channels : o.filters) + COLUMNS - 1) / COLUMNS;
  const long long tile = blockIdx.x % (down * across), rest = blockIdx.x / (down * across);
  const int residue = (int)(rest % residues), split = (int)(rest / residues % splits);
  const long long group = rest / residues / splits, row = tile / across * ROWS, column = tile % across * COLUMNS;
  const long long k = split * depth_each;
  Result r = result(o, bias, added, y, saved, partial, group, split, splits, p0, p1, p2);
  GL_DYN_SMEM(uint4, shared);
  Tables& tables = *(Tables*)(shared + TILES);
#if PASS == INPUT
  const int begin[3] = {residue / (int)(o.strides[1] * o.strides[2]), residue / (int)o.strides[2] % (int)o.strides[1],
                        residue % (int)o.strides[2]};
  if (threadIdx.x == 0) on_g(o, begin, &tables.a, &tables.b);
  __syncthreads();
  const Window &on_a = tables.a, &on_b = tables.b;
  r.rows = o.batch * on_a.count[0] * on_a.count[1] * on_a.count[2];
  if (row >= r.rows) return;  // All threads.
  const long long depth = (long long)on_a.taps[0] * on_a.taps[1] * on_a.taps[2] * o.filters;
  tabulate(tables.of_a(), on_a, ROWS, row, r.rows);
  tabulate(tables.of_b(), on_b, COLUMNS, column, o.channels);
  __syncthreads();
  Tap tap(on_a, k + Share<true, ROWS>::place());
  AlongTaps<ROWS, false, false> left(a + group * o.filters, on_a, tables.of_a(), tap);
  AlongTaps<COLUMNS, true, true> right(b + group * o.filters, on_b, tables.of_b(), tap);
  const Output out = {r, row, column, o, on_a, begin};
#else
  if (threadIdx.x == 0) on_x(o, &tables.a);
  __syncthreads();
  const long long places = o.batch * o.counts[0] * o.counts[1] * o.counts[2], taps = o.windows[0] * o.windows[1] * o.windows[2];
#if PASS == FORWARD
  const long long depth = taps * o.channels;
  tabulate(tables.of_a(), tables.a, ROWS, row, places);
  __syncthreads();
  Tap tap(tables.a, k + Share<true, ROWS>::place());
  AlongTaps<ROWS, false, true> left(a + group * o.channels, tables.a, tables.of_a(), tap);
#else
  const long long depth = places;
  AcrossTaps<ROWS> left(a + group * o.channels, tables.a, r.rows, row, k);
#endif
#if TENSOR == 3
  Mapped<TF32, COLUMNS> right = {map, (int)(group * o.filters + column), (int)k, 0};
#else
  Lines<false, COLUMNS, WHOLE_B> right(b + group * o.filters, o.filters * o.groups, o.filters, column, k, WHOLE_B);
#endif
  const Output out = {r, row, column};
#endif
  compute(left, right, gl::clip(depth - k, 0ll, depth_each), out);
}
#if TENSOR == 3
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) convolution_of_warpgroups(
    const T* a, const T* b, const __grid_constant__ gl::TensorMap map, const T* bias, const T* added, T* y, T* saved, A* partial,
    Geometry o, long long down, int residues, int splits, long long depth_each, A p0, A p1, A p2) {
  convolve(a, b, &map, bias, added, y, saved, partial, o, down, residues, splits, depth_each, p0, p1, p2);
}
#else
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) convolution(
    const T* a, const T* b, const T* bias, const T* added, T* y, T* saved, A* partial, Geometry o, long long down, int residues,
    int splits, long long depth_each, A p0, A p1, A p2) {
  convolve(a, b, 0, bias, added, y, saved, partial, o, down, residues, splits, depth_each, p0, p1, p2);
}
#endif

// One thread for eight elements of y.
extern "C" __global__ void __launch_bounds__(256) convolution_finish(
    const A* partial, const T* bias, const T* added, T* y, T* saved, Geometry o, int splits, A p0, A p1, A p2) {
  Result r = result(o, bias, added, y, saved, (A*)partial, 0, 0, splits, p0, p1, p2);
  const long long across = (r.columns + 7) / 8, index = (long long)blockIdx.x * 256 + threadIdx.x;
  const long long column = index % across * 8, row = index / across % r.rows, group = index / across / r.rows;
  if (group >= o.groups) return;
  A sum[8];
  add_splits(partial + group * splits * r.rows * r.columns, r.rows, r.columns, splits, row, column, sum);
  r = result(o, bias, added, y, saved, 0, group, 0, splits, p0, p1, p2);
  put(r, sum, row, column);
}
