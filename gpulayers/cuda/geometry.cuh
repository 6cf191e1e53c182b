// What windows that slide over up to three axes have in common: their sizes, and numbers of places.
struct Geometry {  // As in geometry.py.  channels, filters: of a group.  low: the margin in front of each axis.
  long long batch, channels, filters, groups, sizes[3], counts[3], windows[3], strides[3], low[3], dilations[3];
};

// The row-th of all places of a batch of images, with so many along each axis.
struct Place {
  int image, at[3];
  template <class Count> GL_DEVICE Place(const Count* counts, long long row) {
#pragma unroll
    for (int a = 2; a >= 0; a--) {
      long long rest;
      row = gl::divided(row, counts[a], &rest);
      at[a] = (int)rest;
    }
    image = (int)row;
  }
  template <class Count> GL_DEVICE Place(const Count* counts, int row) {  // The same, for few places.
#pragma unroll
    for (int a = 2; a >= 0; a--) {
      at[a] = row % (int)counts[a];
      row /= (int)counts[a];
    }
    image = row;
  }
  template <class Count> GL_DEVICE void advance(const Count* counts, int by) {
    at[2] += by;
    while (at[2] >= counts[2]) {
      at[2] -= (int)counts[2];
      if (++at[1] == counts[1]) {
        at[1] = 0;
        if (++at[0] == counts[0]) at[0] = 0, image++;
      }
    }
  }
  // Adds another one, as numbers of several digits are added.
  template <class Count> GL_DEVICE void add(const Count* counts, const Place& step) {
    int carry = 0;
#pragma unroll
    for (int a = 2; a >= 0; a--) {
      at[a] += step.at[a] + carry;
      carry = at[a] >= counts[a];
      if (carry) at[a] -= (int)counts[a];
    }
    image += step.image + carry;
  }
};

// The taps of a window that see an element of an axis: tap, tap + period, ... below the window's size; the first from place `seen`, each
// from `apart` places before the one before.  At: the element's number behind the beginning of the margin.
struct Seen {
  int tap, period, seen, apart;
  GL_DEVICE Seen(int at, int window, int stride, int dilation) : tap(0), period(1), seen(at), apart(dilation) {
    if (stride == 1) return;
    if (dilation == 1) {
      tap = at % stride;
      if (tap < 0) tap += stride;
      period = stride;
    } else {
      int common = dilation, rest = stride % dilation;  // The greatest common divisor.
      while (rest) {
        const int next = common % rest;
        common = rest, rest = next;
      }
      period = stride / common, apart = dilation / common;
      while (tap < period && tap < window && (at - dilation * tap) % stride) tap++;
      if (tap == period) tap = window;  // None.
    }
    seen = (at - dilation * tap) / stride;
  }
};
