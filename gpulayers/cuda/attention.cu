// Exact attention by tiles: softmax(scale q k^T + bias) v, and its gradients, without a matrix of all scores in memory.
//
// query (B, T, N, H), key (B, S, K, H), value (B, S, K, V), g like out: at any strides, elements of a line side by side; out, dquery,
// dkey, dvalue like out, query, key, value: C-contiguous.  mask, bias: broadcast to (B, N, T, S) by strides.  lengths, starts: (B,).
// Each of mask, bias, lengths, starts may be NULL.  sums, delta: (B, N, T).
//
// Forward: a block has ROWS queries of a head; of each tile of keys the scores are made, used and forgotten.  The softmax is taken
// relative to the largest score so far, and what was summed before shrinks when a larger one comes (Milakov, Gimelshein, 2018,
// arXiv:1805.02867; Dao and others: "FlashAttention", 2022, arXiv:2205.14135; "FlashAttention-2", 2023, arXiv:2307.08691).  Kept is the
// logarithm of each query's sum, in units of UNIT; infinity for queries that see nothing.  Backward: the scores are made again, once
// by blocks that have queries and once by blocks that have keys and meet the queries of their whole group of heads in order.  So each
// sum has one order, and one block: the same bits each time.
// Tiles that `causal`, a window or a sample's length rule out are skipped.
//
// Constants: T; B: the type of the bias; PASS; EXTRAS: whether there may be a mask, a bias, dropout, a scale that is not positive, or
// queries that see nothing and get the mean; TENSOR: 0 without tensor cores, 1 on them; ROWS, COLUMNS, SIZE, WIDTH and M: see
// attention_plain.cuh and attention_tensor.cuh.  On tensor cores dynamic shared memory holds ROWS lines of mine (one or two arrays) and
// four times COLUMNS lines of others, of SIZE + 8 elements.
#include "common.cuh"
#include "attention.cuh"
#if TENSOR
#include "attention_tensor.cuh"
#else
#include "attention_plain.cuh"
#endif
#include "attention_scores.cuh"

#if PASS == FORWARD
extern "C" __global__ void __launch_bounds__(THREADS, 1) attention_forward(
    const T* query, const T* key, const T* value, const B* bias, const bool* mask, const int* lengths, const int* starts, T* out,
    A* sums, const uint64* stream, uint64 seed, uint64 counter, uint32 threshold, A grow, A scale, Problem p) {
  const int tiles = (p.length + ROWS - 1) / ROWS;
  const Place at(tiles, SLICES, p.heads);
  const int first = (tiles - 1 - at.tile) * ROWS;  // Those that see most of all begin first, if causal.
  const Scores rules(p, mask, bias, lengths, starts, at.batch, at.head);
  const Lines queries = Lines(query, p.query, at.batch, at.head, p.length, p.size).from(first);
  const Lines keys(key, p.key, at.batch, at.head / p.group, p.keys, p.size);
  const Lines values(value, p.value, at.batch, at.head / p.group, p.keys, p.value_size);
  const long long lines = ((long long)at.batch * p.heads + at.head) * p.length;
  const A factor = EXTRAS ? A(1) : scale * UNIT;
  __shared__ Kept kept[EXTRAS ? 2 : 1];
  Stage stage;
  Sums o;
  A largest[LINES], total[LINES];
  uint32 blind = 0;
#pragma unroll
  for (int i = 0; i < LINES; i++) {
    largest[i] = -gl::infinity(), total[i] = 0;
#pragma unroll
    for (int c = 0; c < SUMS; c++) o.at(i, c) = 0;
  }
  stage.put(0, queries);
#pragma unroll 1
  for (int again = 0;; again = 1) {  // Again for queries that see nothing: all values have one weight.
    const int end = again ? p.keys : rules.end(first);
    int k = again ? 0 : rules.begin(first);
    if (k < end) stage.fetch(0, keys.from(k), values.from(k));
#pragma unroll 1
    for (int turn = 0; k < end; k += COLUMNS, turn ^= 1) {
      if (EXTRAS && threshold) kept[turn].make({stream, seed, counter, threshold, grow}, lines, first, k, p.length, p.keys);
      stage.ready(turn, keys.from(k), values.from(k));
      if (k + COLUMNS < end) stage.fetch(turn ^ 1, keys.from(k + COLUMNS), values.from(k + COLUMNS));
      Tile s;
      stage.inner<0>(s);
      if (!EXTRAS || !again) {
        restricted(s, rules, first, k, scale * UNIT);
      } else {
#pragma unroll
        for (int i = 0; i < LINES; i++)
#pragma unroll
          for (int j = 0; j < PLACES; j++) s.at(i, j) = blind >> i & 1 && k + column(j) < p.keys ? A(0) : -gl::infinity();
      }
      A shrunk[LINES];
      weigh(s, largest, total, shrunk, factor);
      shrink(o, shrunk);
      if (EXTRAS && threshold) {
#pragma unroll
        for (int i = 0; i < LINES; i++)
#pragma unroll
          for (int j = 0; j < PLACES; j++)
            if (!kept[turn].at((uint32)lines + first, row(i), k, column(j), p.keys)) s.at(i, j) = 0;
      }
      stage.outer<1>(o, s, at.slice * WIDTH);
    }
    if (!EXTRAS || again || !p.mean) break;
#pragma unroll
    for (int i = 0; i < LINES; i++) blind |= (uint32)(gl::warp_sum<LANES>(total[i]) == 0) << i;
    if (!__syncthreads_or(blind != 0)) break;
  }
  stage.done();
#pragma unroll
  for (int i = 0; i < LINES; i++) {
    const A sum = gl::warp_sum<LANES>(total[i]);
    const bool sees = sum != 0 && !(blind >> i & 1);
    const int line = first + row(i);
    if (at.slice == 0 && threadIdx.x % LANES == 0 && line < p.length)
      sums[lines + line] = sees ? largest[i] * factor + logarithm(sum) : A(gl::infinity());
    total[i] = sum == 0 ? A(0) : grow / sum;
  }
  T* to = out + (((long long)at.batch * p.length + first) * p.heads + at.head) * p.value_size;
  put(to, (long long)p.heads * p.value_size, p.length - first, p.value_size, at.slice * WIDTH, o, total);
}

