// warp.h: what the lanes of a warp do together: shuffles, votes, ldmatrix, and the tensor cores'
// products.  The last lane to arrive computes for all.  Products are summed in the order of k in
// float32 (a tensor core's order and rounding differ).
#pragma once
#include "hopper.h"

namespace rig {
const char* const OPERATION[] = {"__syncwarp",       "__shfl_sync",       "__shfl_up_sync",
                                 "__shfl_down_sync", "__shfl_xor_sync",   "__ballot_sync",
                                 "__match_any_sync", "ldmatrix",          "ldmatrix.trans",
                                 "mma.m16n8k16.f16", "mma.m16n8k16.bf16", "mma.m16n8k8.tf32",
                                 "mma.m16n8k8.f16",    "wgmma",
                                 "wgmma.fence",        "wgmma.wait_group"};

// D (16 x 8) += A (16 x K) B (K x 8); the fragments' places are those of the PTX manual, "Matrix
// fragments for mma.m16n8kK".
template <int K>
void multiply(Fiber** w, const float (*A)[K], const float (*B)[8]) {
  for (int l = 0; l < 32; l++)
    for (int i = 0; i < 4; i++) {
      int m = (l >> 2) + (i >> 1) * 8, n = (l & 3) * 2 + (i & 1);
      float d = w[l]->rc[i];
      for (int k = 0; k < K; k++) d += A[m][k] * B[k][n];
      w[l]->rc[i] = d;
    }
}
inline float short_float(uint32_t r, int high, bool bf) {
  uint16_t h = high ? (uint16_t)(r >> 16) : (uint16_t)r;
  return bf ? bfloat16_to_float(h) : half_to_float(h);
}
template <int K>
void mma_16_bits(Fiber** w, bool bf) {  // K is 16, or 8 (half as many registers)
  float A[16][K], B[K][8];
  for (int l = 0; l < 32; l++)
    for (int h = 0; h < 2; h++) {
      int g = l >> 2, t = (l & 3) * 2 + h;
      for (int i = 0; i < K / 4; i++)
        A[g + (i & 1) * 8][t + (i >> 1) * 8] = short_float(w[l]->ra[i], h, bf);
      for (int i = 0; i < K / 8; i++) B[t + i * 8][g] = short_float(w[l]->rb[i], h, bf);
    }
  multiply<K>(w, A, B);
}
void mma_tf32(Fiber** w) {
  float A[16][8], B[8][8];
  auto tf32 = [](uint32_t r) {
    return bits<float>(r & 0xffffe000u);
  };  // The low 13 bits are ignored.
  for (int l = 0; l < 32; l++) {
    int g = l >> 2, t = l & 3;
    for (int i = 0; i < 4; i++) A[g + (i & 1) * 8][t + (i >> 1) * 4] = tf32(w[l]->ra[i]);
    for (int i = 0; i < 2; i++) B[t + i * 4][g] = tf32(w[l]->rb[i]);
  }
  multiply<8>(w, A, B);
}
void load_matrices(Fiber** w, bool transposed) {
  for (int l = 0; l < 32; l++)
    for (int j = 0; j < w[0]->n_mat; j++) {
      uint32_t r = 0;
      for (int h = 0; h < 2; h++) {
        int a = l >> 2, b = (l & 3) * 2 + h, row = transposed ? b : a, column = transposed ? a : b;
        r |= (uint32_t)((const uint16_t*)w[j * 8 + row]->row)[column] << (16 * h);
      }
      w[l]->ra[j] = r;
    }
}
int source_lane(const Fiber& f, int lane, int op) {
  int base = lane & ~(f.width - 1), end = base + f.width, s = lane;
  if (op == W_SHFL) s = base + (f.arg & (f.width - 1));
  if (op == W_SHFL_UP) s = lane - f.arg < base ? lane : lane - f.arg;
  if (op == W_SHFL_DOWN) s = lane + f.arg >= end ? lane : lane + f.arg;
  if (op == W_SHFL_XOR) s = (lane ^ f.arg) >= end ? lane : lane ^ f.arg;
  return s;
}
void combine(Fiber** w, unsigned mask, int op) {
  run.launch->collectives++;
  if (op >= W_LDM && mask != 0xffffffffu)
    return set_error(std::string(OPERATION[op]) + " with fewer than 32 lanes");
  auto each = [&](auto f) {
    for (int l = 0; l < 32; l++)
      if (mask >> l & 1) f(l);
  };
  switch (op) {
    case W_SYNC:
      break;
    case W_BALLOT: {
      unsigned votes = 0;
      each([&](int l) { votes |= (unsigned)(w[l]->value != 0) << l; });
      each([&](int l) { w[l]->result = votes; });
      break;
    }
    case W_MATCH:
      each([&](int l) {
        unsigned same = 0;
        each([&](int o) { same |= (unsigned)(w[o]->value == w[l]->value) << o; });
        w[l]->result = same;
      });
      break;
    case W_LDM:
      load_matrices(w, false);
      break;
    case W_LDMT:
      load_matrices(w, true);
      break;
    case W_MMA_F16:
      mma_16_bits<16>(w, false);
      break;
    case W_MMA_BF16:
      mma_16_bits<16>(w, true);
      break;
    case W_MMA_F16K8:
      mma_16_bits<8>(w, false);
      break;
    case W_MMA_TF32:
      mma_tf32(w);
      break;
    case W_WGMMA:
      give_products(w);
      break;
    case W_WGMMA_FENCE:
      break;
    case W_WGMMA_WAIT:
      wait_for_products(w);
      break;
    default:
      each([&](int l) {
        int s = source_lane(*w[l], l, op);
        if (mask >> s & 1) w[l]->result = w[s]->value;
        else
          set_error(std::string(OPERATION[op]) + " reads lane " + std::to_string(s) +
                    ", which is not in the mask: " + at(*w[l]));
      });
  }
}
// The current thread joins a collective of its warp, and waits for the lanes of the mask.
void collective(int op, unsigned mask, const char* file, int line) {
  Fiber& f = *current();
  Block& b = *f.block;
  f.op = op, f.mask = mask, f.kind = AT_WARP, f.file = file, f.line = line, f.state = WAITING;
  Fiber** w = &b.f[(size_t)f.warp * 32];
  size_t n = b.n() - (size_t)f.warp * 32 < 32 ? b.n() - (size_t)f.warp * 32 : 32;
  [[maybe_unused]] uint64_t* key = &b.warp_key[(f.warp & 31) * 2 + (f.warp_turn & 1)];
  if (!(mask >> f.lane & 1)) set_error("the calling lane is not in its own mask: " + at(f));
  else if (n < 32 && (mask >> n))
    set_error("the mask names lanes that do not exist (block size not a multiple of 32): " + at(f));
  else {
    unsigned have = 0;
    for (unsigned l = 0; l < n; l++) {
      if (w[l]->state != WAITING || w[l]->kind != AT_WARP || !(mask >> l & 1)) continue;
      if (w[l]->op != op || w[l]->mask != mask || w[l]->line != line) {
        set_error("lanes of one mask are in different collectives: " + at(f) + " and " + at(*w[l]));
        break;
      }
      have |= 1u << l;
    }
    if (op == W_SYNC) TSAN_RELEASE(key);
    if (have == mask && run.error.empty()) {
      combine(w, mask, op);
      for (unsigned l = 0; l < n; l++)
        if (mask >> l & 1) wake(*w[l]);
    }
  }
  to_scheduler();
  if (op == W_SYNC) {
    TSAN_ACQUIRE(key);
    f.warp_turn++;
  }
}
}  // namespace rig
