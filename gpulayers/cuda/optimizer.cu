// Steps of optimizers: all weights of one dtype in one launch, with what surrounds the rule in the same pass.
//
// `table` names the arrays, which are C-contiguous, of T, at any alignment.  A row of `stride` words belongs to each weight: the
// end of its blocks, twice its elements (plus 1 if it decays), then addresses: the weight, the new weight (which may be the
// same), and of gradient, slots a, b, c, average and sum those whose bit (1, 2, 4, ...) is in HAS.  All but weight and gradient
// are rewritten where they are.  Each block takes CHUNK elements; each number is read once and written once.
// Everything is computed in A and rounded once, in the order of gpulayers.ops.optimizer.Step: gradients are divided, added up,
// clipped; weights decay; the rule; averages.
//
// What only the device knows comes by pointer (NULL: it is in `set`), so that a captured step can be replayed: the `count` of steps
// made, the learning `rate`, Nadam's `product`, the `verdict` (whether the step is to be made, what divides gradients, what
// multiplies them) and `factors`, one for each weight.
//
// Constants: T; NORMS, whether this is the kernels that measure gradients, or the step of a RULE; HAS.  LAMB_MOMENTS writes to
// `partial` what LAMB_MOVE takes from `factors`.
// Sums have a fixed order: each block leaves two in `partial`, which a second kernel adds.
//
// Adam moves 28 bytes for each float: 4 reads and 3 writes.  Each thread has 16 bytes of each array on the way; at 39 registers
// 1536 threads of a multiprocessor have 96 KB, which should be enough to hide an H200's latency (not yet measured).
#include "common.cuh"

#define BLOCK 256
#define TURNS 4
#define CHUNK (BLOCK * TURNS * N)
#define WORDS 480

constexpr int N = gl::Vector<T>::size;
struct Table { uint64 at[WORDS]; };
struct Settings {
  A number[8];  // The rule's own.
  A rate, divisor, limit, decay, momentum;
  int made;   // Steps before this one,
  int first;  // and how many more count: 1, or 0 if `made` is the number of this step.
  int every;  // Gradients of so many steps are added up.
  int taken;  // Weights take their averages' values every so many updates; 0 for never.
};

// The row of this block.
GL_DEVICE int row_of(const Table& table, int weights, int stride) {
  int low = 0, high = weights - 1;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (blockIdx.x < table.at[middle * stride]) high = middle;
    else low = middle + 1;
  }
  return low;
}
GL_DEVICE long long first_block(const Table& table, int row, int stride) { return row ? table.at[(row - 1) * stride] : 0; }
GL_DEVICE void read(A* numbers, const T* x, long long first, long long count, bool whole) {
  const gl::Vector<T> v = gl::load(x, first, count, whole);
#pragma unroll
  for (int i = 0; i < N; i++) numbers[i] = gl::to<A>(v.at[i]);
}
GL_DEVICE void write(T* x, const A* numbers, long long first, long long count, bool whole) {
  gl::store(x, first, count, whole, gl::packed<T>(numbers));
}

#if NORMS
GL_DEVICE bool is_finite(A x) { return x - x == 0; }

// partial (blocks, 2): of each block the sum of squares of the gradients (divided, added to `sum`), and how many are not finite.
extern "C" __global__ void __launch_bounds__(BLOCK) optimizer_measure(
    const __grid_constant__ Table table, const __grid_constant__ Settings set, int weights, int stride, bool has_sum,
    const float* scale, A* partial) {
  __shared__ A shared[32];
  const int row = row_of(table, weights, stride), at = row * stride;
  const long long count = table.at[at + 1] >> 1, start = (blockIdx.x - first_block(table, row, stride)) * CHUNK;
  const T* gradient = (const T*)table.at[at + 4];
  const T* sum = has_sum ? (const T*)table.at[at + stride - 1] : 0;
  const bool whole = gl::aligned(gradient, sum);
  const A divisor = scale ? set.divisor * *scale : set.divisor;
  A squares = 0, wrong = 0;
#pragma unroll
  for (int turn = 0; turn < TURNS; turn++) {
    const long long i = start + (turn * BLOCK + threadIdx.x) * N;
    if (i >= count) break;
    A g[N], s[N];
    read(g, gradient, i, count, whole);
    if (sum) read(s, sum, i, count, whole);
#pragma unroll
    for (int j = 0; j < N; j++) {
      wrong += A(!is_finite(g[j]));
      A x = g[j] / divisor;
      if (sum) x = (s[j] + x) / set.every;
      squares += x * x;
    }
  }
  squares = gl::block_sum(squares, shared);
  wrong = gl::block_sum(wrong, shared);
  if (threadIdx.x == 0) {
    partial[2 * (long long)blockIdx.x] = squares;
    partial[2 * (long long)blockIdx.x + 1] = wrong;
  }
}