// delta = the sums of out times g over each line: what all gradients of its scores have in common.
extern "C" __global__ void __launch_bounds__(256) attention_delta(const T* out, const T* g, A* delta, Problem p) {
  const long long line = (long long)blockIdx.x * 8 + threadIdx.x / 32, lines = (long long)p.batch * p.heads * p.length;
  const int head = (int)(line % p.heads), place = (int)(line / p.heads % p.length), lane = threadIdx.x % 32;
  const long long batch = line / p.heads / p.length;
  const T *x = out + line * p.value_size, *y = g + batch * p.g.batch + place * p.g.place + head * p.g.head;
  A sum = 0;
  if (line < lines)
    for (int i = lane; i < p.value_size; i += 32) sum += gl::to<A>(x[i]) * gl::to<A>(y[i]);
  sum = gl::warp_sum(sum);
  if (line < lines && lane == 0) delta[(batch * p.heads + head) * p.length + place] = sum;
}
#else
// From scores and the products of g with values: the gradients of scores (in their place), and the weights as they were applied.
// `sum` and `delta` of an element are those of its query.
struct Gradient {
  const Kept* kept;  // NULL without dropout.
  uint32 line;       // The number of the head's first query among all.
  int query, key, length, keys, mean;
  A factor, grow;
  GL_DEVICE void of(A& s, A& d, A sum, A delta, int q, int k) const {
    A weight = power(s * factor - sum);
    const bool stays = !EXTRAS || !kept || kept->at(line + query, q, key, k, keys);
    s = weight * ((stays ? d * grow : A(0)) - delta);
    if (BY_KEY && EXTRAS && mean && sum == gl::infinity() && query + q < length && key + k < keys) weight = A(1) / keys;
    d = stays ? weight * grow : A(0);
  }
};
#endif

