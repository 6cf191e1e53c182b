// Channels scaled by moments over a batch, and groups of channels by those over a sample: statistics, result, and gradient.
//
// An array x of T, C-contiguous, at any alignment, has one of two layouts, and each kernel is there for both:
//   columns_...  (planes, rows, channels): channels last. A thread has N neighbouring channels, and walks down rows.
//   lines_...    (planes, channels, inner): each channel's numbers lie in a line. A block has a part of a line.
// All of a plane's numbers in one group of `size` channels share a mean and a variance.  Batch normalization: columns with one plane, or
// lines whose planes are `joined`; size 1.  Group normalization: planes are samples.  Statistic s = plane * groups + channel / size (for
// joined planes without the plane) stands in `mean`, `variance`, `count`: (statistics,) of A, always float32 or double.
//   1. moments   of each part, in one reading, to `partial` (plane, part, 3, channels): count, mean, sum of squares around it
//   2. combine_moments   merges them (Chan et al., 1979), in a fixed order, to mean, variance, count
//   3. apply     y = f((x - mean) / sqrt(variance + epsilon) * gamma + beta); f: ACTIVATION of activations.cuh, if it needs no parameters
//   4. sums      of g and of g (x - mean) in each part, to `partial` (plane, part, 2, channels)
//   5. combine_sums   adds them in a fixed order, to `sums` (plane, 2, channels)
//   6. finish_sums   d_gamma, d_beta (channels,), and what each group's gradient needs: `shares` (2, statistics)
//   7. gradient  dx
//   8. follow    moving statistics, two of `count` numbers each, that follow a batch's: old * keep + new * take
// gamma, beta: (channels,) of A, or NULL.  mask: a byte for each row of columns_ (all channels of it count, or none), or NULL; what does
// not count is scaled too.  Computed in A, rounded once.  Constants: T, ACTIVATION (of apply).
#include "common.cuh"
#include "activations.cuh"

constexpr int N = gl::Vector<T>::size;
#define BLOCK 256
#define UNROLL 4  // Vectors of each thread, loaded before the first is used.

// A count, a mean, and the sum of squares around it.
struct Moments {
  A count, mean, squares;
  GL_DEVICE void merge(A other_count, A other_mean, A other_squares) {
    const A total = count + other_count;
    if (other_count == 0) return;
    const A apart = other_mean - mean, share = other_count / total;
    mean += apart * share;
    squares += other_squares + apart * apart * count * share;
    count = total;
  }
};

// The tile of a block of columns_: `lanes` (a power of two, at most 32) threads side by side, each with N channels, BLOCK / lanes rows
// at a time; blocks are numbered by plane, part of `rows_each` rows, tile of lanes * N channels.
struct Tile {
  int column, lane;
  long long part, plane, row, last, step;
  GL_DEVICE Tile(long long rows, int channels, long long rows_each, int lanes) {
    const long long tiles = (channels + lanes * N - 1) / (lanes * N), parts = (rows + rows_each - 1) / rows_each;
    lane = threadIdx.x % lanes;
    column = ((int)(blockIdx.x % tiles) * lanes + lane) * N;
    part = blockIdx.x / tiles;
    plane = part / parts;
    const long long first = part % parts * rows_each;
    last = gl::min(first + rows_each, rows);
    step = BLOCK / lanes;
    row = column < channels ? first + threadIdx.x / lanes : last;
  }
};
// The part of a block of lines_: elements first ... last of line `line` = plane * channels + channel; `index` is (plane, part).
struct Line {
  long long line, first, last, start, index;
  int channel;
  GL_DEVICE Line(int channels, long long inner, long long each) {
    const long long parts = (inner + each - 1) / each, part = blockIdx.x % parts;
    line = blockIdx.x / parts;
    channel = line % channels;
    index = line / channels * parts + part;
    first = part * each;
    last = gl::min(first + each, inner);
    start = first + (long long)threadIdx.x * N;
  }
};
GL_DEVICE void weights(const A* w, int column, int channels, A other, A* out) {
#pragma unroll
  for (int i = 0; i < N; i++) out[i] = w && column + i < channels ? w[column + i] : other;
}