// One block: the verdict on a step from all that was measured.  A `limit` of all gradients' norm (0: none); a loss's `scale`
// (NULL: none), which a gradient that is not finite halves, and the `growth`th `good` step in a row doubles.
extern "C" __global__ void __launch_bounds__(BLOCK) optimizer_decide(
    const A* partial, long long blocks, A limit, const float* scale, const int* good, const int* count, int growth,
    A* verdict, float* new_scale, int* new_good, int* new_count) {
  __shared__ A shared[32];
  A squares = 0, wrong = 0;
  for (long long i = threadIdx.x; i < blocks; i += BLOCK) {
    squares += partial[2 * i];
    wrong += partial[2 * i + 1];
  }
  const A norm = gl::sqrt(gl::block_sum(squares, shared));
  wrong = gl::block_sum(wrong, shared);
  if (threadIdx.x) return;
  const bool go = !scale || wrong == 0;
  verdict[0] = A(go);
  verdict[1] = scale ? A(*scale) : A(1);
  verdict[2] = limit == 0 ? A(1) : limit / (norm < limit ? limit : norm) + (norm - norm);  // NaN if the norm is not finite.
  if (!scale) return;
  const bool enough = go && *good == growth - 1;
  *new_scale = enough ? *scale * 2 : go ? *scale : *scale / 2;
  *new_good = go && !enough ? *good + 1 : 0;
  *new_count = *count + go;
}

// A block for each weight: the factor that shortens its gradient to `limit`; without one, how Lamb's moves compare with weights.
extern "C" __global__ void __launch_bounds__(BLOCK) optimizer_factors(
    const __grid_constant__ Table table, int stride, const A* partial, A limit, A* factors) {
  __shared__ A shared[32];
  const int row = blockIdx.x;
  A first = 0, second = 0;
  for (long long i = first_block(table, row, stride) + threadIdx.x; i < (long long)table.at[row * stride]; i += BLOCK) {
    first += partial[2 * i];
    second += partial[2 * i + 1];
  }
  const A length = gl::sqrt(gl::block_sum(first, shared)), move = gl::sqrt(gl::block_sum(second, shared));
  if (threadIdx.x) return;
  if (limit > 0) factors[row] = limit / (length < limit ? limit : length);
  else factors[row] = length > 0 && move > 0 ? length / move : A(1);
}

#else
enum Rule {
  SHRINK, AVERAGE, SUM, DESCENT, MOMENTUM, ADAM, ADAMAX, NADAM, RMSPROP, ADAGRAD, ADADELTA, FTRL, LION, SCHEDULE_FREE,
  LAMB_MOMENTS, LAMB_MOVE
};

// What is the same for all elements of a block.
struct Now {
  A rate, shrink, divisor, factor, momentum, x, y, z;
  int go, update, take;
};
// base ** exponent, rounded to A: as a power in A's precision, but exact, since 1 less it is what counts.
GL_DEVICE double power(A base, int exponent) {
  double result = 1, square = base;
  for (; exponent > 0; exponent >>= 1, square *= square)
    if (exponent & 1) result *= square;
  return A(result);
}
GL_DEVICE double nadam_momentum(int step, A beta) { return (1 - power(A(0.96), step) * 0.5) * beta; }

