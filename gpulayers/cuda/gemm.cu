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

#define THREADS (TILE * 2)
constexpr int PER = 16 / sizeof(T);  // Elements of 16 bytes.

// --------------------------------------------------------------------------------------------------------------- results
struct Result {
  const T* bias;
  T *y, *saved;
  A* partial;
  long long rows, columns, ld;
  A alpha, p0, p1, p2;
  bool accumulate, whole;
};

// Eight elements of a row of y, from their sums.
GL_DEVICE void finish(const Result& r, const A* sum, long long row, long long column) {
  const long long first = row * r.ld + column, end = row * r.ld + r.columns;
#pragma unroll
  for (int part = 0; part < 8; part += PER) {
    if (column + part >= r.columns) return;
    A z[PER];
#pragma unroll
    for (int i = 0; i < PER; i++) z[i] = r.alpha * sum[part + i];
    if (r.accumulate) {
      const gl::Vector<T> before = gl::load(r.y, first + part, end, r.whole);
#pragma unroll
      for (int i = 0; i < PER; i++) z[i] += gl::to<A>(before.at[i]);
    }
    if (r.saved) gl::store(r.saved, first + part, end, r.whole, gl::packed<T>(z));
    if (r.bias) {
      const gl::Vector<T> bias = gl::load(r.bias, column + part, r.columns, gl::aligned(r.bias));
#pragma unroll
      for (int i = 0; i < PER; i++) z[i] += gl::to<A>(bias.at[i]);
    }
#pragma unroll
    for (int i = 0; i < PER; i++) z[i] = value(z[i], r.p0, r.p1, r.p2);
    gl::store(r.y, first + part, end, r.whole, gl::packed<T>(z));
  }
}

// The same, or the sums themselves for gemm_finish.
GL_DEVICE void put(const Result& r, const A* sum, long long row, long long column) {
  if (row >= r.rows) return;
  if (!r.partial) return finish(r, sum, row, column);
  const long long first = row * r.columns + column, end = (row + 1) * r.columns;
  const bool whole = gl::aligned(r.partial) && r.columns % gl::Vector<A>::size == 0;
#pragma unroll
  for (int part = 0; part < 8; part += gl::Vector<A>::size)
    gl::store(r.partial, first + part, end, whole, gl::packed<A>(sum + part));
}

// ------------------------------------------------------------------------------------------------------- tiles of a and b
// What a block reads of an operand, tile after tile down the depth.  ALONG_DEPTH: lines in memory run along the depth.
template <bool ALONG_DEPTH> struct Operand {
  const T* x;  // Where the next tile begins.
  long long ld;
  int wide;    // How many rows of op(a), or columns of op(b), are left for the block.
  bool whole;  // Whether lines start at multiples of 16 bytes.
  GL_DEVICE Operand(const T* all, long long ld, long long size, long long stride, long long batch, long long first, long long k)
      : x(all + batch * stride + (ALONG_DEPTH ? first * ld + k : k * ld + first)), ld(ld),
        wide(gl::min((long long)TILE, size - first)), whole(gl::aligned(all) && ld % PER == 0 && stride % PER == 0) {}
  GL_DEVICE void advance(int depth) { x += ALONG_DEPTH ? (long long)depth : depth * ld; }
};

// COUNT elements of a tile that is DEPTH deep (`deep` of it before the end): its piece-th.
template <bool ALONG_DEPTH, int DEPTH, int COUNT> struct Piece {
  int line, place, left;  // left: how many elements there are from here to the end of the line.
  bool inside;            // Whether there is any.
  GL_DEVICE Piece(const Operand<ALONG_DEPTH>& o, int piece, int deep) {
    constexpr int PER_LINE = (ALONG_DEPTH ? DEPTH : TILE) / COUNT;
    line = piece / PER_LINE, place = piece % PER_LINE;
    left = (ALONG_DEPTH ? deep : o.wide) - place * COUNT;
    inside = line < (ALONG_DEPTH ? o.wide : deep) && left > 0;
  }
  GL_DEVICE const T* from(const Operand<ALONG_DEPTH>& o) const { return o.x + (line * o.ld + place * COUNT); }
};

#if TENSOR
// ---------------------------------------------------------------------------------------------------------- tensor cores
// A tile is 4 chunks of 16 bytes deep.  Three of each operand are in shared memory: two on their way while one is multiplied.
// Where a chunk lies there is turned by its line, so that eight lanes which read, or write, one after another meet all banks.
constexpr int DEPTH = 4 * PER, STAGES = 3, CHUNKS = TILE * 4;
constexpr int WARP_ROWS = TILE / 2, M = WARP_ROWS / 16;  // A warp has WARP_ROWS x 32 elements of y: M x 4 products at once.
constexpr bool TF32 = sizeof(T) == 4;