// ------------------------------------------------------------------------------------------------------------------ 1. moments
extern "C" __global__ void __launch_bounds__(BLOCK) columns_moments(
    const T* x, const bool* mask, A* partial, long long rows, int channels, long long rows_each, int lanes) {
  __shared__ A counts[BLOCK], means[BLOCK][N + 1], all_squares[BLOCK][N + 1];
  Tile tile(rows, channels, rows_each, lanes);
  x += tile.plane * rows * channels;
  const bool whole = gl::aligned(x) && channels % N == 0;
  A count = 0, mean[N], squares[N];
#pragma unroll
  for (int i = 0; i < N; i++) mean[i] = squares[i] = 0;
  for (long long row = tile.row; row < tile.last; row += tile.step * UNROLL) {
    gl::Vector<T> v[UNROLL];
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      const long long at = row + u * tile.step;
      v[u] = gl::load(x, at * channels + tile.column, at < tile.last ? (at + 1) * channels : 0, whole);
    }
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      const long long at = row + u * tile.step;
      if (at >= tile.last || (mask && !mask[at])) continue;
      count += 1;
      const A share = 1 / count;
#pragma unroll
      for (int i = 0; i < N; i++) {
        const A e = gl::to<A>(v[u].at[i]), apart = e - mean[i];
        mean[i] += apart * share;
        squares[i] += apart * (e - mean[i]);
      }
    }
  }
  counts[threadIdx.x] = count;
#pragma unroll
  for (int i = 0; i < N; i++) means[threadIdx.x][i] = mean[i], all_squares[threadIdx.x][i] = squares[i];
  for (int half_of = BLOCK / 2; half_of >= lanes; half_of /= 2) {
    __syncthreads();
    if (threadIdx.x < half_of) {
      const int other = threadIdx.x + half_of;
#pragma unroll
      for (int i = 0; i < N; i++) {
        Moments own = {counts[threadIdx.x], means[threadIdx.x][i], all_squares[threadIdx.x][i]};
        own.merge(counts[other], means[other][i], all_squares[other][i]);
        means[threadIdx.x][i] = own.mean, all_squares[threadIdx.x][i] = own.squares;
      }
      counts[threadIdx.x] += counts[other];
    }
  }
  if (threadIdx.x >= lanes) return;
  partial += tile.part * 3 * channels;
#pragma unroll
  for (int i = 0; i < N; i++) {
    const int channel = tile.column + i;
    if (channel >= channels) continue;
    partial[channel] = counts[threadIdx.x];
    partial[channels + channel] = means[threadIdx.x][i];
    partial[2 * channels + channel] = all_squares[threadIdx.x][i];
  }
}

// The moments of a warp's lanes, or of 32 warps; lane 0 has the result.
GL_DEVICE void merge_lanes(Moments& own) {
#pragma unroll
  for (int lane = 16; lane; lane >>= 1) {
    const A count = __shfl_down_sync(0xffffffffu, own.count, lane), mean = __shfl_down_sync(0xffffffffu, own.mean, lane);
    own.merge(count, mean, __shfl_down_sync(0xffffffffu, own.squares, lane));
  }
}
extern "C" __global__ void __launch_bounds__(BLOCK) lines_moments(
    const T* x, A* partial, int channels, long long inner, long long each) {
  __shared__ Moments shared[BLOCK / 32];
  Line line(channels, inner, each);
  x += line.line * inner;
  const bool whole = gl::aligned(x);
  Moments own = {0, 0, 0};
  for (long long i = line.start; i < line.last; i += BLOCK * N) {
    const gl::Vector<T> v = gl::load(x, i, line.last, whole);
    const int count = (int)gl::min((long long)N, line.last - i);
    A mean = 0, squares = 0;
#pragma unroll
    for (int j = 0; j < N; j++) mean += gl::to<A>(v.at[j]);  // Zeros after the end.
    mean /= count;
#pragma unroll
    for (int j = 0; j < N; j++) {
      const A apart = gl::to<A>(v.at[j]) - mean;
      squares += j < count ? apart * apart : A(0);
    }
    own.merge(count, mean, squares);
  }
  merge_lanes(own);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = own;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  own.count = own.mean = own.squares = 0;
  if (threadIdx.x < BLOCK / 32) own = shared[threadIdx.x];
  merge_lanes(own);
  if (threadIdx.x) return;
  partial += line.index * 3 * channels + line.channel;
  partial[0] = own.count, partial[channels] = own.mean, partial[2 * channels] = own.squares;
}