#if PASS == QUERY
extern "C" __global__ void __launch_bounds__(THREADS, 1) attention_query(
    const T* query, const T* key, const T* value, const T* g, const B* bias, const bool* mask, const int* lengths, const int* starts,
    const A* sums, const A* delta, T* dquery, const uint64* stream, uint64 seed, uint64 counter, uint32 threshold, A grow, A scale,
    Problem p) {
  const int tiles = (p.length + ROWS - 1) / ROWS;
  const Place at(tiles, SLICES, p.heads);
  const int first = (tiles - 1 - at.tile) * ROWS;
  const Scores rules(p, mask, bias, lengths, starts, at.batch, at.head);
  const Lines keys(key, p.key, at.batch, at.head / p.group, p.keys, p.size);
  const Lines values(value, p.value, at.batch, at.head / p.group, p.keys, p.value_size);
  const long long lines = ((long long)at.batch * p.heads + at.head) * p.length;
  __shared__ Kept kept[EXTRAS ? 2 : 1];
  Gradient gradient = {0, (uint32)lines, first, 0, p.length, p.keys, p.mean, EXTRAS ? A(1) : scale * UNIT, grow};
  Stage stage;
  Sums dq;
  A sum[LINES], common[LINES];
#pragma unroll
  for (int i = 0; i < LINES; i++) {
    const bool there = first + row(i) < p.length;
    sum[i] = there ? sums[lines + first + row(i)] : A(gl::infinity());
    common[i] = there ? delta[lines + first + row(i)] : A(0);
#pragma unroll
    for (int c = 0; c < SUMS; c++) dq.at(i, c) = 0;
  }
  stage.put(0, Lines(query, p.query, at.batch, at.head, p.length, p.size).from(first));
  stage.put(1, Lines(g, p.g, at.batch, at.head, p.length, p.value_size).from(first));
  const int end = rules.end(first);
  int k = rules.begin(first);
  if (k < end) stage.fetch(0, keys.from(k), values.from(k));
#pragma unroll 1
  for (int turn = 0; k < end; k += COLUMNS, turn ^= 1) {
    if (EXTRAS && threshold) {
      kept[turn].make({stream, seed, counter, threshold, grow}, lines, first, k, p.length, p.keys);
      gradient.kept = &kept[turn];
    }
    stage.ready(turn, keys.from(k), values.from(k));
    if (k + COLUMNS < end) stage.fetch(turn ^ 1, keys.from(k + COLUMNS), values.from(k + COLUMNS));
    Tile s, d;
    stage.inner<0>(s);
    restricted(s, rules, first, k, scale * UNIT);
    stage.inner<1>(d);
    gradient.key = k;
#pragma unroll
    for (int i = 0; i < LINES; i++)
#pragma unroll
      for (int j = 0; j < PLACES; j++) gradient.of(s.at(i, j), d.at(i, j), sum[i], common[i], row(i), column(j));
    stage.outer<0>(dq, s, at.slice * WIDTH);
  }
  stage.done();
#pragma unroll
  for (int i = 0; i < LINES; i++) sum[i] = scale;
  T* to = dquery + (((long long)at.batch * p.length + first) * p.heads + at.head) * p.size;
  put(to, (long long)p.heads * p.size, p.length - first, p.size, at.slice * WIDTH, dq, sum);
}
#endif

#if PASS == KEY
// The tiles of queries that a block meets, one after the other: those of all heads of its group.
struct Walk {
  int head, query;
};