template <bool ALONG_DEPTH> GL_DEVICE int at(int line, int chunk) {
  if (ALONG_DEPTH) return line * 4 + (chunk ^ (line >> 1 & 3));
  return line * (TILE / PER) + (chunk ^ (TF32 ? (line & 3) << 1 : line & 7));
}
template <bool ALONG_DEPTH> GL_DEVICE void fetch(uint4* tile, Operand<ALONG_DEPTH>& o, int deep) {
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const Piece<ALONG_DEPTH, DEPTH, PER> p(o, threadIdx.x + i * THREADS, deep);
    uint4* to = tile + at<ALONG_DEPTH>(p.line, p.place);
    if (o.whole && (p.left >= PER || !p.inside)) {
      gl_cp_async16(to, p.inside ? p.from(o) : o.x, p.inside);
    } else {
#pragma unroll 1
      for (int e = 0; e < PER; e++) ((T*)to)[e] = p.inside && e < p.left ? p.from(o)[e] : T();
    }
  }
  o.advance(DEPTH);
}

// Fragments of one step of the depth (two chunks), as mma wants them: "Matrix fragments for mma.m16n8k16" of the PTX manual.
// `row` and `column` are the warp's first.  With its lines along the depth a tile is read as it lies, else turned on the way; of
// 32-bit elements ldmatrix turns none, so they are read one by one.
GL_DEVICE uint32 word(const uint4* tile, int lane, int first, int k, int i) {  // Constants: k, of 4; i, of 8.  first: of 32.
  const int t = lane % 4, turned = ((i >> 2 & 7) ^ t << 1) << 2;               // As `at` does, with little to compute.
  return ((const uint32*)tile)[(t + k) * TILE + first + lane / 4 + (i & ~31) + turned];
}
GL_DEVICE void fragments_a(const uint4* tile, int step, int row, int lane, uint32 (*f)[4]) {
#pragma unroll
  for (int i = 0; i < M; i++) {
    if (!TRANS_A) {
      gl_ldmatrix_x4(f[i], tile + at<true>(row + i * 16 + lane % 16, step * 2 + lane / 16));
    } else if (!TF32) {
      gl_ldmatrix_x4_trans(f[i], tile + at<false>(step * 16 + lane / 16 * 8 + lane % 8, (row + i * 16) / 8 + lane / 8 % 2));
    } else {
#pragma unroll
      for (int e = 0; e < 4; e++)
        f[i][e] = word(tile, lane, row, step * 8 + e / 2 * 4, i * 16 + e % 2 * 8);
    }
  }
}
GL_DEVICE void fragments_b(const uint4* tile, int step, int column, int lane, uint32 (*f)[2]) {
#pragma unroll
  for (int j = 0; j < 4; j += 2) {
    if (TRANS_B) {
      gl_ldmatrix_x4(f[j], tile + at<true>(column + j * 8 + lane / 16 * 8 + lane % 8, step * 2 + lane / 8 % 2));
    } else if (!TF32) {
      gl_ldmatrix_x4_trans(f[j], tile + at<false>(step * 16 + lane % 16, (column + j * 8) / 8 + lane / 16));
    } else {
#pragma unroll
      for (int e = 0; e < 4; e++)
        f[j + e / 2][e % 2] = word(tile, lane, column, step * 8 + e % 2 * 4, (j + e / 2) * 8);
    }
  }
}
GL_DEVICE void multiply(float* sum, uint32* a, uint32* b) {
#if TENSOR == 1
  gl_mma_16816(T)(sum, a, b);
#else
  gl_mma_1688_tf32(sum, a, b);
#endif
}