GL_DEVICE void prepare(
    Now& now, const Settings& set, const int* count, const float* rate, const A* product, A* new_product, const A* verdict) {
  const int made = count ? *count : set.made, updates = made / set.every, step = updates + set.first;
  const double lr = rate ? double(*rate) : double(set.rate);
  const A* n = set.number;
  now.rate = A(lr);
  now.shrink = A(set.decay * lr);
  now.go = verdict ? verdict[0] != 0 : 1;
  now.update = (made + 1) % set.every == 0;
  now.divisor = verdict ? set.divisor * verdict[1] : set.divisor;
  now.factor = verdict ? verdict[2] : A(1);
  now.momentum = updates ? set.momentum : A(0);
  now.take = set.taken && (updates + 1) % set.taken == 0;
  if (RULE == ADAM) now.x = A(lr * (::sqrt(1 - power(n[2], step)) / (1 - power(n[0], step))));
  if (RULE == ADAMAX) now.x = A(lr / (1 - power(n[0], step)));
  if (RULE == NADAM) {
    const double mine = nadam_momentum(step, n[0]), next = nadam_momentum(step + 1, n[0]);
    const A before = *product, after = new_product ? A(before * mine) : before;
    now.x = A(next / (1 - after * next));
    now.y = A((1 - mine) / (1 - double(after)));
    now.z = A(1 - power(n[2], step));
    if (new_product && blockIdx.x == 0) *new_product = now.go && now.update ? after : before;
  }
  if (RULE == SCHEDULE_FREE) {
    const double warm = n[5] > 0 ? step / double(n[5]) : 1;
    now.x = A((warm < 1 ? warm : 1) * lr);
    now.y = A(1.0 / step);
    now.z = A(1 - power(n[2], step));
  }
  if (RULE == LAMB_MOMENTS || RULE == LAMB_MOVE) {
    now.x = A(1 - power(n[0], step));
    now.z = A(1 - power(n[2], step));
  }
}

// The new weight.  Slots a, b, c in the order of the rule in gpulayers.ops.optimizer; n: its numbers, as its launcher gives them.
GL_DEVICE A next(A w, A g, A& a, A& b, A& c, bool has_b, bool has_c, const Now& now, const A* n, A& length, A& stride) {
  switch (RULE) {
    case SHRINK: return w - w * now.rate;
    case AVERAGE: return w * now.rate + g * (1 - now.rate);
    case SUM: return w + g;
    case DESCENT: return w - g * now.rate;
    case MOMENTUM:
      a = a * n[0] - g * now.rate;
      return n[1] != 0 ? w + a * n[0] - g * now.rate : w + a;
    case ADAM:
      a += (g - a) * n[1];
      b += (g * g - b) * n[3];
      if (has_c) c = c != c || c > b ? c : b;  // NaN stays.
      return w - a * now.x / (gl::sqrt(has_c ? c : b) + n[4]);
    case ADAMAX: {
      const A size = gl::abs(g), kept = b * n[2];
      a += (g - a) * n[1];
      b = kept != kept || kept > size ? kept : size;
      return w - a * now.x / (b + n[4]);
    }
    case NADAM:
      a += (g - a) * n[1];
      b += (g * g - b) * n[3];
      return w - (a * now.x + g * now.y) * now.rate / (gl::sqrt(b / now.z) + n[4]);
    case RMSPROP: {
      a = a * n[0] + g * g * n[1];
      A variance = a;
      if (has_c) {
        c = c * n[0] + g * n[1];
        variance = a - c * c;
      }
      A move = g * now.rate / gl::sqrt(variance + n[3]);
      if (has_b) move = b = b * n[2] + move;
      return w - move;
    }
    case ADAGRAD:
      a += g * g;
      return w - g * now.rate / gl::sqrt(a + n[0]);
    case ADADELTA: {
      a = a * n[0] + g * g * n[1];
      const A move = gl::sqrt(b + n[2]) * g / gl::sqrt(a + n[2]);
      b = b * n[0] + move * move * n[1];
      return w - move * now.rate;
    }
    case FTRL: {
      const A sum = a + g * g;
      const A before = n[0] == A(0.5) ? gl::sqrt(a) : gl::pow(a, n[0]), after = n[0] == A(0.5) ? gl::sqrt(sum) : gl::pow(sum, n[0]);
      a = sum;
      b += g + w * n[3] - (after - before) / now.rate * w;
      return (gl::clip(b, -n[1], n[1]) - b) / (after / now.rate + n[2]);
    }
    case LION: {
      const A direction = a * n[0] + g * n[1];
      a = a * n[2] + g * n[3];
      return w - (direction > 0 ? A(1) : direction < 0 ? A(-1) : direction) * now.rate;
    }
    case SCHEDULE_FREE: {
      b += (g * g - b) * n[3];
      A mean = (w - a * n[1]) / n[0];
      a -= g * now.x / (gl::sqrt(b / now.z) + n[4]);
      mean = mean * (1 - now.y) + a * now.y;
      return a * n[1] + mean * n[0];
    }
    case LAMB_MOMENTS:
    case LAMB_MOVE: {
      if (RULE == LAMB_MOMENTS) {
        a += (g - a) * n[1];
        b += (g * g - b) * n[3];
      }
      const A move = a / now.x / (gl::sqrt(b / now.z) + n[4]);
      length += w * w;
      stride += move * move;
      return w - move * (now.factor * now.rate);
    }
    default: return w;
  }
}