// ---------------------------------------------------------------------------------------------------------- 2. combine_moments
// A warp for each statistic.  With `extra` > 0, sums are divided by the count and so much more.
extern "C" __global__ void __launch_bounds__(BLOCK) combine_moments(
    const A* partial, A* mean, A* variance, A* count, long long statistics, long long parts, int channels, int groups, A extra) {
  const long long statistic = (long long)blockIdx.x * (BLOCK / 32) + threadIdx.x / 32;
  if (statistic >= statistics) return;  // A whole warp.
  const int size = channels / groups, lane = threadIdx.x % 32;
  const long long plane = statistic / groups, first = statistic % groups * size, items = parts * size;
  Moments own = {0, 0, 0};
  for (long long i = lane; i < items; i += 32) {
    const A* from = partial + (plane * parts + i / size) * 3 * channels + first + i % size;
    own.merge(from[0], from[channels], from[2 * channels]);
  }
  merge_lanes(own);
  if (lane) return;
  const A divisor = own.count + extra, near = own.mean * (own.count / divisor), apart = own.mean - near;
  mean[statistic] = extra ? near : own.mean;
  variance[statistic] = extra ? (own.squares + own.count * apart * apart) / divisor : own.squares / divisor;
  count[statistic] = divisor;
}

// -------------------------------------------------------------------------------------------------------------------- 3. apply
extern "C" __global__ void __launch_bounds__(BLOCK) columns_apply(
    const T* x, const A* mean, const A* variance, const A* gamma, const A* beta, T* y, long long rows, int channels,
    int groups, long long rows_each, int lanes, A epsilon) {
  Tile tile(rows, channels, rows_each, lanes);
  x += tile.plane * rows * channels, y += tile.plane * rows * channels;
  const bool whole = gl::aligned(x, y) && channels % N == 0;
  A middle[N], factor[N], offset[N];
  weights(gamma, tile.column, channels, 1, factor);
  weights(beta, tile.column, channels, 0, offset);
#pragma unroll
  for (int i = 0; i < N; i++) {
    const int channel = gl::min(tile.column + i, channels - 1);
    const long long statistic = tile.plane * groups + channel / (channels / groups);
    middle[i] = mean[statistic];
    factor[i] *= gl::rsqrt(variance[statistic] + epsilon);
  }
  for (long long row = tile.row; row < tile.last; row += tile.step * UNROLL) {
    gl::Vector<T> v[UNROLL];
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      const long long at = row + u * tile.step;
      v[u] = gl::load(x, at * channels + tile.column, at < tile.last ? (at + 1) * channels : 0, whole);
    }
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      const long long at = row + u * tile.step;
      if (at >= tile.last) break;
      A out[N];
#pragma unroll
      for (int i = 0; i < N; i++)
        out[i] = value((gl::to<A>(v[u].at[i]) - middle[i]) * factor[i] + offset[i], A(0), A(0), A(0));
      gl::store(y, at * channels + tile.column, (at + 1) * channels, whole, gl::packed<T>(out));
    }
  }
}
extern "C" __global__ void __launch_bounds__(BLOCK) lines_apply(
    const T* x, const A* mean, const A* variance, const A* gamma, const A* beta, T* y, int channels, long long inner,
    int groups, bool joined, long long each, A epsilon) {
  Line line(channels, inner, each);
  x += line.line * inner, y += line.line * inner;
  const bool whole = gl::aligned(x, y);
  const long long statistic = (joined ? 0 : line.line / channels * groups) + line.channel / (channels / groups);
  const A middle = mean[statistic], offset = beta ? beta[line.channel] : A(0);
  const A factor = gl::rsqrt(variance[statistic] + epsilon) * (gamma ? gamma[line.channel] : A(1));
  for (long long i = line.start; i < line.last; i += BLOCK * N) {
    const gl::Vector<T> v = gl::load(x, i, line.last, whole);
    A out[N];
#pragma unroll
    for (int j = 0; j < N; j++) out[j] = value((gl::to<A>(v.at[j]) - middle) * factor + offset, A(0), A(0), A(0));
    gl::store(y, i, line.last, whole, gl::packed<T>(out));
  }
}