GL_DEVICE void compute(Operand<!TRANS_A>& a, Operand<TRANS_B>& b, long long depth, const Result& r, long long row,
                       long long column) {
  GL_DYN_SMEM(uint4, shared);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warp_row = warp % 2 * WARP_ROWS, warp_column = warp / 2 * 32;
  float sum[M][4][4];
#pragma unroll
  for (int i = 0; i < M * 16; i++) sum[i / 16][i / 4 % 4][i % 4] = 0;
  // `depth` is what is left to be fetched.
#pragma unroll
  for (int stage = 0; stage < STAGES - 1; stage++, depth -= DEPTH) {
    uint4* tiles = shared + stage * 2 * CHUNKS;
    fetch(tiles, a, (int)gl::min((long long)DEPTH, depth));
    fetch(tiles + CHUNKS, b, (int)gl::min((long long)DEPTH, depth));
    gl::cp_commit();
  }
  for (int stage = 0; depth > (1 - STAGES) * DEPTH; depth -= DEPTH, stage = stage == STAGES - 1 ? 0 : stage + 1) {
    gl::cp_wait<STAGES - 2>();
    __syncthreads();  // This tile is there, and the one before has been used by all.
    uint4* tiles = shared + (stage == 0 ? STAGES - 1 : stage - 1) * 2 * CHUNKS;
    if (depth > 0) {
      fetch(tiles, a, (int)gl::min((long long)DEPTH, depth));
      fetch(tiles + CHUNKS, b, (int)gl::min((long long)DEPTH, depth));
    }
    gl::cp_commit();
    tiles = shared + stage * 2 * CHUNKS;
#pragma unroll
    for (int step = 0; step < 2; step++) {
      uint32 fa[M][4], fb[4][2];
      fragments_a(tiles, step, warp_row, lane, fa);
      fragments_b(tiles + CHUNKS, step, warp_column, lane, fb);
      if (TF32) {
#pragma unroll
        for (int i = 0; i < M * 4; i++) fa[i / 4][i % 4] = gl::to_tf32(__uint_as_float(fa[i / 4][i % 4]));
#pragma unroll
        for (int i = 0; i < 8; i++) fb[i / 2][i % 2] = gl::to_tf32(__uint_as_float(fb[i / 2][i % 2]));
      }
#pragma unroll
      for (int i = 0; i < M; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) multiply(sum[i][j], fa[i], fb[j]);
    }
  }
  gl::cp_wait<0>();
  // Of each row four neighbours have two columns of each of four products; then each has all eight columns of one.
#pragma unroll
  for (int i = 0; i < M * 2; i++) {
    float v[4][2];
#pragma unroll
    for (int j = 0; j < 8; j++) v[j / 2][j % 2] = sum[i / 2][j / 2][i % 2 * 2 + j % 2];
#pragma unroll
    for (int bit = 1; bit < 4; bit *= 2)
#pragma unroll
      for (int j = 0; j < 8; j++) {
        if (j / 2 & bit) continue;
        float &low = v[j / 2][j % 2], &high = v[j / 2 | bit][j % 2];
        const float got = __shfl_xor_sync(0xffffffffu, lane & bit ? low : high, bit);
        if (lane & bit) low = got;
        else high = got;
      }
    put(r, v[0], row + warp_row + i / 2 * 16 + i % 2 * 8 + lane / 4, column + warp_column + lane % 4 * 8);
  }
}
#else
// ------------------------------------------------------------------------------------------------------- without tensor cores
// A thread has TILE / 16 rows of 8 elements: in groups of 4 x 4, TILE / 2 apart.  Tiles are 8 deep, in shared memory as numbers of
// A with lines of the tile's rows or columns; while one is multiplied the next is on its way in registers.
constexpr int DEPTH = 8, PITCH = TILE + 4, ROWS = TILE / 16;
struct __align__(sizeof(T) == 2 ? 8 : 16) Four { T at[4]; };