extern "C" __global__ void __launch_bounds__(BLOCK) optimizer_step(
    const __grid_constant__ Table table, const __grid_constant__ Settings set, int weights, int stride,
    const int* count, const float* rate, const A* product, A* new_product, const A* verdict, const A* factors, A* partial) {
  __shared__ Now shared;
  __shared__ A sums[32];
  const int row = row_of(table, weights, stride), at = row * stride;
  const long long elements = table.at[at + 1] >> 1, start = (blockIdx.x - first_block(table, row, stride)) * CHUNK;
  int place = at + 2;
  const T* const w_at = (const T*)table.at[place++];
  T* const out_at = (T*)table.at[place++];
  const T* const g_at = HAS & 1 ? (const T*)table.at[place++] : 0;
  T* const a_at = HAS & 2 ? (T*)table.at[place++] : 0;
  T* const b_at = HAS & 4 ? (T*)table.at[place++] : 0;
  T* const c_at = HAS & 8 ? (T*)table.at[place++] : 0;
  T* const average_at = HAS & 16 ? (T*)table.at[place++] : 0;
  T* const sum_at = HAS & 32 ? (T*)table.at[place++] : 0;
  const bool whole = gl::aligned(w_at, out_at, g_at, a_at) && gl::aligned(b_at, c_at, average_at, sum_at);
  if (threadIdx.x == 0) prepare(shared, set, count, rate, product, new_product, verdict);
  __syncthreads();
  Now now = shared;
  if (factors) now.factor = factors[row];
  if (!(table.at[at + 1] & 1)) now.shrink = 0;
  const bool changes = now.go && now.update, last = RULE != LAMB_MOMENTS;
  A length = 0, stretch = 0;
#pragma unroll 1
  for (int turn = 0; turn < TURNS; turn++) {
    const long long i = start + (turn * BLOCK + threadIdx.x) * N;
    if (i >= elements) break;
    A w[N], g[N], a[N], b[N], c[N], average[N], sum[N];
    read(w, w_at, i, elements, whole);
    if (g_at) read(g, g_at, i, elements, whole);
    if (a_at) read(a, a_at, i, elements, whole);
    if (b_at) read(b, b_at, i, elements, whole);
    if (c_at) read(c, c_at, i, elements, whole);
    if (average_at) read(average, average_at, i, elements, whole);
    if (sum_at) read(sum, sum_at, i, elements, whole);
    if (now.go && g_at && now.divisor != 1) {
#pragma unroll
      for (int j = 0; j < N; j++) g[j] /= now.divisor;
    }
    if (now.go && sum_at) {
#pragma unroll
      for (int j = 0; j < N; j++) {
        g[j] += sum[j];
        sum[j] = now.update ? A(0) : g[j];
        g[j] /= set.every;
      }
      write(sum_at, sum, i, elements, whole);
    }
    if (changes) {
#pragma unroll
      for (int j = 0; j < N; j++) {
        if (RULE != LAMB_MOVE && g_at) g[j] = gl::clip(g[j] * now.factor, -set.limit, set.limit);
        w[j] -= w[j] * now.shrink;
        w[j] = next(w[j], g[j], a[j], b[j], c[j], b_at, c_at, now, set.number, length, stretch);
      }
      if (RULE != LAMB_MOVE) {
        if (a_at) write(a_at, a, i, elements, whole);
        if (b_at) write(b_at, b, i, elements, whole);
        if (c_at) write(c_at, c, i, elements, whole);
      }
    }
    if (now.go && average_at) {
#pragma unroll
      for (int j = 0; j < N; j++) {
        average[j] = average[j] * now.momentum + w[j] * (1 - now.momentum);
        if (now.take) w[j] = average[j];
      }
      write(average_at, average, i, elements, whole);
    }
    if (last) write(out_at, w, i, elements, whole);
  }
  if (RULE == LAMB_MOMENTS) {
    length = gl::block_sum(length, sums);
    stretch = gl::block_sum(stretch, sums);
    if (threadIdx.x == 0) {
      partial[2 * (long long)blockIdx.x] = length;
      partial[2 * (long long)blockIdx.x + 1] = stretch;
    }
  }
}
#endif
