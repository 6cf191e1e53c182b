// hopper.h: what sm_90 adds (see gpulayers/cuda/hopper.cuh): barriers in shared memory, asynchronous copies of tiles, products of
// warpgroups, clusters.  From the bits that a GPU gets: descriptors are decoded, and addresses swizzled, as the PTX manual says.
//
// As cp.async in warp.h, what is asynchronous happens as late as it may when threads run forward, at once in reverse order, and
// either way at random.
#pragma once
#include "runtime.h"

namespace rig {
void collective(int op, unsigned mask, const char* file, int line);

// ------------------------------------------------------------------------------------- shared memory as 32-bit addresses
// Static shared memory from 1024 on, then the dynamic one from a multiple of 1024.
static const uint32_t FIRST = 1024;
static uint32_t dynamic_first() {
  return FIRST + ((uint32_t)run.launch->statics_size + 1023) / 1024 * 1024;
}
static bool is_static(const void* p) {
  size_t at = (const unsigned char*)p - run.launch->statics;
  return run.launch->statics_size && at < run.launch->statics_size;
}
static unsigned char* shared_pointer(uint32_t address) {
  if (address >= FIRST && address - FIRST < run.launch->statics_size)
    return run.launch->statics + (address - FIRST);
  if (address >= dynamic_first() && address - dynamic_first() < run.launch->shared)
    return rig_dyn + (address - dynamic_first());
  return nullptr;
}
static uint32_t swizzled(uint32_t address, int bytes) {
  return bytes ? address ^ (address >> 7 & (bytes / 16 - 1)) << 4 : address;
}

// ------------------------------------------------------------------------------------------------------ barriers in memory
// The word: bit 0: the phase; arrivals that are missing (20 bits), arrivals of a phase (20), bytes that are missing (23, signed).
struct Phase {
  uint64_t phase : 1, missing : 20, arrivals : 20;
  int64_t bytes : 23;
};
static_assert(sizeof(Phase) == 8, "as an mbarrier");
static Phase* phase_of(void* bar, const char* file, int line) {
  if ((uintptr_t)bar % 8) rig_fail("mbarrier: not at a multiple of 8 bytes", file, line);
  Phase* p = (Phase*)bar;
  if (p->arrivals == 0 || p->arrivals == 0xfffff)
    rig_fail("mbarrier: nobody has initialised it", file, line);
  return p;
}
// After an arrival or bytes: the next phase, if nothing is missing.
static void flip_if_complete(Phase* p) {
  if (p->missing || p->bytes) return;
  p->phase ^= 1, p->missing = p->arrivals;
  run.naps = 0;
  for (Fiber* f : run.block->f)
    if (f->state == WAITING && f->kind == AT_MBARRIER && f->value == (uint64_t)p) wake(*f);
}
static void arrive(void* bar, uint32_t bytes, const char* file, int line) {
  Phase* p = phase_of(bar, file, line);
  if (!p->missing) rig_fail("mbarrier: more arrivals than it was initialised with", file, line);
  p->bytes += bytes, p->missing--;
  flip_if_complete(p);
}

// ----------------------------------------------------------------------------------------------------- copies that land later
static void copy_bytes(const Copy& c) {
  for (int i = 0; i < c.n; i++)
    ((unsigned char*)c.dst)[i] = i < c.src_n ? ((const unsigned char*)c.src)[i] : 0;
}
static void load_tile(const Flight& t) {
  const TensorMap& m = t.map;
  uint32_t i[5] = {}, offset = 0;
  for (;; offset += m.element) {
    uint64_t from = m.address;
    bool inside = true;
    for (uint32_t a = 0; a < m.rank; a++) {
      int64_t at = (int64_t)t.at[a] + i[a];
      inside &= at >= 0 && at < (int64_t)m.sizes[a];
      from += at * (a ? m.strides[a - 1] : m.element);
    }
    unsigned char* to = shared_pointer(swizzled(t.to + offset, m.swizzle));
    if (!to) return set_error("TMA: the tile does not fit in shared memory");
    for (uint32_t b = 0; b < m.element; b++) to[b] = inside ? ((const unsigned char*)from)[b] : 0;
    uint32_t a = 0;
    while (a < m.rank && ++i[a] == m.box[a]) i[a++] = 0;
    if (a == m.rank) break;
  }
}
static void land(const Flight& t) {
  if (t.kind == Flight::CP_ASYNC) return copy_bytes(t.copy);
  if (t.kind == Flight::TILE) load_tile(t);
  if (t.kind == Flight::BULK) copy_bytes(t.copy);
  Phase* p = (Phase*)t.bar;
  if (t.kind == Flight::ARRIVAL) {
    if (!p->missing) return set_error("mbarrier: more arrivals than it was initialised with");
    p->missing--;
  } else p->bytes -= t.bytes;
  flip_if_complete(p);
}
static void land_one(Block& b) {
  Flight first = b.flights[0];
  b.flights.erase_front(1);
  land(first);
}
static void take_off(const Flight& t) {
  Block& b = *run.block;
  b.flights.push_back(t);
  bool now = run.launch->order == 1 || (run.launch->order == 2 && (random_bits() & 1));
  while (now && b.flights.size()) land_one(b);
}

// ------------------------------------------------------------------------------------------------- products of warpgroups
// Where element (line, k) of an operand lies: "Matrix Descriptor Format" and "Shared Memory Matrix Layout" of wgmma in the PTX
// manual; `line` counts across the depth.
struct Operand {
  uint32_t start, leading, stride;
  int swizzle, size;
  bool across;
  Operand(uint64_t bits, int size, bool across)
      : start((bits & 0x3fff) << 4), leading((bits >> 16 & 0x3fff) << 4),
        stride((bits >> 32 & 0x3fff) << 4), size(size), across(across) {
    const int modes[] = {0, 128, 64, 32};
    swizzle = modes[bits >> 62];
    if (bits >> 49 & 7) set_error("wgmma: a base offset, which the rig does not know");
  }
  const unsigned char* at(int line, int k) const {
    const int per = 16 / size, wide = swizzle / 16;  // Elements of 16 bytes; these of a line.
    const int along = across ? line : k, other = across ? k : line, chunk = along / per;
    uint32_t a = start + along % per * size;
    if (!swizzle) {
      // Blocks of 8 lines of 16 bytes, each 128 bytes.
      a += other % 8 * 16;
      a += across ? chunk * stride + other / 8 * leading : chunk * leading + other / 8 * stride;
    } else {
      a += chunk % wide * 16 + other % 8 * swizzle + other / 8 * stride;
      if (across) a += chunk / wide * leading;
      else if (chunk / wide) a += chunk / wide * swizzle;  // Never: a product is two chunks deep.
    }
    const unsigned char* p = shared_pointer(swizzled(a & 0x3ffff, swizzle));
    if (!p) set_error("wgmma reads outside of shared memory");
    return p;
  }
};
static float element(const unsigned char* p, int kind) {
  if (!p) return 0;
  if (kind == 2) {
    uint32_t u = 0;
    for (int i = 0; i < 4; i++) u |= (uint32_t)p[i] << (8 * i);
    return bits<float>(u & 0xffffe000u);
  }
  uint16_t u = (uint16_t)(p[0] | p[1] << 8);
  return kind ? bfloat16_to_float(u) : half_to_float(u);
}
// One warp's 16 rows of the 64.
static void multiply_rows(Fiber** w, size_t which) {
  const Product& p = w[0]->products[which];
  const int size = p.kind == 2 ? 4 : 2, deep = 32 / size, first = (int)(w[0]->warp % 4) * 16;
  float A[16][16];
  static float B[256][16];
  if (p.in_registers) {
    for (int l = 0; l < 32; l++)
      for (int i = 0; i < 4; i++)
        for (int h = 0; h < 4 / size; h++) {
          const unsigned char* at = (const unsigned char*)&w[l]->products[which].a[i] + h * size;
          A[l / 4 + i % 2 * 8][l % 4 * (4 / size) + h + i / 2 * (16 / size)] = element(at, p.kind);
        }
  } else {
    Operand a(p.first, size, p.across_a);
    for (int m = 0; m < 16; m++)
      for (int k = 0; k < deep; k++) A[m][k] = element(a.at(first + m, k), p.kind);
  }
  Operand b(p.second, size, p.across_b);
  for (int n = 0; n < p.n; n++)
    for (int k = 0; k < deep; k++) B[n][k] = element(b.at(n, k), p.kind);
  for (int l = 0; l < 32; l++) {
    float* d = w[l]->products[which].d;
    for (int j = 0; j < p.n / 2; j++) {
      const int m = l / 4 + j / 2 % 2 * 8, n = j / 4 * 8 + l % 4 * 2 + j % 2;
      float sum = p.add ? d[j] : 0;
      for (int k = 0; k < deep; k++) sum += A[m][k] * B[n][k];
      d[j] = sum;
    }
  }
}
// The first `count` products that the warp has not done.
static void do_products(Fiber** w, size_t count) {
  for (size_t i = 0; i < count && run.error.empty(); i++) multiply_rows(w, i);
  for (int l = 0; l < 32; l++) {
    w[l]->products.erase_front(count);
    for (size_t i = 0; i < w[l]->product_groups.size(); i++) {
      size_t& end = w[l]->product_groups[i];
      end = end > count ? end - count : 0;
    }
  }
}
static void give_products(Fiber** w) {
  const Product& p = w[0]->products[w[0]->products.size() - 1];
  for (int l = 1; l < 32; l++) {
    const Product& q = w[l]->products[w[l]->products.size() - 1];
    if (p.kind != q.kind || p.n != q.n || p.first != q.first || p.second != q.second ||
        p.add != q.add || p.across_a != q.across_a || p.across_b != q.across_b)
      return set_error("wgmma: lanes give different operands: " + at(*w[l]));
  }
  if (run.launch->order == 1 || (run.launch->order == 2 && (random_bits() & 1)))
    do_products(w, w[0]->products.size());
}
static void wait_for_products(Fiber** w) {
  size_t groups = w[0]->product_groups.size(), keep = (size_t)w[0]->arg;
  if (groups <= keep) return;
  do_products(w, w[0]->product_groups[groups - keep - 1]);
  for (int l = 0; l < 32; l++) w[l]->product_groups.erase_front(groups - keep);
}
}  // namespace rig
