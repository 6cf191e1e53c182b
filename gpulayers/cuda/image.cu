// Images read at other places and then changed in colour, in one pass: each pixel of the result gathers what it needs.
//
// x: N images of any strides (in elements), y: N images of another size, in T and Y.  matrix: for each image 3 x 3 numbers, or
// NULL: pixel (x, y) is read at (u / w, v / w), (u, v, w) = matrix (x, y, 1), in the mode of gpulayers/cpu/warping.py, whose
// steps these are, so that results differ by roundings only.  moves: two numbers for each pixel of y, (N, 2, rows, columns), or
// NULL: by how much farther down and to the right it is read.  colours: S times N matrices (channels, channels + 1), or NULL,
// each followed by clipping; parts: S times N numbers or NULL, what of the mean colour of an image, at that stage, is added.
// All is computed in float and rounded once.  Indices and sizes fit 31 bits (image.py asks).
#include "common.cuh"

#define BLOCK 256
#define MOST 4      // Channels that a pixel has in registers, where there are colours.
#define STAGES 8    // Colours in one pass.
#define SUMMED 16   // Pixels that a thread adds to a mean.

enum { CONSTANT, NEAREST, WRAP, MIRROR, REFLECT };

struct Pass {  // As in image.py.  from, to: strides of x and y by image, row, column and channel.
  long long from[4], to[4], images, channels, sizes[2], counts[2], mode, nearest, packed, stages;
  float fill, low[STAGES], high[STAGES];
};

// ------------------------------------------------------------------------------------------------------------------ places
// 1 / a, within a rounding.  (A division would be a call, around which registers are spilled.)
GL_DEVICE float inverse(float a) {
  const float near = gl::fast_divide(1.0f, a);
  return near * (2.0f - a * near);
}
// A place along an axis within its margins of one pixel, where the same is read.
GL_DEVICE float folded(float place, int size, int mode) {
  if (mode == CONSTANT) return fminf(fmaxf(place, -1.0f), (float)size);
  if (mode == NEAREST) return fminf(fmaxf(place, 0.0f), (float)(size - 1));
  if (size == 1) return 0.0f;
  if (place >= 0.0f && place <= (float)(size - 1)) return place;
  const float period = mode == WRAP ? size : mode == MIRROR ? 2 * size - 2 : 2 * size, half = mode == REFLECT ? 0.5f : 0.0f;
  place = __fadd_rn(place, half);
  place = __fadd_rn(place, -__fmul_rn(floorf(__fmul_rn(place, inverse(period))), period));
  if (place < 0.0f) place = __fadd_rn(place, period);
  if (place >= period) place = __fadd_rn(place, -period);
  if (mode != WRAP) place = fminf(place, __fadd_rn(period, -place));
  return __fadd_rn(place, -half);
}
// The nearest pixel to a place, the one farther from 0 between two; -1 if that is to be filled.
GL_DEVICE int nearest_pixel(float place, int size, int mode) {
  const float limited = fminf(fmaxf(place, -1073741824.0f), 1073741824.0f), whole = truncf(limited), rest = limited - whole;
  int i = (int)whole + (rest >= 0.5f) - (rest <= -0.5f);
  if (i >= 0 && i < size) return i;
  if (mode == CONSTANT) return -1;
  if (mode == NEAREST) return i < 0 ? 0 : size - 1;
  const int end = mode == REFLECT ? 2 * size - 1 : 2 * size - 2, period = mode == WRAP ? size : mode == REFLECT ? end + 1 : end;
  if (period == 0) return 0;
  i %= period;
  if (i < 0) i += period;
  return mode == WRAP || i < size ? i : end - i;
}
// Where a neighbour of a folded place is read, -1 ... size + 1; -1 if it is to be filled.
GL_DEVICE int neighbour(int i, int size, int mode) {
  if (i >= 0 && i < size) return i;
  if (mode == CONSTANT) return -1;
  return i < 0 ? 0 : mode == WRAP ? 0 : size - 1;
}

// Up to four pixels and their weights.
struct Corners {
  int count;
  int at[4];  // Offsets in an image; -1 for what is filled.
  float weight[4];
};