extern "C" __global__ void __launch_bounds__(THREADS, 1) attention_key(
    const T* query, const T* key, const T* value, const T* g, const B* bias, const bool* mask, const int* lengths, const int* starts,
    const A* sums, const A* delta, T* dkey, T* dvalue, const uint64* stream, uint64 seed, uint64 counter, uint32 threshold, A grow,
    A scale, Problem p) {
  const int tiles = (p.keys + ROWS - 1) / ROWS, groups = p.heads / p.group;
  const Place at(tiles, SLICES, groups);
  const int first = at.tile * ROWS, last = (at.head + 1) * p.group;
  const Lines keys = Lines(key, p.key, at.batch, at.head, p.keys, p.size).from(first);
  const Lines values = Lines(value, p.value, at.batch, at.head, p.keys, p.value_size).from(first);
  __shared__ Kept kept[EXTRAS ? 2 : 1];
  __shared__ A numbers[2][2][COLUMNS];
  Gradient gradient = {0, 0, 0, first, p.length, p.keys, p.mean, EXTRAS ? A(1) : scale * UNIT, grow};
  Stage stage;
  Sums dk, dv;
#pragma unroll
  for (int i = 0; i < LINES; i++)
#pragma unroll
    for (int c = 0; c < SUMS; c++) dk.at(i, c) = dv.at(i, c) = 0;
  stage.put(0, keys);
  stage.put(1, values);
  const Scores any(p, mask, bias, lengths, starts, at.batch, 0);
  const bool all = EXTRAS && p.mean;  // Queries that see no key give gradients to the values of all.
  const int begin = all ? 0 : any.begin(first), end = all ? p.length : any.end(first);
  const auto lines_of = [&](int head) { return ((long long)at.batch * p.heads + head) * p.length; };
  const auto needed = [&](const Walk& w) {
    if (!all || (w.query >= any.begin(first) && w.query < any.end(first))) return true;
    int blind = 0;
    for (int i = threadIdx.x; i < COLUMNS; i += THREADS)
      if (w.query + i < p.length) blind |= sums[lines_of(w.head) + w.query + i] == gl::infinity();
    return __syncthreads_or(blind) != 0;
  };
  const auto advance = [&](Walk& w) {  // To the next tile that is needed.
    do {
      w.query += COLUMNS;
      if (w.query >= end) w.query = begin, w.head++;
    } while (w.head < last && !needed(w));
  };
  const auto fetch = [&](int turn, const Walk& w) {
    const Lines queries(query, p.query, at.batch, w.head, p.length, p.size), gs(g, p.g, at.batch, w.head, p.length, p.value_size);
    stage.fetch(turn, queries.from(w.query), gs.from(w.query));
  };
  Walk now = {begin < end ? at.head * p.group : last, begin};
  if (now.head < last && !needed(now)) advance(now);
  if (now.head < last) fetch(0, now);
#pragma unroll 1
  for (int turn = 0; now.head < last; turn ^= 1) {
    const Scores rules(p, mask, bias, lengths, starts, at.batch, now.head);
    const long long lines = lines_of(now.head);
    const Lines queries(query, p.query, at.batch, now.head, p.length, p.size), gs(g, p.g, at.batch, now.head, p.length, p.value_size);
    for (int i = threadIdx.x; i < COLUMNS; i += THREADS) {
      const bool there = now.query + i < p.length;
      numbers[turn][0][i] = there ? sums[lines + now.query + i] : A(gl::infinity());
      numbers[turn][1][i] = there ? delta[lines + now.query + i] : A(0);
    }
    if (EXTRAS && threshold) {
      kept[turn].make({stream, seed, counter, threshold, grow}, lines, now.query, first, p.length, p.keys);
      gradient.kept = &kept[turn];
    }
    stage.ready(turn, queries.from(now.query), gs.from(now.query));
    Walk next = now;
    advance(next);
    if (next.head < last) fetch(turn ^ 1, next);
    Tile s, d;
    stage.inner<0>(s);
    restricted(s, rules, first, now.query, scale * UNIT);
    stage.inner<1>(d);
    gradient.line = (uint32)lines, gradient.query = now.query;
#pragma unroll
    for (int i = 0; i < LINES; i++)
#pragma unroll
      for (int j = 0; j < PLACES; j++)
        gradient.of(s.at(i, j), d.at(i, j), numbers[turn][0][column(j)], numbers[turn][1][column(j)], column(j), row(i));
    stage.outer<1>(dv, d, at.slice * WIDTH);
    stage.outer<0>(dk, s, at.slice * WIDTH);
    now = next;
  }
  stage.done();
  A ones[LINES], scales[LINES];
#pragma unroll
  for (int i = 0; i < LINES; i++) ones[i] = 1, scales[i] = scale;
  const long long line = ((long long)at.batch * p.keys + first) * groups + at.head;
  put(dkey + line * p.size, (long long)groups * p.size, p.keys - first, p.size, at.slice * WIDTH, dk, scales);
  put(dvalue + line * p.value_size, (long long)groups * p.value_size, p.keys - first, p.value_size, at.slice * WIDTH, dv, ones);
}
#endif

