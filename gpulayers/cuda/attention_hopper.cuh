// Products of attention's tiles by wgmma, where TMA has put them: after attention_tensor.cuh.
//
// Tiles lie as boxes of 64 elements a line, 128 bytes swizzled.  A warpgroup has 64 of the ROWS lines that are mine; there are two turns
// of two arrays of others.
constexpr int BOXES = SIZE / 64, TURNS = 2;
constexpr uint32 LINE = 128, BOX = COLUMNS * LINE, TILE = BOXES * BOX, MINE_BOX = ROWS * LINE;  // Bytes.

// s = my lines, each times each of the others, as a group of products that is waited for elsewhere.
GL_DEVICE void inner(Tile& s, const unsigned char* mine, const unsigned char* others) {
#pragma unroll
  for (int c = 0; c < BOXES; c++) {
    const gl::Tile a(mine + c * MINE_BOX, 16, 8 * LINE, 128), b(others + c * BOX, 16, 8 * LINE, 128);
#pragma unroll
    for (int k = 0; k < 4; k++) gl_wgmma(T, COLUMNS, false, false)(s.v[0][0], a.plus(k * 32), b.plus(k * 32), c + k > 0);
  }
  gl_wgmma_commit();
}
// sums += weights times others, which begin with the columns that the block sums, in the same way.
GL_DEVICE void outer(Sums& sums, uint32 (*weights)[4], const unsigned char* others) {
  const gl::Tile b(others, BOX, 8 * LINE, 128);
#pragma unroll
  for (int k = 0; k < COLUMNS / 16; k++) gl_wgmma(T, WIDTH, false, true)(sums.v[0][0], weights[k], b.plus(k * 16 * LINE), true);
  gl_wgmma_commit();
}
// A tile as the left side of a product, rounded to T.
GL_DEVICE void pack(uint32 (*weights)[4], const Tile& s) {
#pragma unroll
  for (int i = 0; i < COLUMNS / 4; i++) {
    const float* two = s.v[0][i / 2] + i % 2 * 2;
    weights[i / 4][i % 4] = gl::pack2<T>(two[0], two[1]);
  }
}
