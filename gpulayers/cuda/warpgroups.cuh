// `compute` of tiles.cuh by warpgroups, for TENSOR 3 (sm_90a): half, bfloat16, or floats of which TF32 takes the first 19 bits.
//
// ROWS: 128; COLUMNS: 64, 128 or 256.  The last of three warpgroups brings tiles, 128 bytes deep, as TMA and wgmma have them: in lines of
// 128 bytes whose chunks of 16 change places with the line.  The other two multiply 64 rows each, by wgmma, from where the tiles lie.
// STAGES tiles are on their way or in use; a barrier in shared memory says of each that it is full, another that it is empty.
// A gathered tile is full when each thread that brings it has waited for its own copies, LAG tiles later, and made them visible to
// wgmma.  A Mapped one comes by TMA, which one thread asks for.
// Dynamic shared memory: STAGES * (ROWS + COLUMNS) * 128 bytes of tiles, and the barriers.  Sums have one order: that of the depth.
#if TENSOR == 3
constexpr int STAGES = 4, STAGE = (ROWS + COLUMNS) * 128, LAG = 2, MULTIPLIERS = THREADS - FETCHERS;
static_assert(ROWS == 128 && MULTIPLIERS == 256, "a warpgroup for 64 rows");

// An operand that is a matrix of a batch, as the map tells: (batch, lines, elements), its boxes of one matrix as tall and wide as a
// tile, or a panel of 128 bytes, is.  `first` counts across the depth.
template <bool ALONG, int WIDTH> struct Mapped {
  static constexpr bool ALONG_DEPTH = ALONG;
  const void* map;
  int first, k, batch;
  GL_DEVICE void load(unsigned char* tile, gl::MBarrier* full) {
    const gl::TensorMap* by = (const gl::TensorMap*)map;
    if (ALONG) {
      gl_tma_load(tile, by, full, k, first, batch);
    } else {
#pragma unroll
      for (int panel = 0; panel < WIDTH / (8 * PER); panel++)
        gl_tma_load(tile + panel * DEPTH * 128, by, full, first + panel * 8 * PER, k, batch);
    }
    k += DEPTH;
  }
};
template <class Operand> struct IsMapped { static constexpr bool value = false; };
template <bool ALONG, int WIDTH> struct IsMapped<Mapped<ALONG, WIDTH>> { static constexpr bool value = true; };

// One operand's part of a stage: by TMA, or by this thread's copies.
template <int WIDTH, bool ALONG> GL_DEVICE void bring(unsigned char* tile, Mapped<ALONG, WIDTH>& o, int, gl::MBarrier* full) {
  if (threadIdx.x == MULTIPLIERS) o.load(tile, full);
}
template <int WIDTH, class Operand> GL_DEVICE void bring(unsigned char* tile, Operand& o, int deep, gl::MBarrier*) {
  fetch<WIDTH>((uint4*)tile, o, deep);
}

template <class Left, class Right>
GL_DEVICE void bring_all(unsigned char* shared, gl::MBarrier* full, gl::MBarrier* empty, Left& a, Right& b, long long depth, int tiles) {
  constexpr bool GATHERS = !(IsMapped<Left>::value && IsMapped<Right>::value);
  constexpr int BYTES = (IsMapped<Left>::value ? ROWS * 128 : 0) + (IsMapped<Right>::value ? COLUMNS * 128 : 0);
  const bool first = threadIdx.x == MULTIPLIERS;
  if (!GATHERS && !first) return;
#pragma unroll 1
  for (int tile = 0; tile < tiles; tile++, depth -= DEPTH) {
    const int stage = tile % STAGES, deep = (int)gl::min((long long)DEPTH, depth);
    unsigned char* to = shared + stage * STAGE;
    if (tile >= STAGES) gl_mbarrier_wait(&empty[stage], (tile / STAGES + 1) & 1);
    if (BYTES && first) gl_mbarrier_expect(&full[stage], BYTES);
    bring<ROWS>(to, a, deep, &full[stage]);
    bring<COLUMNS>(to + ROWS * 128, b, deep, &full[stage]);
    if (GATHERS) {
      gl::cp_commit();
      if (tile >= LAG) {
        gl::cp_wait<LAG>();
        gl::fence_async();
        gl_mbarrier_arrive(&full[(tile - LAG) % STAGES]);
      }
    }
  }
  if (!GATHERS) return;
  gl::cp_wait<0>();
  gl::fence_async();
  for (int tile = gl::max(tiles - LAG, 0); tile < tiles; tile++) gl_mbarrier_arrive(&full[tile % STAGES]);
}