GL_DEVICE Corners corners_of(const Pass& pass, const float* matrix, const float* moves, int image, int row, int column) {
  Corners found;
  found.count = 1, found.weight[0] = 1.0f;
#pragma unroll
  for (int k = 1; k < 4; k++) found.at[k] = -1, found.weight[k] = 0.0f;
  if (!matrix) {
    found.at[0] = row * (int)pass.from[1] + column * (int)pass.from[2];
    return found;
  }
  matrix += 9ll * image;
  float sums[3];
#pragma unroll
  for (int k = 0; k < 3; k++) {
    const float along = __fadd_rn(__fmul_rn(matrix[3 * k], (float)column), __fmul_rn(matrix[3 * k + 1], (float)row));
    sums[k] = __fadd_rn(along, matrix[3 * k + 2]);
  }
  if (sums[2] != 1.0f) {
    const float near = inverse(sums[2]);
    sums[0] *= near, sums[1] *= near;
  }
  if (moves) {
    const long long all = pass.counts[0] * pass.counts[1], p = 2 * all * image + row * pass.counts[1] + column;
    sums[1] = __fadd_rn(sums[1], moves[p]), sums[0] = __fadd_rn(sums[0], moves[p + all]);
  }
  const int height = (int)pass.sizes[0], width = (int)pass.sizes[1], mode = (int)pass.mode;
  const int down_one = (int)pass.from[1], right_one = (int)pass.from[2];
  if (pass.nearest) {
    const int y = nearest_pixel(sums[1], height, mode), x = nearest_pixel(sums[0], width, mode);
    found.at[0] = y < 0 || x < 0 ? -1 : y * down_one + x * right_one;
    return found;
  }
  const float y = folded(sums[1], height, mode), x = folded(sums[0], width, mode), top = floorf(y), left = floorf(x);
  const float down = __fadd_rn(y, -top), right = __fadd_rn(x, -left), both = __fmul_rn(down, right);
  found.count = 4;
  found.weight[0] = __fadd_rn(__fadd_rn(__fadd_rn(1.0f, -down), -right), both);
  found.weight[1] = __fadd_rn(right, -both), found.weight[2] = __fadd_rn(down, -both), found.weight[3] = both;
  const int i = (int)top, j = (int)left;
  if (i >= 0 && j >= 0 && i + 1 < height && j + 1 < width) {  // As most are: all neighbours are pixels.
    found.at[0] = i * down_one + j * right_one, found.at[1] = found.at[0] + right_one;
    found.at[2] = found.at[0] + down_one, found.at[3] = found.at[1] + down_one;
    return found;
  }
#pragma unroll
  for (int k = 0; k < 4; k++) {
    const int y_k = neighbour(i + k / 2, height, mode), x_k = neighbour(j + k % 2, width, mode);
    found.at[k] = y_k < 0 || x_k < 0 ? -1 : y_k * down_one + x_k * right_one;
  }
  return found;
}

GL_DEVICE float read(const Pass& pass, const Corners& corners, const T* image, int channel) {
  float total = 0.0f;
#pragma unroll
  for (int k = 0; k < 4; k++) {
    if (k >= corners.count) break;
    const float value = corners.at[k] < 0 ? pass.fill : gl::to<float>(image[corners.at[k] + channel * (int)pass.from[3]]);
    total = __fadd_rn(total, __fmul_rn(value, corners.weight[k]));
  }
  return total;
}

// ----------------------------------------------------------------------------------------------------------------- colours
// The first `stages` colours applied to a pixel of an image.
GL_DEVICE void coloured(const Pass& pass, float* pixel, const float* colours, const float* parts, const float* means, int image,
                        int stages) {
  const int channels = (int)pass.channels;
#pragma unroll 1
  for (int s = 0; s < stages; s++) {
    const long long which = s * pass.images + image;
    const float* matrix = colours + which * channels * (channels + 1);
    const float part = parts ? parts[which] : 0.0f;
    float made[MOST];
#pragma unroll
    for (int k = 0; k < MOST; k++) {
      made[k] = 0.0f;
      if (k >= channels) continue;
#pragma unroll
      for (int j = 0; j < MOST; j++)
        if (j < channels) made[k] += matrix[k * (channels + 1) + j] * pixel[j];
      made[k] += matrix[k * (channels + 1) + channels] + (part != 0.0f ? part * means[which * channels + k] : 0.0f);
      made[k] = fminf(fmaxf(made[k], pass.low[s]), pass.high[s]);
    }
#pragma unroll
    for (int k = 0; k < MOST; k++) pixel[k] = made[k];
  }
}

