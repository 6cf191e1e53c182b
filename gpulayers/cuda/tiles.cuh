// Products of tiles: for kernels whose blocks each compute ROWS x COLUMNS sums of products over a depth, from operands that they read
// tile after tile, wherever these lie.
//
// Constants: T, A; ROWS, COLUMNS: 64 or 128; TENSOR: 0 without tensor cores (any T), 1 on them (half; bfloat16 from sm_80), 2 with
// floats rounded to TF32 (from sm_80), 3 by warpgroups (sm_90a): then `compute` is that of warpgroups.cuh.
// On tensor cores a block needs (ROWS + COLUMNS) * 192 bytes of dynamic shared memory: 3 stages.
// ACTIVATION and activations.cuh are for `finish`.
// An operand is a class with a constant ALONG_DEPTH (whether its lines in memory run along the depth, or across it) and
//   bool WHOLE (a constant)               whether all chunks of CHUNK elements that are there at all can be read at once
//   bool whole                            whether those can that have all their elements
//   const T* chunk(i, place, deep, left)  where this thread's i-th chunk begins (see Share); *left: how many elements there are, if any
//   void elements(i, place, deep, to)     its elements one by one, with zeros for those that are not there
//   void advance()                        to the next tile: DEPTH further
// where `deep` is how much of the depth is left.
#if TENSOR == 3
#define THREADS 384
#define FETCHERS 128  // Of them, the last: those that bring tiles.
#else
#define THREADS (COLUMNS * 2)
#define FETCHERS THREADS
#endif
constexpr int PER = 16 / sizeof(T);  // Elements of 16 bytes.
#if TENSOR
constexpr int CHUNK = PER, DEPTH = (TENSOR == 3 ? 8 : 4) * PER;
#else
constexpr int CHUNK = 4, DEPTH = 8;
#endif

// Which chunks of a tile, WIDTH across the depth, a thread brings: PIECES of one place in several lines.
template <bool ALONG_DEPTH, int WIDTH> struct Share {
  static constexpr int PER_LINE = (ALONG_DEPTH ? DEPTH : WIDTH) / CHUNK, PIECES = WIDTH * DEPTH / CHUNK / FETCHERS;
  static constexpr int APART = FETCHERS / PER_LINE;  // Lines from one piece to the next.
  static GL_DEVICE int thread() { return FETCHERS < THREADS ? (int)threadIdx.x % FETCHERS : (int)threadIdx.x; }
  static GL_DEVICE int line(int i) { return (thread() + i * FETCHERS) / PER_LINE; }
  static GL_DEVICE int place() { return thread() % PER_LINE * CHUNK; }
};

// A matrix, its lines `ld` elements apart; `x` and `wide` are the block's first element and what is left across the depth.
template <bool ALONG, int WIDTH, bool ALL_WHOLE = false> struct Lines {
  static constexpr bool ALONG_DEPTH = ALONG, WHOLE = ALL_WHOLE;
  typedef Share<ALONG, WIDTH> Mine;
  const T* x;
  long long ld;
  int wide;
  bool whole;
  GL_DEVICE Lines(const T* all, long long ld, long long size, long long first, long long k, bool whole)
      : x(all + (ALONG ? first * ld + k : k * ld + first)), ld(ld), wide((int)gl::min((long long)WIDTH, size - first)), whole(whole) {}
  GL_DEVICE const T* chunk(int i, int place, int deep, int* left) const {
    const int line = Mine::line(i);
    *left = line < (ALONG ? wide : deep) ? (ALONG ? deep : wide) - place : 0;
    return TENSOR && *left <= 0 ? x : x + (line * ld + place);
  }
  GL_DEVICE void elements(int i, int place, int deep, T* to) const {
    int left;
    const T* from = chunk(i, place, deep, &left);
#pragma unroll (TENSOR ? 1 : CHUNK)
    for (int e = 0; e < CHUNK; e++) to[e] = e < left ? from[e] : T();
  }
  GL_DEVICE void advance() { x += ALONG ? (long long)DEPTH : DEPTH * ld; }
};

