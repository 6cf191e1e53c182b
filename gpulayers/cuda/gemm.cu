// Matrix products with what usually follows them, in one launch: y = f(alpha op(a) op(b) + added + bias).
//
// op(a): (rows, depth), op(b): (depth, columns), y: (rows, columns), any sizes, row after row.  TRANS_A: a is held as (depth,
// rows); TRANS_B: b as (columns, depth).  From one line to the next are ld... elements, from one matrix of a batch to the next
// stride... (0: the same for all).  bias: (columns,) or NULL.  saved: like y, gets what the bias is added to, or NULL.  added:
// like y, or NULL; it may be y itself.  f is ACTIVATION of activations.cuh with the parameters p0, p1, p2.  Any alignment; vectors where all
// lines allow.
// Products and sums in A; f and the rounding to T once, at the end.
// Constants: T, TRANS_A, TRANS_B, ACTIVATION; TILE: a block computes 64 x 64 or 128 x 128 elements of y (double: 64 x 64);
// TENSOR: 0 without tensor cores (any T), 1 on them (half; bfloat16 from sm_80), 2 with floats rounded to TF32 (from sm_80).  On
// them a block needs 3 stages of both tiles as dynamic shared memory: TILE * 384 bytes.  3: by warpgroups (sm_90a), see
// warpgroups.cuh; then a block computes 128 x TILE elements (64 to 256), and the operands are maps: (batch, lines, elements).
// A small y of a large depth has too few tiles for a GPU.  Then `splits` blocks share a tile: each takes `depth_each` of the depth
// (a multiple of 32) and writes its sums to partial (batch, splits, rows, columns), which gemm_finish adds in their order: the same
// bits each time.
#include "common.cuh"
#include "activations.cuh"
#if TENSOR == 3
#include "hopper.cuh"
#define ROWS 128
#else
#define ROWS TILE
#endif
#define COLUMNS TILE
#include "tiles.cuh"
#include "warpgroups.cuh"

// A block's tile of a matrix of the batch, and its part of the depth.  Blocks in order of their tiles, then of splits, then of the
// batch.  Tiles go in bands of 8 down and then across, so that those which are computed together share what the L2 cache holds.
struct Part {
  long long row, column, split, batch, k;
  GL_DEVICE Part(long long rows, long long columns, int splits, long long depth_each) {
    const long long down = (rows + ROWS - 1) / ROWS, across = (columns + COLUMNS - 1) / COLUMNS, tiles = down * across;
    const long long tile = blockIdx.x % tiles, rest = blockIdx.x / tiles;
    const long long band = tile / (8 * across), inside = tile - band * 8 * across, height = gl::min(8ll, down - band * 8);
    split = rest % splits, batch = rest / splits, k = split * depth_each;
    row = (band * 8 + inside % height) * ROWS, column = inside / height * COLUMNS;
  }
};
GL_DEVICE Result result(
    const T* bias, T* y, T* saved, long long batch, long long rows, long long columns, long long ldy, long long stride_y, A alpha,
    const T* added, A p0, A p1, A p2) {
  Result r;
  r.bias = bias, r.y = y + batch * stride_y, r.saved = saved ? saved + batch * stride_y : saved, r.partial = 0;
  r.added = added ? added + batch * stride_y : added;
  r.rows = rows, r.columns = columns, r.ld = ldy;
  r.alpha = alpha, r.p0 = p0, r.p1 = p1, r.p2 = p2;
  r.whole = gl::aligned(y, saved, added) && ldy % PER == 0 && stride_y % PER == 0;
  return r;
}
// Where the sums of a tile go.
struct Output {
  Result r;
  long long row, column;
  GL_DEVICE void operator()(const A* sum, int i, int j) const {
    if (row + i < r.rows) put(r, sum, row + i, column + j);
  }
};

// ---------------------------------------------------------------------------------------------------------------- kernels
#if TENSOR != 3
extern "C" __global__ void __launch_bounds__(THREADS, 2) gemm(
    const T* a, const T* b, const T* bias, T* y, T* saved, A* partial, long long rows, long long columns, long long depth,
    long long lda, long long ldb, long long ldy, long long stride_a, long long stride_b, long long stride_y,
    long long depth_each, int splits, A alpha, const T* added, A p0, A p1, A p2) {
  const Part at(rows, columns, splits, depth_each);
  Lines<!TRANS_A, ROWS> left(
      a + at.batch * stride_a, lda, rows, at.row, at.k, gl::aligned(a) && lda % PER == 0 && stride_a % PER == 0);
  Lines<TRANS_B, COLUMNS> right(
      b + at.batch * stride_b, ldb, columns, at.column, at.k, gl::aligned(b) && ldb % PER == 0 && stride_b % PER == 0);
  Output out = {result(bias, y, saved, at.batch, rows, columns, ldy, stride_y, alpha, added, p0, p1, p2), at.row, at.column};
  if (partial) out.r.partial = partial + (at.batch * splits + at.split) * rows * columns;
  compute(left, right, gl::min(depth - at.k, depth_each), out);
}
#else
// The same; many_a, many_b: whether the batch has as many a, and b, as y.
extern "C" __global__ void __launch_bounds__(THREADS, 1) gemm_of_warpgroups(
    const __grid_constant__ gl::TensorMap a, const __grid_constant__ gl::TensorMap b, const T* bias, T* y, T* saved, A* partial,
    long long rows, long long columns, long long depth, long long ldy, long long stride_y, bool many_a, bool many_b,
    long long depth_each, int splits, A alpha, const T* added, A p0, A p1, A p2) {
  const Part at(rows, columns, splits, depth_each);
  Mapped<!TRANS_A, ROWS> left = {&a, (int)at.row, (int)at.k, many_a ? (int)at.batch : 0};
  Mapped<TRANS_B, COLUMNS> right = {&b, (int)at.column, (int)at.k, many_b ? (int)at.batch : 0};
  Output out = {result(bias, y, saved, at.batch, rows, columns, ldy, stride_y, alpha, added, p0, p1, p2), at.row, at.column};
  if (partial) out.r.partial = partial + (at.batch * splits + at.split) * rows * columns;
  compute(left, right, gl::min(depth - at.k, depth_each), out);
}
#endif

// One thread for eight elements of y.
extern "C" __global__ void __launch_bounds__(256) gemm_finish(
    const A* partial, const T* bias, T* y, T* saved, long long batches, long long rows, long long columns, long long ldy,
    long long stride_y, int splits, A alpha, const T* added, A p0, A p1, A p2) {
  const long long groups = (columns + 7) / 8, index = (long long)blockIdx.x * 256 + threadIdx.x;
  const long long column = index % groups * 8, row = index / groups % rows, batch = index / groups / rows, size = rows * columns;
  if (batch >= batches) return;
  A sum[8];
  add_splits(partial + batch * splits * size, rows, columns, splits, row, column, sum);
  finish(result(bias, y, saved, batch, rows, columns, ldy, stride_y, alpha, added, p0, p1, p2), sum, row, column);
}
