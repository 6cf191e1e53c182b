// From products of tiles to weights: for sources that include this after attention_plain.cuh or attention_tensor.cuh.
constexpr int SLICES = SIZE / WIDTH;  // Blocks that share the sums of a tile.

// What a block works at: tiles are next to each other, then slices, then heads, then samples.
struct Place {
  int tile, slice, head, batch;
  GL_DEVICE Place(int tiles, int slices, int heads) {
    int rest = blockIdx.x;
    tile = rest % tiles, rest /= tiles;
    slice = rest % slices, rest /= slices;
    head = rest % heads, batch = rest / heads;
  }
};

// Scores from products: scaled, biased, minus infinity where they do not count.  Without EXTRAS the scale is left to who uses them.
GL_DEVICE void restricted(Tile& s, const Scores& rules, int mine, int other, A scale) {
  if (!EXTRAS && rules.whole(mine, other)) return;
#pragma unroll
  for (int i = 0; i < LINES; i++) {
    if (EXTRAS) __syncwarp();  // So that no more loads are under way than there are registers for.
    const int line = row(i), m = mine + (PASS == DECODE ? line / rules.group : line), begin = m + rules.low - other;
    const int end = m < rules.mine() ? gl::min(m + rules.high + 1, rules.others()) - other : 0;  // Columns that count.
    const bool* mask = rules.mask + (m * rules.mask_mine + (long long)other * rules.mask_other);
    const B* bias = rules.bias + (m * rules.bias_mine + (long long)other * rules.bias_other);
    if (PASS == DECODE) mask += line % rules.group * rules.mask_head, bias += line % rules.group * rules.bias_head;
#pragma unroll
    for (int j = 0; j < PLACES; j++) {
      const int c = column(j);
      bool counts = c >= begin && c < end;
      if (EXTRAS) {
        if (counts && rules.mask) counts = mask[c * rules.mask_other];
        s.at(i, j) *= scale;
        if (counts && rules.bias) s.at(i, j) += gl::to<A>(bias[c * rules.bias_other]) * UNIT;
      }
      if (!counts) s.at(i, j) = -gl::infinity();
    }
  }
}

// The weights of a tile, relative to the largest scores so far; what was summed before is to shrink by `shrunk`.
GL_DEVICE void weigh(Tile& s, A* largest, A* total, A* shrunk, A factor) {
#pragma unroll
  for (int i = 0; i < LINES; i++) {
    A top = largest[i];
#pragma unroll
    for (int j = 0; j < PLACES; j++) top = gl::max(s.at(i, j), top);
    top = gl::warp_max<LANES>(top);
    const A base = top == -gl::infinity() ? A(0) : top * factor;
    shrunk[i] = power(largest[i] * factor - base);
    largest[i] = top;
    total[i] *= shrunk[i];
#pragma unroll
    for (int j = 0; j < PLACES; j++) {
      s.at(i, j) = power(s.at(i, j) * factor - base);
      total[i] += s.at(i, j);
    }
  }
}
GL_DEVICE void shrink(Sums& sums, const A* shrunk) {
#pragma unroll
  for (int i = 0; i < LINES; i++)
#pragma unroll
    for (int c = 0; c < SUMS; c++) sums.at(i, c) *= shrunk[i];
}
