// Attention of a few queries to many keys, as in generation from a cache: what takes time is reading keys and values, once.
//
// A block has all queries of the heads that share a head of keys (rows: a query after the other, of each the heads of the group), and
// of the keys a part: `splits` blocks share them.  Each writes what it found, relative to its largest scores, to partial (B, K, splits,
// rows, V) and numbers (B, K, splits, rows, 2: the largest, the sum of exponentials); attention_combine adds these in their order: the
// same bits each time.  Arguments and constants as in attention.cu; PASS is DECODE.
#include "common.cuh"
#include "attention.cuh"
#if TENSOR
#include "attention_tensor.cuh"
#else
#include "attention_plain.cuh"
#endif
#include "attention_scores.cuh"

// Split i has the keys from i * each on; `each` is a multiple of COLUMNS.
extern "C" __global__ void __launch_bounds__(THREADS, 1) attention_decode(
    const T* query, const T* key, const T* value, const B* bias, const bool* mask, const int* lengths, const int* starts, A* partial,
    A* numbers, A scale, int splits, int each, Problem p) {
  const int groups = p.heads / p.group, rows = p.length * p.group;
  const Place at(splits, SLICES, groups);
  const Scores rules(p, mask, bias, lengths, starts, at.batch, at.head * p.group);
  Lines queries(query, p.query, at.batch, at.head * p.group, rows, p.size);
  queries.group = p.group;
  const Lines keys(key, p.key, at.batch, at.head, p.keys, p.size), values(value, p.value, at.batch, at.head, p.keys, p.value_size);
  const A factor = EXTRAS ? A(1) : scale * UNIT;
  Stage stage;
  Sums o;
  A largest[LINES], total[LINES];
#pragma unroll
  for (int i = 0; i < LINES; i++) {
    largest[i] = -gl::infinity(), total[i] = 0;
#pragma unroll
    for (int c = 0; c < SUMS; c++) o.at(i, c) = 0;
  }
  stage.put(0, queries);
  const int end = gl::min(rules.end(0), (at.tile + 1) * each);
  int k = gl::max(rules.begin(0), at.tile * each);
  if (k < end) stage.fetch(0, keys.from(k), values.from(k));
#pragma unroll 1
  for (int turn = 0; k < end; k += COLUMNS, turn ^= 1) {
    stage.ready(turn, keys.from(k), values.from(k));
    if (k + COLUMNS < end) stage.fetch(turn ^ 1, keys.from(k + COLUMNS), values.from(k + COLUMNS));
    Tile s;
    stage.inner<0>(s);
    restricted(s, rules, 0, k, scale * UNIT);
    A shrunk[LINES];
    weigh(s, largest, total, shrunk, factor);
    shrink(o, shrunk);
    stage.outer<1>(o, s, at.slice * WIDTH);
  }
  stage.done();
  const long long part = (((long long)at.batch * groups + at.head) * splits + at.tile) * rows;
#pragma unroll
  for (int i = 0; i < LINES; i++) {
    const A sum = gl::warp_sum<LANES>(total[i]);
    if (at.slice == 0 && threadIdx.x % LANES == 0 && row(i) < rows) {
      numbers[(part + row(i)) * 2] = sum == 0 ? -A(gl::infinity()) : largest[i] * factor;
      numbers[(part + row(i)) * 2 + 1] = sum;
    }
    total[i] = 1;
  }
  put(partial + part * p.value_size, p.value_size, rows, p.value_size, at.slice * WIDTH, o, total);
}

// A warp for each query and head.
extern "C" __global__ void __launch_bounds__(256) attention_combine(
    const A* partial, const A* numbers, const T* value, T* out, A* sums, int splits, Problem p) {
  const int groups = p.heads / p.group, rows = p.length * p.group, lane = threadIdx.x % 32;
  const long long line = (long long)blockIdx.x * 8 + threadIdx.x / 32;
  if (line >= (long long)p.batch * groups * rows) return;
  const int row = (int)(line % rows), group = (int)(line / rows % groups), batch = (int)(line / rows / groups);
  const int head = group * p.group + row % p.group, place = row / p.group;
  const long long first = (line - row) * splits + row;  // Of the first split; from one to the next are `rows`.
  A largest = -gl::infinity(), total = 0;
  for (int i = 0; i < splits; i++) largest = gl::max(numbers[(first + (long long)i * rows) * 2], largest);
  for (int i = 0; i < splits; i++) {
    const A* n = numbers + (first + (long long)i * rows) * 2;
    if (n[1] != 0) total += n[1] * power(n[0] - largest);
  }
  if (lane == 0) sums[((long long)batch * p.heads + head) * p.length + place] = total == 0 ? A(gl::infinity()) : largest + logarithm(total);
  T* to = out + (((long long)batch * p.length + place) * p.heads + head) * p.value_size;
  for (int v = lane; v < p.value_size; v += 32) {
    A sum = 0;
    if (total != 0) {
      for (int i = 0; i < splits; i++) {
        const long long at = first + (long long)i * rows;
        if (numbers[at * 2 + 1] != 0) sum += partial[at * p.value_size + v] * power(numbers[at * 2] - largest);
      }
      sum /= total;
    } else if (p.mean) {
      const T* x = value + batch * p.value.batch + group * p.value.head + v;
      for (int k = 0; k < p.keys; k++) sum += gl::to<A>(x[k * p.value.place]);
      sum /= p.keys;
    }
    to[v] = gl::from<T>(sum);
  }
}
