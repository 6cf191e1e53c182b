// runtime.h: what runtime.cc and warp.h share: fibers (CUDA threads), blocks, and the launch that
// is running.  No code of the runtime is compiled with a sanitizer; RIG_ASAN and RIG_TSAN make it
// tell the sanitizer of fiber switches and barriers.
#pragma once
#include "rig.h"
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim
#undef warpSize
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <string>
#include <vector>
#ifdef RIG_ASAN
extern "C" void __sanitizer_start_switch_fiber(void**, const void*, size_t);
extern "C" void __sanitizer_finish_switch_fiber(void*, const void**, size_t*);
#endif
#ifdef RIG_TSAN
extern "C" void* __tsan_get_current_fiber(void);
extern "C" void* __tsan_create_fiber(unsigned);
extern "C" void __tsan_switch_to_fiber(void*, unsigned);
extern "C" void __tsan_acquire(void*);
extern "C" void __tsan_release(void*);
#define TSAN_RELEASE(p) __tsan_release(p)
#define TSAN_ACQUIRE(p) __tsan_acquire(p)
#else
#define TSAN_RELEASE(p)
#define TSAN_ACQUIRE(p)
#endif

namespace rig {
// An array outside the heap: sanitizers watch malloc and memmove, and would take the runtime's own
// for the kernel's.
template <class T, size_t N>
struct Array {
  T* p = nullptr;
  size_t n = 0;
  void push_back(T v) {
    if (!p)
      p = (T*)mmap(nullptr, N * sizeof(T), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (n == N) abort();
    p[n++] = v;
  }
  void erase_front(size_t k) {
    for (size_t i = k; i < n; i++) p[i - k] = p[i];
    n -= k;
  }
  T& operator[](size_t i) { return p[i]; }
  size_t size() const { return n; }
  void clear() { n = 0; }
};
struct Copy {
  void* dst;
  const void* src;
  int n, src_n;
};
// What cuTensorMapEncodeTiled makes here: see tensor_map.py.  In bytes, but for sizes and the box; the axis along the lines first.
struct TensorMap {
  uint64_t magic, address, sizes[5], strides[4];
  uint32_t box[5], rank, element, swizzle;
};
static_assert(sizeof(TensorMap) == 120, "as tensor_map.py packs it, in the 128 bytes of a CUtensorMap");
// A copy, or an arrival at a barrier, that happens later.
struct Flight {
  enum Kind { CP_ASYNC, ARRIVAL, TILE, BULK } kind;
  Copy copy;
  void* bar;
  uint32_t bytes, to;
  int at[5];
  TensorMap map;
};
// A wgmma that one lane has given; operands that are in shared memory are read when it is done.
struct Product {
  float* d;
  uint64_t first, second;
  uint32_t a[4];
  int kind, n;
  bool in_registers, across_a, across_b, add;
};
struct Block;
// Blocks that read each other's shared memory; of one block where there are no clusters.
struct Cluster {
  Block* blocks[16] = {};  // Those that have begun and not ended.
  size_t arrived = 0, ended = 0, turn = 0;  // Threads; how often its barrier has been passed.
};
enum State { READY, WAITING, DONE };
enum Kind {
  NOTHING,
  AT_BLOCK,
  AT_NAMED,
  AT_WARP,
  AT_GRID,
  AT_MBARRIER,
  ASLEEP
};  // What a waiting thread waits for.

struct Fiber : Ctx {
  Block* block;
  void* sp = nullptr;
  char* stack = nullptr;
  size_t stack_size = 0;
  unsigned linear, lane, warp, warp_turn = 0;
  State state;
  Kind kind;
  const char* file;
  int line, bar_id;
  // In a warp collective: the operation and what this lane gives and gets.
  int op, arg, width, n_mat;
  unsigned mask;
  uint64_t value, result;
  alignas(16) unsigned char row[16];
  uint32_t ra[4], rb[2];
  float rc[4];
  Array<Copy, 4096> copies;  // cp.async: given, not yet done.
  Array<size_t, 4096> groups;
  size_t next_copy = 0;
  Array<Product, 4096> products;  // wgmma: given, not yet done.
  Array<size_t, 4096> product_groups;
  bool fenced = false;
  size_t cluster_turn = 0;
  void *fake = nullptr, *tsan = nullptr;
};
struct Block {
  uint3 index;
  std::vector<Fiber*> f;
  std::vector<int> ready;  // A ring.
  size_t head, waiting, done, at_barrier, at_grid, asleep;
  unsigned turn[16], arrived[16];  // How often each barrier has been passed; who came without waiting.
  Array<Flight, 16384> flights;
  Cluster *cluster = nullptr, own;
  unsigned rank;
  unsigned char *dynamic = nullptr,
                *statics = nullptr;  // Shared memory; the static part only while others run.
  alignas(64) uint64_t key[64],
      warp_key[128];  // What barriers synchronise on, for the thread sanitizer.
  size_t n() const { return f.size(); }
  size_t alive() const { return f.size() - done; }
};
struct Run {
  Launch* launch;
  Block* block;  // The one whose turn it is.
  void (*body)(void*);
  void *arg, *main_sp, *main_fake, *tsan_main;
  const void* main_bottom;
  size_t main_size, naps;
  uint64_t random;
  std::vector<Cluster> clusters;
  std::string error;
  bool running;
  pthread_t thread;
  sigjmp_buf fault;
  uint64_t grid_key[2], launch_key[2], grid_turn;
};
extern Run run;
inline Fiber* current() { return static_cast<Fiber*>(rig_cur); }
inline uint64_t random_bits() {
  run.random ^= run.random << 13;
  run.random ^= run.random >> 7;
  return run.random ^= run.random << 17;
}
void to_scheduler();
void wake(Fiber&);
void set_error(const std::string&);
std::string at(const Fiber&);
}  // namespace rig