// --------------------------------------------------------------------------------------------------------------------- 4. sums
extern "C" __global__ void __launch_bounds__(BLOCK) columns_sums(
    const T* g, const T* x, const A* mean, A* partial, long long rows, int channels, int groups, long long rows_each,
    int lanes) {
  __shared__ A sums[2][BLOCK][N + 1];
  Tile tile(rows, channels, rows_each, lanes);
  g += tile.plane * rows * channels, x += tile.plane * rows * channels;
  const bool whole = gl::aligned(g, x) && channels % N == 0;
  A middle[N], total[N], product[N];
#pragma unroll
  for (int i = 0; i < N; i++) {
    const int channel = gl::min(tile.column + i, channels - 1);
    middle[i] = mean[tile.plane * groups + channel / (channels / groups)];
    total[i] = product[i] = 0;
  }
#pragma unroll 2
  for (long long row = tile.row; row < tile.last; row += tile.step) {
    const long long place = row * channels + tile.column, end = (row + 1) * channels;
    const gl::Vector<T> from = gl::load(g, place, end, whole), v = gl::load(x, place, end, whole);
#pragma unroll
    for (int i = 0; i < N; i++) {
      const A e = gl::to<A>(from.at[i]);
      total[i] += e;
      product[i] += e * (gl::to<A>(v.at[i]) - middle[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < N; i++) sums[0][threadIdx.x][i] = total[i], sums[1][threadIdx.x][i] = product[i];
  for (int half_of = BLOCK / 2; half_of >= lanes; half_of /= 2) {
    __syncthreads();
    if (threadIdx.x < half_of) {
#pragma unroll
      for (int i = 0; i < N; i++) {
        sums[0][threadIdx.x][i] += sums[0][threadIdx.x + half_of][i];
        sums[1][threadIdx.x][i] += sums[1][threadIdx.x + half_of][i];
      }
    }
  }
  if (threadIdx.x >= lanes) return;
  partial += tile.part * 2 * channels;
#pragma unroll
  for (int i = 0; i < N; i++) {
    if (tile.column + i >= channels) continue;
    partial[tile.column + i] = sums[0][threadIdx.x][i];
    partial[channels + tile.column + i] = sums[1][threadIdx.x][i];
  }
}
extern "C" __global__ void __launch_bounds__(BLOCK) lines_sums(
    const T* g, const T* x, const A* mean, A* partial, int channels, long long inner, int groups, bool joined, long long each) {
  __shared__ A shared[32];
  Line line(channels, inner, each);
  g += line.line * inner, x += line.line * inner;
  const bool whole = gl::aligned(g, x);
  const A middle = mean[(joined ? 0 : line.line / channels * groups) + line.channel / (channels / groups)];
  A total = 0, product = 0;
  for (long long i = line.start; i < line.last; i += BLOCK * N) {
    const gl::Vector<T> from = gl::load(g, i, line.last, whole), v = gl::load(x, i, line.last, whole);
#pragma unroll
    for (int j = 0; j < N; j++) {
      const A e = gl::to<A>(from.at[j]);
      total += e;
      product += e * (gl::to<A>(v.at[j]) - middle);
    }
  }
  total = gl::block_sum(total, shared);
  product = gl::block_sum(product, shared);
  if (threadIdx.x) return;
  partial += line.index * 2 * channels + line.channel;
  partial[0] = total, partial[channels] = product;
}

// ------------------------------------------------------------------------------------------------------------- 5. combine_sums
// A warp for each of the `count` sums (planes, 2, channels).
extern "C" __global__ void __launch_bounds__(BLOCK) combine_sums(
    const A* partial, A* sums, long long count, long long parts, int channels) {
  const long long which = (long long)blockIdx.x * (BLOCK / 32) + threadIdx.x / 32;
  if (which >= count) return;  // A whole warp.
  const long long plane = which / (2 * channels), within = which % (2 * channels);
  A sum = 0;
  for (long long part = threadIdx.x % 32; part < parts; part += 32) sum += partial[(plane * parts + part) * 2 * channels + within];
  sum = gl::warp_sum(sum);
  if (threadIdx.x % 32 == 0) sums[which] = sum;
}

// -------------------------------------------------------------------------------------------------------------- 6. finish_sums
// d_mean, d_variance: gradients by the statistics themselves, (statistics,), or NULL.  d_gamma, d_beta may be NULL: not wanted.
extern "C" __global__ void __launch_bounds__(BLOCK) finish_sums(
    const A* sums, const A* variance, const A* gamma, const A* d_mean, const A* d_variance, A* shares, A* d_gamma, A* d_beta,
    long long planes, int channels, int groups, A epsilon) {
  const long long i = (long long)blockIdx.x * BLOCK + threadIdx.x, statistics = planes * groups;
  const int size = channels / groups;
  if (i < statistics) {
    const A inverse = gl::rsqrt(variance[i] + epsilon);
    A first = 0, second = 0;
    for (int j = 0; j < size; j++) {
      const int channel = (int)(i % groups) * size + j;
      const A* from = sums + i / groups * 2 * channels + channel;
      const A weight = gamma ? gamma[channel] : A(1);
      first += from[0] * weight;
      second += from[channels] * weight * inverse;
    }
    if (d_mean) {
      first -= d_mean[i] / inverse;
      second -= 2 * d_variance[i] / (inverse * inverse);
    }
    shares[i] = first, shares[statistics + i] = second;
  } else if (i < statistics + channels) {
    const int channel = (int)(i - statistics);
    A by_gamma = 0, by_beta = 0;
    for (long long plane = 0; plane < planes; plane++) {
      const A* from = sums + plane * 2 * channels + channel;
      by_beta += from[0];
      by_gamma += from[channels] * gl::rsqrt(variance[plane * groups + channel / size] + epsilon);
    }
    if (d_gamma) d_gamma[channel] = by_gamma;
    if (d_beta) d_beta[channel] = by_beta;
  }
}

// ----------------------------------------------------------------------------------------------------------------- 7. gradient
// dx = (g gamma - counts (first + (x - mean) / deviation * second) / count) / deviation; g may be NULL, for 0.
extern "C" __global__ void __launch_bounds__(BLOCK) columns_gradient(
    const T* g, const T* x, const bool* mask, const A* mean, const A* variance, const A* count, const A* gamma, const A* shares,
    T* dx, long long statistics, long long rows, int channels, int groups, long long rows_each, int lanes, A epsilon) {
  Tile tile(rows, channels, rows_each, lanes);
  if (g) g += tile.plane * rows * channels;
  x += tile.plane * rows * channels, dx += tile.plane * rows * channels;
  const bool whole = gl::aligned(g, x, dx) && channels % N == 0;
  A middle[N], factor[N], slope[N], offset[N];
  weights(gamma, tile.column, channels, 1, factor);
#pragma unroll
  for (int i = 0; i < N; i++) {
    const int channel = gl::min(tile.column + i, channels - 1);
    const long long statistic = tile.plane * groups + channel / (channels / groups);
    const A inverse = gl::rsqrt(variance[statistic] + epsilon), share = inverse / count[statistic];
    middle[i] = mean[statistic];
    factor[i] *= inverse;
    offset[i] = -share * shares[statistic];
    slope[i] = -share * inverse * shares[statistics + statistic];
  }
#pragma unroll 2
  for (long long row = tile.row; row < tile.last; row += tile.step) {
    const long long place = row * channels + tile.column, end = (row + 1) * channels;
    const gl::Vector<T> v = gl::load(x, place, end, whole), from = gl::load(g, place, g ? end : 0, whole);
    const A there = mask && !mask[row] ? 0 : 1;
    A out[N];
#pragma unroll
    for (int i = 0; i < N; i++)
      out[i] = gl::to<A>(from.at[i]) * factor[i] + there * ((gl::to<A>(v.at[i]) - middle[i]) * slope[i] + offset[i]);
    gl::store(dx, place, end, whole, gl::packed<T>(out));
  }
}
extern "C" __global__ void __launch_bounds__(BLOCK) lines_gradient(
    const T* g, const T* x, const A* mean, const A* variance, const A* count, const A* gamma, const A* shares, T* dx,
    long long statistics, int channels, long long inner, int groups, bool joined, long long each, A epsilon) {
  Line line(channels, inner, each);
  if (g) g += line.line * inner;
  x += line.line * inner, dx += line.line * inner;
  const bool whole = gl::aligned(g, x, dx);
  const long long statistic = (joined ? 0 : line.line / channels * groups) + line.channel / (channels / groups);
  const A inverse = gl::rsqrt(variance[statistic] + epsilon), share = inverse / count[statistic], middle = mean[statistic];
  const A factor = inverse * (gamma ? gamma[line.channel] : A(1)), offset = -share * shares[statistic];
  const A slope = -share * inverse * shares[statistics + statistic];
  for (long long i = line.start; i < line.last; i += BLOCK * N) {
    const gl::Vector<T> v = gl::load(x, i, line.last, whole), from = gl::load(g, i, g ? line.last : 0, whole);
    A out[N];
#pragma unroll
    for (int j = 0; j < N; j++) out[j] = gl::to<A>(from.at[j]) * factor + (gl::to<A>(v.at[j]) - middle) * slope + offset;
    gl::store(dx, i, line.last, whole, gl::packed<T>(out));
  }
}

extern "C" __global__ void __launch_bounds__(BLOCK) follow(
    const A* mean, const A* variance, const A* new_mean, const A* new_variance, A* next_mean, A* next_variance, int count, A keep, A take) {
  const int i = blockIdx.x * BLOCK + threadIdx.x;
  if (i >= count) return;
  next_mean[i] = mean[i] * keep + new_mean[i] * take;
  next_variance[i] = variance[i] * keep + new_variance[i] * take;
}