template <bool ALONG_DEPTH> GL_DEVICE void fetch(T* v, Operand<ALONG_DEPTH>& o, int deep) {
  const Piece<ALONG_DEPTH, DEPTH, 4> p(o, threadIdx.x, deep);
  if (o.whole && p.inside && p.left >= 4) {
    *(Four*)v = *(const Four*)p.from(o);
  } else {
#pragma unroll
    for (int e = 0; e < 4; e++) v[e] = p.inside && e < p.left ? p.from(o)[e] : T();
  }
  o.advance(DEPTH);
}
template <bool ALONG_DEPTH> GL_DEVICE void keep(A (*tile)[PITCH], const T* v) {
  constexpr int PER_LINE = (ALONG_DEPTH ? DEPTH : TILE) / 4;
  const int line = threadIdx.x / PER_LINE, place = threadIdx.x % PER_LINE * 4;
#pragma unroll
  for (int e = 0; e < 4; e++) (ALONG_DEPTH ? tile[place + e][line] : tile[line][place + e]) = gl::to<A>(v[e]);
}
GL_DEVICE void compute(Operand<!TRANS_A>& a, Operand<TRANS_B>& b, long long depth, const Result& r, long long row,
                       long long column) {
  __shared__ __align__(16) A tiles_a[2][DEPTH][PITCH], tiles_b[2][DEPTH][PITCH];
  const int x = threadIdx.x % (TILE / 8), y = threadIdx.x / (TILE / 8);
  A sum[ROWS][8];
  __align__(16) T next_a[4], next_b[4];
#pragma unroll
  for (int i = 0; i < ROWS * 8; i++) sum[i / 8][i % 8] = 0;
  fetch(next_a, a, (int)gl::min((long long)DEPTH, depth));
  fetch(next_b, b, (int)gl::min((long long)DEPTH, depth));
  for (int now = 0; depth > 0; now ^= 1) {
    keep<!TRANS_A>(tiles_a[now], next_a);
    keep<TRANS_B>(tiles_b[now], next_b);
    __syncthreads();  // The other tile has been used by all: each came here after it.
    depth -= DEPTH;
    if (depth > 0) {
      fetch(next_a, a, (int)gl::min((long long)DEPTH, depth));
      fetch(next_b, b, (int)gl::min((long long)DEPTH, depth));
    }
#pragma unroll 2
    for (int d = 0; d < DEPTH; d++) {
      A left[ROWS], right[8];
#pragma unroll
      for (int i = 0; i < ROWS; i++) left[i] = tiles_a[now][d][i / 4 * (TILE / 2) + y * 4 + i % 4];
#pragma unroll
      for (int j = 0; j < 8; j++) right[j] = tiles_b[now][d][j / 4 * (TILE / 2) + x * 4 + j % 4];
#pragma unroll
      for (int i = 0; i < ROWS; i++)
#pragma unroll
        for (int j = 0; j < 8; j++) sum[i][j] += left[i] * right[j];
    }
  }
  // Of two neighbours' eight columns the even one gets the first four of both, the odd one the last four.
#pragma unroll
  for (int i = 0; i < ROWS; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      A &low = sum[i][j], &high = sum[i][j + 4];
      const A got = __shfl_xor_sync(0xffffffffu, x & 1 ? low : high, 1);
      if (x & 1) low = got;
      else high = got;
    }
    put(r, sum[i], row + i / 4 * (TILE / 2) + y * 4 + i % 4, column + x % 2 * (TILE / 2) + x / 2 * 8);
  }
}
#endif

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
  Operand<!TRANS_A> left(a, lda, rows, stride_a, batch, row, k);
  Operand<TRANS_B> right(b, ldb, columns, stride_b, batch, column, k);
  Result r;
  r.bias = bias, r.y = y + batch * stride_y, r.saved = saved ? saved + batch * stride_y : saved;
  r.partial = partial ? partial + rest * rows * columns : partial;
  r.rows = rows, r.columns = columns, r.ld = ldy;
  r.alpha = alpha, r.p0 = p0, r.p1 = p1, r.p2 = p2, r.accumulate = accumulate;
  r.whole = gl::aligned(y, saved) && ldy % PER == 0 && stride_y % PER == 0;
  compute(left, right, gl::min(depth - k, depth_each), r, row, column);
}

// One thread for eight elements of y.
extern "C" __global__ void __launch_bounds__(256) gemm_finish(
    const A* partial, const T* bias, T* y, T* saved, long long batches, long long rows, long long columns, long long ldy,
    long long stride_y, int splits, A alpha, bool accumulate, A p0, A p1, A p2) {
  const long long groups = (columns + 7) / 8, index = (long long)blockIdx.x * 256 + threadIdx.x;
  const long long column = index % groups * 8, row = index / groups % rows, batch = index / groups / rows, size = rows * columns;
  if (batch >= batches) return;
  const bool whole = gl::aligned(partial) && columns % gl::Vector<A>::size == 0;
  const A* from = partial + batch * splits * size;
  A sum[8];
#pragma unroll
  for (int i = 0; i < 8; i++) sum[i] = 0;
  for (int split = 0; split < splits; split++, from += size)
#pragma unroll
    for (int part = 0; part < 8; part += gl::Vector<A>::size) {
      const gl::Vector<A> v = gl::load(from, row * columns + column + part, (row + 1) * columns, whole);
#pragma unroll
      for (int i = 0; i < gl::Vector<A>::size; i++) sum[part + i] += v.at[i];
    }
  Result r;
  r.bias = bias, r.y = y + batch * stride_y, r.saved = saved ? saved + batch * stride_y : saved, r.partial = 0;
  r.rows = rows, r.columns = columns, r.ld = ldy;
  r.alpha = alpha, r.p0 = p0, r.p1 = p1, r.p2 = p2, r.accumulate = accumulate;
  r.whole = gl::aligned(y, saved) && ldy % PER == 0 && stride_y % PER == 0;
  finish(r, sum, row, column);
}