template <class R> struct Rounded {
  static GL_DEVICE R of(float a) { return gl::from<R>(a); }
};
template <> struct Rounded<uint8> {
  static GL_DEVICE uint8 of(float a) { return (uint8)__float2int_rn(fminf(fmaxf(a, 0.0f), 255.0f)); }
};

// --------------------------------------------------------------------------------------------------------------- the kernels
// A block makes BLOCK pixels of an image that follow each other.  Where they lie side by side they leave through shared memory.
extern "C" __global__ void __launch_bounds__(BLOCK) warp_images(
    const T* x, const float* matrix, const float* moves, const float* colours, const float* parts, const float* means, Y* y,
    int blocks, Pass pass) {
  __shared__ Y tile[BLOCK * MOST];
  const int image = blockIdx.x / blocks, first = (blockIdx.x % blocks) * BLOCK, thread = threadIdx.x;
  const int width = (int)pass.counts[1], all = (int)pass.counts[0] * width, channels = (int)pass.channels, p = first + thread;
  const T* source = x + image * pass.from[0];
  Y* target = y + image * pass.to[0];
  if (p < all) {
    const int row = p / width, column = p - row * width;
    const Corners corners = corners_of(pass, matrix, moves, image, row, column);
    Y* place = target + row * pass.to[1] + column * pass.to[2];
    if (channels > MOST) {
      for (int k = 0; k < channels; k++) place[k * pass.to[3]] = Rounded<Y>::of(read(pass, corners, source, k));
    } else {
      float pixel[MOST];
#pragma unroll
      for (int k = 0; k < MOST; k++) pixel[k] = k < channels ? read(pass, corners, source, k) : 0.0f;
      coloured(pass, pixel, colours, parts, means, image, (int)pass.stages);
#pragma unroll
      for (int k = 0; k < MOST; k++) {
        if (k >= channels) continue;
        if (pass.packed) tile[thread * channels + k] = Rounded<Y>::of(pixel[k]);
        else place[k * pass.to[3]] = Rounded<Y>::of(pixel[k]);
      }
    }
  }
  if (!pass.packed || channels > MOST) return;
  __syncthreads();
  const int count = (all - first < BLOCK ? all - first : BLOCK) * channels;
  for (int i = thread; i < count; i += BLOCK) target[(long long)first * channels + i] = tile[i];
}

// Sums of the colours of BLOCK * SUMMED pixels of an image after `stages` of them: partial (N, blocks, channels).
extern "C" __global__ void __launch_bounds__(BLOCK, 4) image_sums(
    const T* x, const float* matrix, const float* moves, const float* colours, const float* parts, const float* means,
    float* partial, int blocks, int stages, Pass pass) {
  __shared__ float shared[32];
  const int image = blockIdx.x / blocks, first = (blockIdx.x % blocks) * BLOCK * SUMMED;
  const int width = (int)pass.counts[1], all = (int)pass.counts[0] * width, channels = (int)pass.channels;
  const T* source = x + image * pass.from[0];
  float sums[MOST];
#pragma unroll
  for (int k = 0; k < MOST; k++) sums[k] = 0.0f;
#pragma unroll 1
  for (int i = 0; i < SUMMED; i++) {
    const int p = first + i * BLOCK + threadIdx.x;
    if (p >= all) break;
    const int row = p / width;
    const Corners corners = corners_of(pass, matrix, moves, image, row, p - row * width);
    float pixel[MOST];
#pragma unroll
    for (int k = 0; k < MOST; k++) pixel[k] = k < channels ? read(pass, corners, source, k) : 0.0f;
    coloured(pass, pixel, colours, parts, means, image, stages);
#pragma unroll
    for (int k = 0; k < MOST; k++) sums[k] += pixel[k];
  }
#pragma unroll
  for (int k = 0; k < MOST; k++) {
    const float sum = gl::block_sum(sums[k], shared);
    if (k < channels && threadIdx.x == 0) partial[(long long)blockIdx.x * channels + k] = sum;
  }
}

// The means (N, channels) of stage `stage` of `means`, from these sums: a warp for each image and channel.
extern "C" __global__ void __launch_bounds__(32) image_means(
    const float* partial, float* means, int blocks, int channels, long long first, float count) {
  const int image = blockIdx.x / channels, channel = blockIdx.x % channels;
  float sum = 0.0f;
  for (int i = threadIdx.x; i < blocks; i += 32) sum += partial[((long long)image * blocks + i) * channels + channel];
  sum = gl::warp_sum(sum);
  if (threadIdx.x == 0) means[first + blockIdx.x] = sum / count;
}