// --------------------------------------------------------------------------------------------------------------- results
struct Result {
  const T *bias, *added;
  T *y, *saved;
  A* partial;
  long long rows, columns, ld;
  A alpha, p0, p1, p2;
  bool whole;
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
    if (r.added) {
      const gl::Vector<T> before = gl::load(r.added, first + part, end, r.whole);
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

// The same, or the sums themselves for another kernel that adds those of several blocks.
GL_DEVICE void put(const Result& r, const A* sum, long long row, long long column) {
  if (!r.partial) return finish(r, sum, row, column);
  const long long first = row * r.columns + column, end = (row + 1) * r.columns;
  const bool whole = gl::aligned(r.partial) && r.columns % gl::Vector<A>::size == 0;
#pragma unroll
  for (int part = 0; part < 8; part += gl::Vector<A>::size)
    gl::store(r.partial, first + part, end, whole, gl::packed<A>(sum + part));
}
// Adds eight sums of a row from `splits` matrices (rows, columns), in their order.
GL_DEVICE void add_splits(const A* partial, long long rows, long long columns, int splits, long long row, long long column, A* sum) {
  const bool whole = gl::aligned(partial) && columns % gl::Vector<A>::size == 0;
#pragma unroll
  for (int i = 0; i < 8; i++) sum[i] = 0;
  for (int split = 0; split < splits; split++, partial += rows * columns)
#pragma unroll
    for (int part = 0; part < 8; part += gl::Vector<A>::size) {
      const gl::Vector<A> v = gl::load(partial, row * columns + column + part, (row + 1) * columns, whole);
#pragma unroll
      for (int i = 0; i < gl::Vector<A>::size; i++) sum[part + i] += v.at[i];
    }
}

#if TENSOR
// ---------------------------------------------------------------------------------------------------------- tensor cores
// Where a chunk of 16 bytes lies in a tile is turned by its line, so that eight lanes which read, or write, one after another meet
// all banks.  For wgmma a tile is 8 chunks deep, and its lines have 8 chunks: those of more lie in panels, one behind the other.
constexpr bool TF32 = sizeof(T) == 4;
template <bool ALONG_DEPTH, int WIDTH> GL_DEVICE int at(int line, int chunk) {
  if (TENSOR == 3) return (ALONG_DEPTH ? 0 : chunk / 8 * DEPTH * 8) + line * 8 + (chunk % 8 ^ line % 8);
  if (ALONG_DEPTH) return line * 4 + (chunk ^ (line >> 1 & 3));
  return line * (WIDTH / PER) + (chunk ^ (TF32 ? (line & 3) << 1 : line & 7));
}
template <int WIDTH, class Operand> GL_DEVICE void fetch(uint4* tile, Operand& o, int deep) {
  typedef Share<Operand::ALONG_DEPTH, WIDTH> Mine;
  const int place = Mine::place();
#pragma unroll
  for (int i = 0; i < Mine::PIECES; i++) {
    uint4* to = tile + at<Operand::ALONG_DEPTH, WIDTH>(Mine::line(i), place / CHUNK);
    int left;
    const T* from = o.chunk(i, place, deep, &left);
    if (o.whole && (Operand::WHOLE || left >= CHUNK || left <= 0)) gl_cp_async16(to, from, left > 0);
    else o.elements(i, place, deep, (T*)to);
  }
  o.advance();
}

// A row's sums as products leave them: four neighbours have two columns each of four products.  Then each has all eight columns of
// one, and gives them to `out`.
template <class Out> GL_DEVICE void give_row(float (*v)[2], int lane, const Out& out, int row, int column) {
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
  out(v[0], row, column + lane % 4 * 8);
}
#endif

#if TENSOR == 1 || TENSOR == 2
// A tile is 4 chunks of 16 bytes deep.  Three of each operand are in shared memory: two on their way while one is multiplied.
constexpr int STAGES = 3, STAGE = (ROWS + COLUMNS) * 4;
constexpr int WARP_ROWS = ROWS / 2, M = WARP_ROWS / 16;  // A warp has WARP_ROWS x 32 elements of y: M x 4 products at once.

// Fragments of one step of the depth (two chunks), as mma wants them: "Matrix fragments for mma.m16n8k16" of the PTX manual.
// `first` is the warp's first row or column.  With its lines along the depth a tile is read as it lies, else turned on the way; of
// 32-bit elements ldmatrix turns none, so they are read one by one.
template <int WIDTH> GL_DEVICE uint32 word(const uint4* tile, int lane, int first, int k, int i) {  // Constants: k, of 4; i, of 8.
  const int t = lane % 4, turned = ((i >> 2 & 7) ^ t << 1) << 2;  // As `at` does, with little to compute.
  return ((const uint32*)tile)[(t + k) * WIDTH + first + lane / 4 + (i & ~31) + turned];
}
template <bool ALONG_DEPTH> GL_DEVICE void fragments_a(const uint4* tile, int step, int first, int lane, uint32 (*f)[4]) {
#pragma unroll
  for (int i = 0; i < M; i++) {
    if (ALONG_DEPTH) {
      gl_ldmatrix_x4(f[i], tile + (at<true, ROWS>(first + i * 16 + lane % 16, step * 2 + lane / 16)));
    } else if (!TF32) {
      gl_ldmatrix_x4_trans(f[i], tile + (at<false, ROWS>(step * 16 + lane / 16 * 8 + lane % 8, (first + i * 16) / 8 + lane / 8 % 2)));
    } else {
#pragma unroll
      for (int e = 0; e < 4; e++)
        f[i][e] = word<ROWS>(tile, lane, first, step * 8 + e / 2 * 4, i * 16 + e % 2 * 8);
    }
  }
}
template <bool ALONG_DEPTH> GL_DEVICE void fragments_b(const uint4* tile, int step, int first, int lane, uint32 (*f)[2]) {
#pragma unroll
  for (int j = 0; j < 4; j += 2) {
    if (ALONG_DEPTH) {
      gl_ldmatrix_x4(f[j], tile + (at<true, COLUMNS>(first + j * 8 + lane / 16 * 8 + lane % 8, step * 2 + lane / 8 % 2)));
    } else if (!TF32) {
      gl_ldmatrix_x4_trans(f[j], tile + (at<false, COLUMNS>(step * 16 + lane % 16, (first + j * 8) / 8 + lane / 16)));
    } else {
#pragma unroll
      for (int e = 0; e < 4; e++)
        f[j + e / 2][e % 2] = word<COLUMNS>(tile, lane, first, step * 8 + e % 2 * 4, (j + e / 2) * 8);
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

// The sums over `depth` to `out`, called with eight of a row, the row and the first column of these in the tile.
template <class Left, class Right, class Out> GL_DEVICE void compute(Left& a, Right& b, long long depth, const Out& out) {
  GL_DYN_SMEM(uint4, shared);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warp_row = warp % 2 * WARP_ROWS, warp_column = warp / 2 * 32;
  float sum[M][4][4];
#pragma unroll
  for (int i = 0; i < M * 16; i++) sum[i / 16][i / 4 % 4][i % 4] = 0;
  // `depth` is what is left to be fetched.
#pragma unroll
  for (int stage = 0; stage < STAGES - 1; stage++, depth -= DEPTH) {
    uint4* tiles = shared + stage * STAGE;
    fetch<ROWS>(tiles, a, (int)gl::min((long long)DEPTH, depth));
    fetch<COLUMNS>(tiles + ROWS * 4, b, (int)gl::min((long long)DEPTH, depth));
    gl::cp_commit();
  }
#pragma unroll 1
  for (int stage = 0; depth > (1 - STAGES) * DEPTH; depth -= DEPTH, stage = stage == STAGES - 1 ? 0 : stage + 1) {
    gl::cp_wait<STAGES - 2>();
    __syncthreads();  // This tile is there, and the one before has been used by all.
    uint4* tiles = shared + (stage == 0 ? STAGES - 1 : stage - 1) * STAGE;
    if (depth > 0) {
      fetch<ROWS>(tiles, a, (int)gl::min((long long)DEPTH, depth));
      fetch<COLUMNS>(tiles + ROWS * 4, b, (int)gl::min((long long)DEPTH, depth));
    }
    gl::cp_commit();
    tiles = shared + stage * STAGE;
#pragma unroll
    for (int step = 0; step < 2; step++) {
      uint32 fa[M][4], fb[4][2];
      fragments_a<Left::ALONG_DEPTH>(tiles, step, warp_row, lane, fa);
      fragments_b<Right::ALONG_DEPTH>(tiles + ROWS * 4, step, warp_column, lane, fb);
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
#pragma unroll
  for (int i = 0; i < M * 2; i++) {
    float v[4][2];
#pragma unroll
    for (int j = 0; j < 8; j++) v[j / 2][j % 2] = sum[i / 2][j / 2][i % 2 * 2 + j % 2];
    give_row(v, lane, out, warp_row + i / 2 * 16 + i % 2 * 8 + lane / 4, warp_column);
  }
}
#elif !TENSOR
// ------------------------------------------------------------------------------------------------------- without tensor cores
// A thread has ROWS / 16 rows of 8 elements, in groups of 4 x 4.  Tiles are 8 deep, in shared memory as numbers of A with lines of
// the tile's rows or columns; while one is multiplied the next is on its way in registers.
constexpr int PARTS = ROWS / 16;
struct __align__(sizeof(T) == 2 ? 8 : 16) Four { T at[4]; };

template <int WIDTH, class Operand> GL_DEVICE void fetch(Four* v, Operand& o, int deep) {
  typedef Share<Operand::ALONG_DEPTH, WIDTH> Mine;
  const int place = Mine::place();
#pragma unroll
  for (int i = 0; i < Mine::PIECES; i++) {
    int left = 0;
    const T* from = o.chunk(i, place, deep, &left);
    if (Operand::WHOLE) v[i] = left > 0 ? *(const Four*)from : Four();
    else if (o.whole && left >= CHUNK) v[i] = *(const Four*)from;
    else o.elements(i, place, deep, v[i].at);
  }
  o.advance();
}
template <int WIDTH, class Operand> GL_DEVICE void keep(A (*tile)[WIDTH + 4], const Four* v) {
  typedef Share<Operand::ALONG_DEPTH, WIDTH> Mine;
  const int place = Mine::place();
#pragma unroll
  for (int i = 0; i < Mine::PIECES; i++)
#pragma unroll
    for (int e = 0; e < CHUNK; e++)
      (Operand::ALONG_DEPTH ? tile[place + e][Mine::line(i)] : tile[Mine::line(i)][place + e]) = gl::to<A>(v[i].at[e]);
}
// The sums over `depth` to `out`, called with eight of a row, the row and the first column of these in the tile.
template <class Left, class Right, class Out> GL_DEVICE void compute(Left& a, Right& b, long long depth, const Out& out) {
  __shared__ __align__(16) A tiles_a[2][DEPTH][ROWS + 4], tiles_b[2][DEPTH][COLUMNS + 4];
  const int x = threadIdx.x % (COLUMNS / 8), y = threadIdx.x / (COLUMNS / 8);
  A sum[PARTS][8];
  Four next_a[Share<Left::ALONG_DEPTH, ROWS>::PIECES], next_b[Share<Right::ALONG_DEPTH, COLUMNS>::PIECES];
#pragma unroll
  for (int i = 0; i < PARTS * 8; i++) sum[i / 8][i % 8] = 0;
  fetch<ROWS>(next_a, a, (int)gl::min((long long)DEPTH, depth));
  fetch<COLUMNS>(next_b, b, (int)gl::min((long long)DEPTH, depth));
#pragma unroll 1
  for (int now = 0; depth > 0; now ^= 1) {
    keep<ROWS, Left>(tiles_a[now], next_a);
    keep<COLUMNS, Right>(tiles_b[now], next_b);
    __syncthreads();  // The other tile has been used by all: each came here after it.
    depth -= DEPTH;
    if (depth > 0) {
      fetch<ROWS>(next_a, a, (int)gl::min((long long)DEPTH, depth));
      fetch<COLUMNS>(next_b, b, (int)gl::min((long long)DEPTH, depth));
    }
#pragma unroll 2
    for (int d = 0; d < DEPTH; d++) {
      A left[PARTS], right[8];
#pragma unroll
      for (int i = 0; i < PARTS; i++) left[i] = tiles_a[now][d][i / 4 * (ROWS / 2) + y * 4 + i % 4];
#pragma unroll
      for (int j = 0; j < 8; j++) right[j] = tiles_b[now][d][j / 4 * (COLUMNS / 2) + x * 4 + j % 4];
#pragma unroll
      for (int i = 0; i < PARTS; i++)
#pragma unroll
        for (int j = 0; j < 8; j++) sum[i][j] += left[i] * right[j];
    }
  }
  // Of two neighbours' eight columns the even one gets the first four of both, the odd one the last four.
#pragma unroll
  for (int i = 0; i < PARTS; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      A &low = sum[i][j], &high = sum[i][j + 4];
      const A got = __shfl_xor_sync(0xffffffffu, x & 1 ? low : high, 1);
      if (x & 1) low = got;
      else high = got;
    }
    out(sum[i], i / 4 * (ROWS / 2) + y * 4 + i % 4, x % 2 * (COLUMNS / 2) + x / 2 * 8);
  }
}
#endif
