// Matrix products with what usually follows them, in one launch: y = f(alpha op(a) op(b) + y + bias).
//
// op(a): (rows, depth), op(b): (depth, columns), y: (rows, columns), any sizes, row after row.  TRANS_A: a is held as (depth,
// rows); TRANS_B: b as (columns, depth).  From one line to the next are ld... elements, from one matrix of a batch to the next
// stride... (0: the same for all).  bias: (columns,) or NULL.  saved: like y, gets what the bias is added to, or NULL.  y is added
// only if `accumulate`.  f is ACTIVATION of activations.cuh with the parameters p0, p1, p2.  Any alignment; vectors where all
// lines allow.
// Products and sums in A; f and the rounding to T once, at the end.
// Constants: T, TRANS_A, TRANS_B, ACTIVATION; TILE: a block computes 64 x 64 or 128 x 128 elements of y (double: 64 x 64);
// TENSOR: 0 without tensor cores (any T), 1 on them (half; bfloat16 from sm_80), 2 with floats rounded to TF32 (from sm_80).  On
// them a block needs 3 stages of both tiles as dynamic shared memory: TILE * 384 bytes.
// A small y of a large depth has too few tiles for a GPU.  Then `splits` blocks share a tile: each takes `depth_each` of the depth
// (a multiple of 32) and writes its sums to partial (batch, splits, rows, columns), which gemm_finish adds in their order: the same
// bits each time.
#include "common.cuh"
#include "activations.cuh"

#define ROWS TILE
#define COLUMNS TILE
#include "tiles.cuh"

// ---------------------------------------------------------------------------------------------------------------- kernels
// Blocks in order of their tiles, then of splits, then of the batch.  Tiles go in bands of 8 down and then across, so that those
// which are computed together share what the L2 cache holds.
extern "C" __global__ void __launch_bounds__(THREADS, 2) gemm(
    const T* a, const T* b, const T* bias, T* y, T* saved, A* partial, long long rows, long long columns, long long depth,
    long long lda, long long ldb, long long ldy, long long stride_a, long long stride_b, long long stride_y,
    long long depth_each, int splits, A alpha, bool accumulate, A p0, A p1, A p2) {
  const long long down = (rows + TILE - 1) / TILE, across = (columns + TILE - 1) / TILE, tiles = down * across;
  const long long tile = blockIdx.x % tiles, rest = blockIdx.x / tiles, split = rest % splits, batch = rest / splits;
  const long long band = tile / (8 * across), inside = tile - band * 8 * across, height = gl::min(8ll, down - band * 8);
  const long long row = (band * 8 + inside % height) * TILE, column = inside / height * TILE;
  const long long k = split * depth_each;
  Lines<!TRANS_A, TILE> left(a + batch * stride_a, lda, rows, row, k, gl::aligned(a) && lda % PER == 0 && stride_a % PER == 0);
  Lines<TRANS_B, TILE> right(b + batch * stride_b, ldb, columns, column, k, gl::aligned(b) && ldb % PER == 0 && stride_b % PER == 0);
  Result r;
  r.bias = bias, r.y = y + batch * stride_y, r.saved = saved ? saved + batch * stride_y : saved;
  r.partial = partial ? partial + rest * rows * columns : partial;
  r.rows = rows, r.columns = columns, r.ld = ldy;
  r.alpha = alpha, r.p0 = p0, r.p1 = p1, r.p2 = p2, r.accumulate = accumulate;
  r.whole = gl::aligned(y, saved) && ldy % PER == 0 && stride_y % PER == 0;
  const auto out = [&](const A* sum, int i, int j) {
    if (row + i < rows) put(r, sum, row + i, column + j);
  };
  compute(left, right, gl::min(depth - k, depth_each), out);
}

// One thread for eight elements of y.
extern "C" __global__ void __launch_bounds__(256) gemm_finish(
    const A* partial, const T* bias, T* y, T* saved, long long batches, long long rows, long long columns, long long ldy,
    long long stride_y, int splits, A alpha, bool accumulate, A p0, A p1, A p2) {
  const long long groups = (columns + 7) / 8, index = (long long)blockIdx.x * 256 + threadIdx.x;
  const long long column = index % groups * 8, row = index / groups % rows, batch = index / groups / rows, size = rows * columns;
  if (batch >= batches) return;
  A sum[8];
  add_splits(partial + batch * splits * size, rows, columns, splits, row, column, sum);
  Result r;
  r.bias = bias, r.y = y + batch * stride_y, r.saved = saved ? saved + batch * stride_y : saved, r.partial = 0;
  r.rows = rows, r.columns = columns, r.ld = ldy;
  r.alpha = alpha, r.p0 = p0, r.p1 = p1, r.p2 = p2, r.accumulate = accumulate;
  r.whole = gl::aligned(y, saved) && ldy % PER == 0 && stride_y % PER == 0;
  finish(r, sum, row, column);
}
