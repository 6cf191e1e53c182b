// Products of tiles without tensor cores: 4 x 4 scores for each thread, 16 threads side by side.
//
// Constants: ROWS: 64 or 32; COLUMNS: 64; SIZE: a multiple of 16, from the sizes on; WIDTH: the columns of a block's sums.
constexpr int THREADS = ROWS * COLUMNS / 16, LINES = 4, PLACES = 4, LANES = COLUMNS / 4, SUMS = WIDTH / LANES;
constexpr int DEPTH = 16, LAYER = sizeof(A) == 8 ? 8 : 16;  // Elements, and lines, that are in shared memory at once.
constexpr int PIECE = WIDTH % 64 == 0 ? 4 : WIDTH % 32 == 0 ? 2 : 1;  // Neighbouring columns of sums in a thread.
struct __align__(SHORT ? 8 : 16) Four { T at[4]; };
struct Tile {
  A v[LINES][PLACES];
  GL_DEVICE A& at(int i, int j) { return v[i][j]; }
};
struct Sums {
  A v[LINES][SUMS];
  GL_DEVICE A& at(int i, int c) { return v[i][c]; }
};
GL_DEVICE int row(int i) { return threadIdx.x / LANES * 4 + i; }
GL_DEVICE int column(int j) { return threadIdx.x % LANES * 4 + j; }
GL_DEVICE int sum_column(int c) { return c / PIECE * (LANES * PIECE) + threadIdx.x % LANES * PIECE + c % PIECE; }

// Four elements of a line from `place` on; zeros for what is not there.
template <bool PACKED = false> GL_DEVICE Four four(const Lines& x, int line, int place) {
  Four v = Four();
  if (line >= x.count) return v;
  const T* from = (PACKED ? x.line(line) : x.x + line * x.ld) + place;
  if (x.whole && place + 4 <= x.size) return *(const Four*)from;
#pragma unroll
  for (int e = 0; e < 4; e++)
    if (place + e < x.size) v.at[e] = from[e];
  return v;
}

struct Stage {
  Lines mine[2], others[2];
  static constexpr int INNER = 2 * DEPTH * (ROWS + COLUMNS + 8), OUTER = 2 * LAYER * WIDTH;
  A *pieces, (*weights)[ROWS + 4];
  GL_DEVICE Stage() {
    __shared__ __align__(16) A shared_pieces[INNER > OUTER ? INNER : OUTER], shared_weights[COLUMNS][ROWS + 4];
    pieces = shared_pieces, weights = shared_weights;
  }
  GL_DEVICE void put(int i, const Lines& x) { mine[i] = x; }
  GL_DEVICE void fetch(int, const Lines&, const Lines&) {}
  GL_DEVICE void ready(int, const Lines& first, const Lines& second) {
    others[0] = first, others[1] = second;
    __syncthreads();
  }
  GL_DEVICE void done() {}
  // s = the lines mine[I], each times each of the lines others[I].
  template <int I> GL_DEVICE void inner(Tile& s) {
    typedef A Left[DEPTH][ROWS + 4];
    typedef A Right[DEPTH][COLUMNS + 4];
    constexpr int MORE = COLUMNS / ROWS;
    Left* left = (Left*)pieces;
    Right* right = (Right*)(pieces + 2 * DEPTH * (ROWS + 4));
    const int line = threadIdx.x / 4, place = threadIdx.x % 4 * 4, size = mine[I].size;
    Four a = four<PASS == DECODE>(mine[I], line, place), b[MORE];
#pragma unroll
    for (int m = 0; m < MORE; m++) b[m] = four(others[I], line + m * ROWS, place);
#pragma unroll
    for (int i = 0; i < 16; i++) s.v[i / 4][i % 4] = 0;
    __syncthreads();  // Whoever used the pieces is done.
#pragma unroll 1
    for (int d = 0, now = 0; d < size; d += DEPTH, now ^= 1) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        left[now][place + e][line] = gl::to<A>(a.at[e]);
#pragma unroll
        for (int m = 0; m < MORE; m++) right[now][place + e][line + m * ROWS] = gl::to<A>(b[m].at[e]);
      }
      __syncthreads();
      if (d + DEPTH < size) {
        a = four<PASS == DECODE>(mine[I], line, d + DEPTH + place);
#pragma unroll
        for (int m = 0; m < MORE; m++) b[m] = four(others[I], line + m * ROWS, d + DEPTH + place);
      }
#pragma unroll 4
      for (int k = 0; k < DEPTH; k++) {
        A x[4], y[4];
#pragma unroll
        for (int i = 0; i < 4; i++) x[i] = left[now][k][row(i)], y[i] = right[now][k][column(i)];
#pragma unroll
        for (int i = 0; i < 16; i++) s.v[i / 4][i % 4] += x[i / 4] * y[i % 4];
      }
    }
  }
  // sums += s times the lines others[I], their elements from `first` on.
  template <int I> GL_DEVICE void outer(Sums& sums, Tile& s, int first) {
    constexpr int ACROSS = WIDTH / 4, COUNT = (LAYER * ACROSS + THREADS - 1) / THREADS;
    typedef A Layer[LAYER][WIDTH];
    Layer* layer = (Layer*)pieces;
    const int lines = gl::min(others[I].count, COLUMNS);
    Four v[COUNT];
    bring<I, COUNT>(v, 0, first);
    __syncthreads();  // Whoever used the pieces, and the weights, is done.
#pragma unroll
    for (int i = 0; i < 16; i++) weights[column(i % 4)][row(i / 4)] = s.v[i / 4][i % 4];
#pragma unroll 1
    for (int k = 0, now = 0; k < lines; k += LAYER, now ^= 1) {
#pragma unroll
      for (int m = 0; m < COUNT; m++) {
        const int i = threadIdx.x + m * THREADS;
        if (i < LAYER * ACROSS)
#pragma unroll
          for (int e = 0; e < 4; e++) layer[now][i / ACROSS][i % ACROSS * 4 + e] = gl::to<A>(v[m].at[e]);
      }
      __syncthreads();
      if (k + LAYER < lines) bring<I, COUNT>(v, k + LAYER, first);
#pragma unroll 2
      for (int d = 0; d < LAYER; d++) {
        A w[4];
#pragma unroll
        for (int i = 0; i < 4; i++) w[i] = weights[k + d][row(i)];
#pragma unroll
        for (int c = 0; c < SUMS; c++) {
          const A z = layer[now][d][sum_column(c)];
#pragma unroll
          for (int i = 0; i < 4; i++) sums.v[i][c] += w[i] * z;
        }
      }
    }
  }
  template <int I, int COUNT> GL_DEVICE void bring(Four* v, int line, int first) const {
    constexpr int ACROSS = WIDTH / 4;
#pragma unroll
    for (int m = 0; m < COUNT; m++) {
      const int i = threadIdx.x + m * THREADS;
      if (i < LAYER * ACROSS) v[m] = four(others[I], line + i / ACROSS, first + i % ACROSS * 4);
    }
  }
};

// Sums times a factor for each line to `count` lines of an array, their columns from `first` on.
template <class Y> GL_DEVICE void put(Y* y, long long ld, int count, int size, int first, Sums& sums, const A* factors) {
#pragma unroll
  for (int i = 0; i < LINES; i++)
#pragma unroll
    for (int c = 0; c < SUMS; c++) {
      const int place = first + sum_column(c);
      if (row(i) < count && place < size) y[row(i) * ld + place] = gl::from<Y>(sums.v[i][c] * factors[i]);
    }
}