// 64 rows of the tile, by one warpgroup.
template <class Left, class Right, class Out>
GL_DEVICE void multiply_all(unsigned char* shared, gl::MBarrier* full, gl::MBarrier* empty, int tiles, const Out& out) {
  constexpr bool ACROSS_A = !Left::ALONG_DEPTH, ACROSS_B = !Right::ALONG_DEPTH;
  constexpr int PANEL = DEPTH * 128;  // Bytes of 64 elements across the depth; 64 lines along it are as many.
  const int lane = threadIdx.x % 32, group = threadIdx.x / 128;
  float sum[COLUMNS / 2];
#pragma unroll
  for (int i = 0; i < COLUMNS / 2; i++) sum[i] = 0;
#pragma unroll 1
  for (int tile = 0; tile < tiles; tile++) {
    const int stage = tile % STAGES;
    const gl::Tile a(shared + stage * STAGE + group * 64 * 128, PANEL, 1024, 128);
    const gl::Tile b(shared + stage * STAGE + ROWS * 128, PANEL, 1024, 128);
    gl_mbarrier_wait(&full[stage], tile / STAGES & 1);
    gl_wgmma_fence();
#pragma unroll
    for (int step = 0; step < 4; step++)  // Of 32 bytes of the depth; across it 16 lines.
      gl_wgmma(T, COLUMNS, ACROSS_A, ACROSS_B)(
          sum, a.plus(step * (ACROSS_A ? 2048 : 32)), b.plus(step * (ACROSS_B ? 2048 : 32)), true);
    gl_wgmma_commit();
    gl_wgmma_wait(1);
    if (tile > 0 && lane == 0) gl_mbarrier_arrive(&empty[(tile - 1) % STAGES]);
  }
  gl_wgmma_wait(0);
  gl::pin<COLUMNS / 2>(sum);
  const int row = group * 64 + threadIdx.x % 128 / 32 * 16 + lane / 4;
#pragma unroll
  for (int i = 0; i < COLUMNS / 16; i++) {
    float v[4][2];
#pragma unroll
    for (int j = 0; j < 8; j++) v[j / 2][j % 2] = sum[(i / 2 * 4 + j / 2) * 4 + i % 2 * 2 + j % 2];
    give_row(v, lane, out, row + i % 2 * 8, i / 2 * 32);
  }
}

template <class Left, class Right, class Out> GL_DEVICE void compute(Left& a, Right& b, long long depth, const Out& out) {
  static_assert(sizeof(T) == 2 || (Left::ALONG_DEPTH && Right::ALONG_DEPTH), "TF32 is multiplied along the depth only");
  GL_DYN_SMEM(unsigned char, shared);
  gl::MBarrier *full = (gl::MBarrier*)(shared + STAGES * STAGE), *empty = full + STAGES;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < STAGES; stage++) {
      gl_mbarrier_init(&full[stage], (IsMapped<Left>::value || IsMapped<Right>::value ? 1 : 0) +
                                         (IsMapped<Left>::value && IsMapped<Right>::value ? 0 : FETCHERS));
      gl_mbarrier_init(&empty[stage], MULTIPLIERS / 32);
    }
  }
  gl::mbarriers_made();
  __syncthreads();
  const int tiles = (int)((depth + DEPTH - 1) / DEPTH);
  if (threadIdx.x >= MULTIPLIERS) bring_all(shared, full, empty, a, b, depth, tiles);
  else multiply_all<Left, Right>(shared, full, empty, tiles, out);
}
#endif
