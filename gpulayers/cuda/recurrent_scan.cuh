// What both directions of recurrent_scan.cu share: products with weights that stay where they are, and how blocks wait for each other.
// Constants: those of recurrent_scan.cu.
#define THREADS 256
constexpr bool GRID = SLICES == 0, CLUSTER = SLICES > 1;
constexpr int ROWS = 16, CHUNK = 128 / sizeof(T), WARPS = THREADS / 32, WIDE = OWN * SLOTS, PAD = 16 / sizeof(T);
constexpr int UNITS = ROWS * OWN, EACH = (UNITS + THREADS - 1) / THREADS;  // Units of a block, and of a thread.
constexpr int TILE = 128;  // Vectors of 16 bytes.

struct Plan { int slices, padded, groups, row_tiles, parts, parts_back; };  // As in recurrent_scan.py; padded: units, with zeros.

// ------------------------------------------------------------------------------------------------------------- products
// (ROWS, depth) times the block's weights (depth, columns): a warp has every eighth share, which is CHUNK columns and a part of the
// depth.
struct Product {
  int chunks, shares, tiles, deep, lane, warp;
  uint4* mine;
  uint32 held[TENSOR ? HELD : 1][16];

  // `shared` holds tiles_in_shared() of recurrent_scan.py; weight(k, column) gives an element.
  template <class Weight> GL_DEVICE Product(int depth, int columns, int parts, uint4* shared, const Weight& weight) {
    chunks = columns / CHUNK, shares = chunks * parts, tiles = depth / 16, deep = (tiles + parts - 1) / parts;
    lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int rounds = (shares + WARPS - 1) / WARPS;
    mine = shared + warp * (rounds * deep - gl::min(deep, (int)HELD)) * TILE;
    for (int share = warp; share < shares; share += WARPS) {
      const int column = share % chunks * CHUNK, first = share / chunks * deep, count = gl::min(deep, tiles - first);
#if TENSOR
      if (share == warp) {
#pragma unroll
        for (int j = 0; j < HELD; j++)
          if (j < count) read(held[j], (first + j) * 16, column, weight);
      }
#endif
      for (int j = share == warp ? HELD : 0; j < count; j++) keep(place(share, j), (first + j) * 16, column, weight);
    }
  }
  GL_DEVICE uint4* place(int share, int j) const { return mine + (share == warp ? j - HELD : share / WARPS * deep - gl::min(deep, (int)HELD) + j) * TILE; }
#if TENSOR
  // As mma wants them: of each eight columns two registers of two elements along the depth.
  template <class Weight> GL_DEVICE void read(uint32* to, int k, int column, const Weight& weight) const {
#pragma unroll
    for (int i = 0; i < 16; i++) {
      const int down = k + lane % 4 * 2 + i % 2 * 8, across = column + i / 2 * 8 + lane / 4;
      to[i] = weight(down, across).bits | (uint32)weight(down + 1, across).bits << 16;
    }
  }
  template <class Weight> GL_DEVICE void keep(uint4* tile, int k, int column, const Weight& weight) const {
    uint32 b[16];
    read(b, k, column, weight);
#pragma unroll
    for (int i = 0; i < 4; i++) tile[i * 32 + lane] = make_uint4(b[i * 4], b[i * 4 + 1], b[i * 4 + 2], b[i * 4 + 3]);
  }
  GL_DEVICE void step(float (*sum)[4], const T* left, int ld, uint32* b) const {
    uint32 a[4];
    gl_ldmatrix_x4(a, left + lane % 16 * ld + lane / 16 * 8);
#pragma unroll
    for (int i = 0; i < 8; i++) gl_mma_16816(T)(sum[i], a, b + i * 2);
  }
  // Gives each two neighbouring sums to out(part, row, column, float2).
  template <class Out> GL_DEVICE void multiply(const T* left, int ld, const Out& out) {
    for (int share = warp; share < shares; share += WARPS) {
      const int part = share / chunks, first = part * deep, count = gl::min(deep, tiles - first);
      float sum[8][4];
#pragma unroll
      for (int i = 0; i < 32; i++) sum[i / 4][i % 4] = 0;
      if (share == warp) {
#pragma unroll
        for (int j = 0; j < HELD; j++)
          if (j < count) step(sum, left + (first + j) * 16, ld, held[j]);
      }
#pragma unroll 2
      for (int j = share == warp ? HELD : 0; j < count; j++) {
        uint32 b[16];
        const uint4* tile = place(share, j) + lane;
#pragma unroll
        for (int i = 0; i < 4; i++) *(uint4*)(b + i * 4) = tile[i * 32];
        step(sum, left + (first + j) * 16, ld, b);
      }
#pragma unroll
      for (int i = 0; i < 16; i++)
        out(part, lane / 4 + i % 2 * 8, share % chunks * CHUNK + i / 2 * 8 + lane % 4 * 2, make_float2(sum[i / 2][i % 2 * 2], sum[i / 2][i % 2 * 2 + 1]));
    }
  }
#else
  template <class Weight> GL_DEVICE void keep(uint4* tile, int k, int column, const Weight& weight) const {
    for (int i = 0; i < 16; i++) ((T*)tile)[i * CHUNK + lane] = weight(k + i, column + lane);
  }
  // A thread has four rows, each fourth, and four columns.
  template <class Out> GL_DEVICE void multiply(const T* left, int ld, const Out& out) {
    for (int share = warp; share < shares; share += WARPS) {
      const int part = share / chunks, first = part * deep, count = gl::min(deep, tiles - first), row = lane / 8, column = lane % 8 * 4;
      float sum[4][4];
#pragma unroll
      for (int i = 0; i < 16; i++) sum[i / 4][i % 4] = 0;
      for (int j = 0; j < count; j++) {
        const float4* tile = (const float4*)place(share, j) + lane % 8;
#pragma unroll
        for (int k = 0; k < 16; k += 4) {
          float a[4][4];
#pragma unroll
          for (int i = 0; i < 4; i++) *(uint4*)a[i] = *(const uint4*)(left + (row + i * 4) * ld + (first + j) * 16 + k);
#pragma unroll
          for (int e = 0; e < 4; e++) {
            const float4 w = tile[(k + e) * 8];
#pragma unroll
            for (int i = 0; i < 4; i++) {
              sum[i][0] += a[i][e] * w.x;
              sum[i][1] += a[i][e] * w.y;
              sum[i][2] += a[i][e] * w.z;
              sum[i][3] += a[i][e] * w.w;
            }
          }
        }
      }
#pragma unroll
      for (int i = 0; i < 8; i++)
        out(part, row + i / 2 * 4, share % chunks * CHUNK + column + i % 2 * 2, make_float2(sum[i / 2][i % 2 * 2], sum[i / 2][i % 2 * 2 + 1]));
    }
  }
#endif
};