#if PASS == BIAS
// The gradient of scores, summed over the axes along which the bias is broadcast (`by` 0: of that axis it has one).  A block makes a
// tile of the bias from a part of what is to be summed: to dbias if there is one part only, else to partial (parts, size of the bias).
extern "C" __global__ void __launch_bounds__(THREADS, 1) attention_bias(
    const T* query, const T* key, const T* value, const T* g, const B* bias, const bool* mask, const int* lengths, const int* starts,
    const A* sums, const A* delta, B* dbias, A* partial, const uint64* stream, uint64 seed, uint64 counter, uint32 threshold, A grow,
    A scale, int batches, int heads, int queries, int keys, int parts, Problem p) {
  const int down = (p.length + ROWS - 1) / ROWS, across = (p.keys + COLUMNS - 1) / COLUMNS;
  const int row_tiles = queries == 1 ? 1 : down, column_tiles = keys == 1 ? 1 : across;  // Of the bias.
  const int more_rows = queries == 1 ? down : 1, more_columns = keys == 1 ? across : 1;  // That are added to one of these.
  const int more_heads = heads == 1 ? p.heads : 1, more_batches = batches == 1 ? p.batch : 1;
  long long rest = blockIdx.x;
  const int part = (int)(rest % parts);
  rest /= parts;
  const int column_tile = (int)(rest % column_tiles), row_tile = (int)(rest / column_tiles % row_tiles);
  rest /= (long long)column_tiles * row_tiles;
  const int bias_head = (int)(rest % heads), bias_batch = (int)(rest / heads);
  const long long count = (long long)more_rows * more_columns * more_heads * more_batches;
  __shared__ Kept kept;
  __shared__ A across_warps[ROWS][COLUMNS + 1];
  Gradient gradient = {threshold ? &kept : (Kept*)0, 0, 0, 0, p.length, p.keys, 0, A(1), grow};
  Stage stage;
  A total[LINES][PLACES];
#pragma unroll
  for (int i = 0; i < LINES * PLACES; i++) total[i / PLACES][i % PLACES] = 0;
#pragma unroll 1
  for (long long item = count * part / parts; item < count * (part + 1) / parts; item++) {
    const int q = (row_tile + (int)(item % more_rows)) * ROWS, k = (column_tile + (int)(item / more_rows % more_columns)) * COLUMNS;
    const long long pair = item / more_rows / more_columns;
    const int head = bias_head + (int)(pair % more_heads), batch = bias_batch + (int)(pair / more_heads);
    const Scores rules(p, mask, bias, lengths, starts, batch, head);
    if (k + COLUMNS <= rules.begin(q) || k >= rules.end(q)) continue;
    const Lines ks = Lines(key, p.key, batch, head / p.group, p.keys, p.size).from(k);
    const Lines vs = Lines(value, p.value, batch, head / p.group, p.keys, p.value_size).from(k);
    const long long lines = ((long long)batch * p.heads + head) * p.length;
    __syncthreads();  // All have used the tiles before.
    stage.put(0, Lines(query, p.query, batch, head, p.length, p.size).from(q));
    stage.put(1, Lines(g, p.g, batch, head, p.length, p.value_size).from(q));
    stage.fetch(0, ks, vs);
    if (threshold) kept.make({stream, seed, counter, threshold, grow}, lines, q, k, p.length, p.keys);
    stage.ready(0, ks, vs);
    Tile s, d;
    stage.inner<0>(s);
    restricted(s, rules, q, k, scale * UNIT);
    stage.inner<1>(d);
    gradient.line = (uint32)lines, gradient.query = q, gradient.key = k;
#pragma unroll
    for (int i = 0; i < LINES; i++) {
      const int line = q + row(i);
      const A sum = line < p.length ? sums[lines + line] : A(gl::infinity()), common = line < p.length ? delta[lines + line] : A(0);
#pragma unroll
      for (int j = 0; j < PLACES; j++) {
        gradient.of(s.at(i, j), d.at(i, j), sum, common, row(i), column(j));
        total[i][j] += s.at(i, j);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < LINES; i++)
#pragma unroll
    for (int j = 0; j < PLACES; j++) across_warps[row(i)][column(j)] = total[i][j];
  __syncthreads();
  const int rows = queries == 1 ? 1 : ROWS, columns = keys == 1 ? 1 : COLUMNS;
  const long long size = (long long)batches * heads * queries * keys;
  for (int i = threadIdx.x; i < rows * columns; i += THREADS) {
    const int q = row_tile * ROWS + i / columns, k = column_tile * COLUMNS + i % columns;
    if (q >= queries || k >= keys) continue;
    A sum = 0;
    for (int y = 0; y < (queries == 1 ? ROWS : 1); y++)
      for (int x = 0; x < (keys == 1 ? COLUMNS : 1); x++) sum += across_warps[i / columns + y][i % columns + x];
    const long long place = (((long long)bias_batch * heads + bias_head) * queries + q) * keys + k;
    if (dbias) dbias[place] = gl::from<B>(sum);
    else partial[part * size + place] = sum;
  }
}
#endif
