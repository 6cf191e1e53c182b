// Products of tiles on tensor cores: half, and bfloat16 from sm_80.  A warp has M times 16 lines, and all columns.
//
// Constants: M; ROWS: a multiple of 16 M; COLUMNS: of 16; SIZE: of 16, from the sizes on; WIDTH: of 16, the columns of a block's sums.
// Mine are in shared memory, and two turns of others: one is on its way while the other is used.  Lines are 16 bytes longer than SIZE,
// so that eight of them which are read together meet all banks.
constexpr int WARPS = ROWS / (16 * M), THREADS = WARPS * 32, LINES = 2 * M, PLACES = COLUMNS / 4, LANES = 4, SUMS = WIDTH / 4;
constexpr int LD = SIZE + 8, MINE = PASS == FORWARD || PASS == DECODE ? 1 : 2;
// Fragments of mma.m16n8k16: of each 16 x 8 elements a thread has two neighbours in two lines.
template <int N> struct Fragments {
  float v[M][N / 8][4];
  GL_DEVICE float& at(int i, int j) { return v[i / 2][j / 2][i % 2 * 2 + j % 2]; }
};
typedef Fragments<COLUMNS> Tile;
typedef Fragments<WIDTH> Sums;
GL_DEVICE int row(int i) { return threadIdx.x / 32 * (16 * M) + i / 2 * 16 + i % 2 * 8 + threadIdx.x % 32 / 4; }
GL_DEVICE int column(int j) { return j / 2 * 8 + threadIdx.x % 4 * 2 + j % 2; }
GL_DEVICE int sum_column(int c) { return column(c); }

struct Stage {
  T *tiles, *first, *second;  // `first`, `second`: the others of this turn.
  GL_DEVICE Stage() {
    GL_DYN_SMEM(T, shared);
    tiles = shared;
  }
  // Lines to shared memory, zeros after their end and for those that are not there.  Neighbouring threads have chunks of 16 bytes of a
  // line, each thread those of one column.
  template <int COUNT, bool PACKED = false> static GL_DEVICE void copy(T* tile, const Lines& x) {
    constexpr int CHUNKS = SIZE / 8, ACROSS = CHUNKS <= 2 ? 2 : CHUNKS <= 4 ? 4 : CHUNKS <= 8 ? 8 : CHUNKS <= 16 ? 16 : 32, DOWN = THREADS / ACROSS;
    const int place = threadIdx.x % ACROSS * 8, first = threadIdx.x / ACROSS;
    if (CHUNKS < ACROSS && place >= SIZE) return;
    const bool vector = x.whole && (place + 8 <= x.size || place >= x.size);
    const T* from = x.x + first * x.ld + place;
    T* to = tile + first * LD + place;
#pragma unroll (PACKED ? 1 : COUNT / DOWN + 1)
    for (int line = 0; line < COUNT; line += DOWN, from += DOWN * x.ld, to += DOWN * LD) {
      if (COUNT % DOWN && line + first >= COUNT) break;
      const bool there = line + first < x.count && place < x.size;
      if (PACKED) from = x.line(line + first) + place;
      if (vector) gl_cp_async16(to, there ? from : x.x, there);
      else
#pragma unroll 1
        for (int e = 0; e < 8; e++) to[e] = there && place + e < x.size ? from[e] : T();
    }
  }
  GL_DEVICE T* other(int turn, int i) const { return tiles + (MINE * ROWS + (turn * 2 + i) * COLUMNS) * LD; }
  GL_DEVICE void put(int i, const Lines& x) {
    copy<ROWS, PASS == DECODE>(tiles + i * ROWS * LD, x);
    gl::cp_commit();
  }
  GL_DEVICE void fetch(int turn, const Lines& a, const Lines& b) {
    copy<COLUMNS>(other(turn, 0), a);
    copy<COLUMNS>(other(turn, 1), b);
    gl::cp_commit();
  }
  GL_DEVICE void ready(int turn, const Lines&, const Lines&) {
    gl::cp_wait<0>();
    __syncthreads();  // This turn is there, and the other has been used by all.
    first = other(turn, 0), second = other(turn, 1);
  }
  GL_DEVICE void done() { gl::cp_wait<0>(); }  // Also where there was nothing to be met.
  // s = the lines mine[I], each times each of the lines others[I].
  template <int I> GL_DEVICE void inner(Tile& s) {
    const int lane = threadIdx.x % 32;
    const T* mine = tiles + (I * ROWS + threadIdx.x / 32 * (16 * M) + lane % 16) * LD + lane / 16 * 8;
    const T* others = (I ? second : first) + (lane % 8 + lane / 16 * 8) * LD + lane / 8 % 2 * 8;
#pragma unroll
    for (int i = 0; i < M * COLUMNS / 2; i++) s.v[i / (COLUMNS / 2)][i / 4 % (COLUMNS / 8)][i % 4] = 0;
#pragma unroll 2
    for (int k = 0; k < SIZE; k += 16) {
      uint32 a[M][4];
#pragma unroll
      for (int i = 0; i < M; i++) gl_ldmatrix_x4(a[i], mine + i * 16 * LD + k);
#pragma unroll
      for (int n = 0; n < COLUMNS / 16; n++) {
        uint32 b[4];
        gl_ldmatrix_x4(b, others + n * 16 * LD + k);
#pragma unroll
        for (int i = 0; i < M; i++) {
          gl_mma_16816(T)(s.v[i][2 * n], a[i], b);
          gl_mma_16816(T)(s.v[i][2 * n + 1], a[i], b + 2);
        }
      }
    }
  }
  // sums += s (rounded to T) times the lines others[I], their elements from `from` on.
  template <int I> GL_DEVICE void outer(Sums& sums, Tile& s, int from) {
    const int lane = threadIdx.x % 32;
    const T* others = (I ? second : first) + lane % 16 * LD + lane / 16 * 8 + from;
#pragma unroll
    for (int k = 0; k < COLUMNS / 16; k++) {
      uint32 a[M][4];
#pragma unroll
      for (int i = 0; i < M * 4; i++) {
        const float* two = s.v[i / 4][2 * k + i % 4 / 2] + i % 2 * 2;
        a[i / 4][i % 4] = gl::pack2<T>(two[0], two[1]);
      }
#pragma unroll
      for (int n = 0; n < WIDTH / 16; n++) {
        uint32 b[4];
        gl_ldmatrix_x4_trans(b, others + k * 16 * LD + n * 16);
#pragma unroll
        for (int i = 0; i < M; i++) {
          gl_mma_16816(T)(sums.v[i][2 * n], a[i], b);
          gl_mma_16816(T)(sums.v[i][2 * n + 1], a[i], b + 2);
        }
      }
    }
  }
};

// Sums times a factor for each line to `count` lines of an array, their columns from `first` on.
template <class Y> GL_DEVICE void put(Y* y, long long ld, int count, int size, int first, Sums& sums, const A* factors) {
  const bool whole = sizeof(Y) == 2 && ((uint64)y & 3) == 0 && (ld | size) % 2 == 0;
#pragma unroll
  for (int i = 0; i < LINES; i++)
#pragma unroll
    for (int c = 0; c < SUMS; c += 2) {
      const int place = first + sum_column(c);
      const float a = sums.at(i, c) * factors[i], b = sums.at(i, c + 1) * factors[i];
      if (row(i) >= count || place >= size) continue;
      Y* to = y + row(i) * ld + place;
      if (whole) {
        *(uint32*)to = gl::pack2<T>(a, b);
      } else {
        to[0] = gl::from<Y>(a);
        if (place + 1 < size) to[1] = gl::from<Y>(b);
      }
    }
}