// -------------------------------------------------------------------------------------------------------------- exchange
// What another block has written to memory since this one began.
GL_DEVICE float fresh(const float* x) { return *(const volatile float*)x; }
#if TENSOR
GL_DEVICE T fresh(const T* x) {
  T v;
  v.bits = *(const volatile uint16*)x;
  return v;
}
#endif

struct Place {
  int slices, slice, group, direction;
  long long row;  // The first sequence.
  GL_DEVICE Place(const Plan& plan) {
    slices = GRID ? plan.slices : SLICES;
    slice = blockIdx.x % slices, group = blockIdx.x / slices, direction = group / plan.groups;
    row = (long long)(group % plan.groups) * plan.row_tiles * ROWS;
  }
};

// All blocks of a group have done a step, and see what the others wrote.
GL_DEVICE void meet(const Place& here, uint32* arrived, uint32 times) {
  if (CLUSTER) {
    gl_cluster_arrive();
    gl_cluster_wait();
    return;
  }
  __syncthreads();
  if (!GRID) return;
  if (threadIdx.x == 0) {
    gl::add_release(arrived + here.group, 1);
    while (gl::load_acquire(arrived + here.group) < times * here.slices) __nanosleep(20);
  }
  __syncthreads();
}

// The thread's i-th unit of the block.
struct Mine {
  int index, row, unit;
  GL_DEVICE Mine(int i) : index(threadIdx.x + i * THREADS), row(index / OWN), unit(index % OWN) {}
  GL_DEVICE bool there(const Place& here, const Sizes& sizes, int tile, long long* n, int* which) const {
    *n = here.row + tile * ROWS + row, *which = here.slice * OWN + unit;
    return index < UNITS && *n < sizes.count && *which < sizes.units;
  }
};
