// What the kernels of attention have in common: where arrays lie, which scores count, dropout's bits.
//
// A block has ROWS lines of one side (queries, or in the pass KEY keys: "mine") and meets those of the other side, COLUMNS at a time
// ("others").  The header for its kind of products, attention_plain.cuh or attention_tensor.cuh, says which elements a thread has.
#define FORWARD 0  // Outputs.
#define QUERY 1    // The gradient of queries.
#define KEY 2      // Those of keys and values.
#define BIAS 3     // That of the bias.
#define DECODE 4   // Outputs for a few queries: mine are those of all heads that share keys.
constexpr bool BY_KEY = PASS == KEY;
constexpr int QUERIES = BY_KEY ? COLUMNS : ROWS, KEYS = BY_KEY ? ROWS : COLUMNS;  // Of a tile.
constexpr int PER = 16 / sizeof(T);  // Elements of 16 bytes.
constexpr bool SHORT = sizeof(T) == 2;

// Exponentials are powers of 2 for 16-bit floats, where they take one instruction, else of e.  Scores are multiplied by UNIT.
constexpr A UNIT = SHORT ? (A)1.4426950408889634 : (A)1;
GL_DEVICE A power(A x) { return SHORT ? (A)gl::fast_exp2((float)x) : gl::exp(x); }
GL_DEVICE A logarithm(A x) { return SHORT ? (A)(gl::fast_log((float)x) * 1.44269504f) : gl::log(x); }

// Elements from one to the next along each axis: of an array (samples, places, heads, size), whose elements of `size` are neighbours,
// and of one that is broadcast to (samples, heads, queries, keys), 0 where it has one for all.
struct Strides { long long batch, place, head; };
struct Spread { long long batch, head, query, key; };
struct Problem {
  Strides query, key, value, g;
  Spread mask, bias;
  int batch, heads, group;  // `group` heads of queries share a head of keys and values.
  int length, keys, size, value_size;
  int before, after;  // A query at place i sees the keys i - before ... i + after.
  int mean;           // Whether queries that see no key get the mean of all values, or else zeros.
};

// Lines of an array: `count` of them, each of `size` elements; in the pass DECODE `group` of them, `step` apart, after each `ld`.
struct Lines {
  const T* x;
  long long ld, step;
  int count, size, group;
  bool whole;  // Whether 16 bytes may be moved at once.
  GL_DEVICE Lines() {}
  GL_DEVICE Lines(const T* x, const Strides& s, int batch, int head, int count, int size)
      : x(x + batch * s.batch + head * s.head), ld(s.place), step(s.head), count(count), size(size), group(1),
        whole(gl::aligned(x) && (s.batch | s.place | s.head) % PER == 0) {}
  GL_DEVICE const T* line(int i) const { return x + i / group * ld + i % group * step; }  // If packed.
  GL_DEVICE Lines from(int first) const {
    Lines rest = *this;
    rest.x += first * ld, rest.count -= first;
    return rest;
  }
};

// Which scores of a sample and a head count, and what is added to them.
struct Scores {
  const bool* mask;
  const B* bias;
  long long mask_mine, bias_mine, mask_head, bias_head;  // From one to the next of mine, and of others.
  int mask_other, bias_other;
  int length, seen;  // All queries, and how many keys are seen.
  int low, high;     // Of mine at m, others from m + low to m + high count.
  int group;
  GL_DEVICE Scores(const Problem& p, const bool* masks, const B* biases, const int* lengths, const int* starts, int batch, int head)
      : mask_head(p.mask.head), bias_head(p.bias.head), length(p.length), group(p.group) {
    seen = lengths ? gl::clip(lengths[batch], 0, p.keys) : p.keys;
    const int start = starts ? gl::clip(starts[batch], -(1 << 29), 1 << 29) : 0;
    low = BY_KEY ? -p.after - start : start - p.before, high = BY_KEY ? p.before - start : start + p.after;
    mask = masks ? masks + batch * p.mask.batch + head * p.mask.head : masks;
    bias = biases ? biases + batch * p.bias.batch + head * p.bias.head : biases;
    mask_mine = BY_KEY ? p.mask.key : p.mask.query, mask_other = (int)(BY_KEY ? p.mask.query : p.mask.key);
    bias_mine = BY_KEY ? p.bias.key : p.bias.query, bias_other = (int)(BY_KEY ? p.bias.query : p.bias.key);
  }
  GL_DEVICE int mine() const { return BY_KEY ? seen : length; }
  GL_DEVICE int others() const { return BY_KEY ? length : seen; }
  // The others that ROWS of mine from `first` on may meet: [begin, end), from a multiple of COLUMNS on.
  GL_DEVICE int begin(int first) const { return gl::max(first + low, 0) / COLUMNS * COLUMNS; }
  GL_DEVICE int end(int first) const {
    if (first >= mine()) return 0;
    return gl::max(gl::min(others(), gl::min(first + ROWS, mine()) + high), 0);
  }
  // Whether all scores of a tile count, but for the mask.
  GL_DEVICE bool whole(int mine, int other) const {
    return other >= mine + (PASS == DECODE ? length : ROWS) - 1 + low && other + COLUMNS - 1 <= mine + high && other + COLUMNS <= others() &&
           (!BY_KEY || mine + ROWS <= seen);
  }
};

// Dropout of the weights (samples, heads, queries, keys): gl::kept says which stay; these grow.
struct Dropout {
  const uint64* start;
  uint64 seed, counter;
  uint32 threshold;
  A grow;
};
constexpr int WORDS = KEYS / 16 + 1;  // Of 16 bits, for a tile's keys: they may begin within a word.
struct Kept {
  uint16 bits[QUERIES][WORDS];
  // Of a tile, by all threads.  `row`: the number of the head's first row among all (samples, heads, queries).
  GL_DEVICE void make(const Dropout& d, long long row, int query, int key, int length, int keys) {
    for (int i = threadIdx.x; i < QUERIES * WORDS; i += blockDim.x) {
      const int q = i / WORDS, word = i % WORDS;
      const long long first = (row + query + q) * keys + key;
      if (query + q < length && (word < WORDS - 1 || first % 16))
        bits[q][word] = (uint16)gl::kept(d.start, d.seed, d.counter, first / 16 + word, d.threshold);
    }
  }
  // Whether a weight stays; q, k: of the tile, which begins at this query (of all rows) and key.
  GL_DEVICE bool at(uint32 row, int q, int key, int k, int keys) const {
    const uint32 place = ((row + q) * (uint32)keys + key) % 16 + k;
    return bits[q][place / 16] >> place % 16 & 1;
  }
};
