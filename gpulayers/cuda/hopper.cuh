// What sm_90 has beyond common.cuh, and sm_90a alone (wgmma, setmaxnreg): for sources that include this after common.cuh.
//
// A tile's way: one thread gives gl_tma_load; the tile's barrier says that it has come; wgmma multiplies it where it lies.
//
//   __shared__ gl::MBarrier full, empty;                         // Or in dynamic shared memory, 8 bytes each.
//   if (threadIdx.x == 0) gl_mbarrier_init(&full, 1), gl_mbarrier_init(&empty, 128);
//   gl::mbarriers_made();  __syncthreads();                      // All threads.
//   if (producer) { gl_mbarrier_wait(&empty, 1); gl_mbarrier_expect(&full, bytes); gl_tma_load(tile, &map, &full, x, y); }
//   else { gl_mbarrier_wait(&full, 0); gl_wgmma_fence(); gl_wgmma(half, 64, false, false)(sum, a, b, true); gl_wgmma_commit();
//          gl_wgmma_wait(0); gl::pin<32>(sum); gl_mbarrier_arrive(&empty); }
//
// Barriers in shared memory ("mbarrier" of the PTX manual).  They count arrivals and bytes; each completed phase flips their parity,
// beginning with phase 0.  Waiting for parity p waits until the last completed phase had it: a new barrier passes parity 1 at once.
//   gl_mbarrier_init(bar, arrivals)             by one thread; then gl::mbarriers_made() by that thread, and a barrier of the block
//   gl_mbarrier_arrive(bar)                     what the thread wrote before is seen by whom waits
//   gl_mbarrier_expect(bar, bytes)              arrives, and lets the phase wait for so many bytes of copies
//   gl_mbarrier_arrive_copies(bar)              arrives when this thread's gl_cp_async16 before it are done: one of `arrivals`
//   gl_mbarrier_wait(bar, parity)
//   gl_mbarrier_arrive_at(bar, rank)            arrives at this barrier of another block of the cluster
//   gl::fence_async()                           what ordinary stores (or cp.async that have been waited for) wrote is seen by TMA and
//                                               wgmma: by each thread that wrote, between its writes and the barrier that says so
// Copies of tiles (TMA).  A gl::TensorMap is a parameter `const __grid_constant__ gl::TensorMap map`, from hopper.py's tensor_map.
//   gl_tma_load(to, &map, bar, x, ...)          the box at (x, y, ...), x along the lines; zeros outside; all its bytes count at bar.
//                                               `to`: a multiple of 128 bytes in shared memory; with a swizzle of 1024
//   gl_bulk_load(to, from, bytes, bar)          consecutive bytes, all multiples of 16
// In a swizzle of 128 (64, 32) bytes the 16-byte chunk c of line r of the tile lies where chunk c ^ r % 8 (r / 2 % 4, r / 4 % 2)
// would: gl::swizzled<BYTES>(offset) of a tile that begins at a multiple of 1024.
// Products of warpgroups (four warps from a multiple of four): D (64, N) += A (64, K) B (K, N), K of 32 bytes: 16 half or bfloat16,
// 8 floats whose last 13 bits are ignored (TF32: round with gl::to_tf32).  A thread holds d[8 j / 2 + i], i < 4: row
// warp % 4 * 16 + lane / 4 + i / 2 * 8, column 8 j + lane % 4 * 2 + i % 2; and A in registers as mma.m16n8k16 (m16n8k8) does.
//   gl_wgmma(T, N, ACROSS_A, ACROSS_B)(d, a, b, add)   a: a gl::Tile, or uint32[4] (registers); b: a gl::Tile; add: else D is replaced
//   gl_wgmma_fence()                                   before the first of some products, after d or registers of a were touched
//   gl_wgmma_commit(); gl_wgmma_wait(n)                waits for all but the last n groups
//   gl::pin<COUNT>(d)                                  the compiler moves no use of d across this: after each wait
// gl::Tile(first, leading, stride, swizzle): an operand in shared memory: its first element and two distances in bytes.
//   lines along the depth (K), swizzle 128, 64, 32: lines of so many bytes; stride: from 8 lines to the next 8; leading is ignored.
//                                               A step of K: .plus(32 bytes); of 8 lines: .plus(stride).
//   the same, swizzle 0: blocks of 8 lines of 16 bytes: leading: to the next block along K, stride: to the next 8 lines
//   ACROSS: lines of 64, 32, 16 elements across the depth (16-bit elements only), swizzle 128, 64, 32: 8 lines (of the depth) are a
//                                               block; stride: to the next 8 of the depth; leading: to the next 64 (32, 16) elements.
//   the same, swizzle 0: blocks of 8 (of the depth) lines of 16 bytes: leading: to the next 8 of the depth, stride: to the next 8 elements
// Clusters of blocks, for kernels `extern "C" __global__ void GL_CLUSTER(n) __launch_bounds__(...) name(`:
//   gl::cluster_rank(); gl_cluster_arrive(); gl_cluster_wait()    all threads of all blocks; arrive lets writes be seen after wait
//   gl::at_rank(p, rank)                        where p, in this block's shared memory, lies in another's: an ordinary pointer.  Blocks must
//                                               have begun (a cluster barrier first), and may not have ended (one last)
// Others:
//   gl_grid_sync(word)                          all blocks of a cooperative launch (Module(..., cooperative=True)); word: 0 before the first
//   gl::load_acquire(p), gl::add_release(p, n)  words by which blocks tell each other; what was written before is seen
//   gl_bar_arrive(id, threads)                  as gl_bar_sync, without waiting
//   gl::registers_up<N>(), registers_down<N>()  of a warpgroup, N a multiple of 8: the block's sum must fit what it was launched with
//
// Facts: PTX ISA 8.x, "Asynchronous warpgroup level matrix instructions" (fragments, "Matrix Descriptor Format", fences), "mbarrier",
// "cp.async.bulk.tensor", "Swizzling modes"; distances of the canonical layouts as CUTLASS's make_gmma_desc states them.  The rig
// (tests/rig/hopper.h) decodes the same bits; no GPU has confirmed either yet.
namespace gl {
struct __align__(64) TensorMap { uint64 words[16]; };
struct __align__(8) MBarrier { uint64 word; };

template <int Bytes = 128> GL_DEVICE uint32 swizzled(uint32 offset) { return offset ^ (offset >> 3 & (Bytes / 16 - 1) << 4); }

#if defined(GL_RIG)
GL_DEVICE uint32 shared_address(const void* p) { return rig_shared_address(p); }
#elif !defined(__CUDA_ARCH__)
GL_DEVICE uint32 shared_address(const void*) { return 0; }
#endif

// "Matrix descriptor": bits 0-13 the address, 16-29 leading, 32-45 stride, each / 16; 62-63: 1, 2, 3 for a swizzle of 128, 64, 32.
struct Tile {
  uint64 bits;
  GL_DEVICE Tile(const void* first, uint32 leading, uint32 stride, int swizzle)
      : bits((uint64)(shared_address(first) >> 4 & 0x3fff) | (uint64)(leading >> 4 & 0x3fff) << 16 | (uint64)(stride >> 4 & 0x3fff) << 32 |
             (uint64)(swizzle == 128 ? 1 : swizzle == 64 ? 2 : swizzle == 32 ? 3 : 0) << 62) {}
  GL_DEVICE Tile plus(uint32 bytes) const {
    Tile next = *this;
    next.bits += bytes >> 4;
    return next;
  }
};

// In front of a kernel's __launch_bounds__: n neighbours along x are a cluster, which the grid must be whole ones of.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
#define GL_CLUSTER(n) __cluster_dims__(n, 1, 1)
#else
#define GL_CLUSTER(n)
#endif

#if defined(GL_RIG)
#define gl_mbarrier_init(bar, arrivals) rig_mbarrier_init(&(bar)->word, arrivals, __FILE__, __LINE__)
#define gl_mbarrier_arrive(bar) rig_mbarrier_arrive(&(bar)->word, 0, __FILE__, __LINE__)
#define gl_mbarrier_expect(bar, bytes) rig_mbarrier_arrive(&(bar)->word, bytes, __FILE__, __LINE__)
#define gl_mbarrier_arrive_copies(bar) rig_mbarrier_copies(&(bar)->word, __FILE__, __LINE__)
#define gl_mbarrier_arrive_at(bar, rank) rig_mbarrier_arrive(&gl::at_rank(bar, rank)->word, 0, __FILE__, __LINE__)
#define gl_mbarrier_wait(bar, parity) rig_mbarrier_wait(&(bar)->word, parity, __FILE__, __LINE__)
#define gl_tma_load(to, map, bar, ...) rig::tma_load(to, map, &(bar)->word, __FILE__, __LINE__, __VA_ARGS__)
#define gl_bulk_load(to, from, bytes, bar) rig_bulk_load(to, from, bytes, &(bar)->word, __FILE__, __LINE__)
#define gl_wgmma(T, N, ACROSS_A, ACROSS_B) gl::WgmmaOnRig<T, N, ACROSS_A, ACROSS_B>{__FILE__, __LINE__}
#define gl_wgmma_fence() rig_wgmma_fence(__FILE__, __LINE__)
#define gl_wgmma_commit() rig_wgmma_commit(__FILE__, __LINE__)
#define gl_wgmma_wait(n) rig_wgmma_wait(n, __FILE__, __LINE__)
#define gl_cluster_arrive() rig_cluster_arrive(__FILE__, __LINE__)
#define gl_cluster_wait() rig_cluster_wait(__FILE__, __LINE__)
#define gl_grid_sync(word) rig_grid_sync(__FILE__, __LINE__)
#define gl_bar_arrive(id, threads) rig_bar_arrive(id, threads, __FILE__, __LINE__)
inline void mbarriers_made() {}
inline void fence_async() {}
template <int Count> inline void pin(float*) {}
inline int cluster_rank() { return rig_cluster_rank(); }
template <class P> inline P* at_rank(P* p, int rank) { return (P*)rig_at_rank(p, rank); }
inline uint32 load_acquire(const uint32* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
inline void add_release(uint32* p, uint32 n) { __atomic_fetch_add(p, n, __ATOMIC_RELEASE); }
template <int Count> inline void registers_up() { static_assert(Count % 8 == 0 && Count >= 24 && Count <= 256, "setmaxnreg"); }
template <int Count> inline void registers_down() { static_assert(Count % 8 == 0 && Count >= 24 && Count <= 256, "setmaxnreg"); }
template <class E, int Columns, bool AcrossA, bool AcrossB> struct WgmmaOnRig {
  static_assert(Columns % 8 == 0 && Columns >= 8 && Columns <= 256 && (sizeof(E) == 2 || !(AcrossA || AcrossB)), "no such wgmma");
  const char* file;
  int line;
  static int kind(half*) { return 0; }
  static int kind(bfloat16*) { return 1; }
  static int kind(float*) { return 2; }
  void operator()(float* d, Tile a, Tile b, bool add) const {
    rig_wgmma(kind((E*)0), Columns, AcrossA, AcrossB, d, 0, a.bits, b.bits, add, file, line);
  }
  void operator()(float* d, const uint32* a, Tile b, bool add) const {
    static_assert(!AcrossA, "registers have no order in memory");
    rig_wgmma(kind((E*)0), Columns, false, AcrossB, d, a, 0, b.bits, add, file, line);
  }
};
#else
#define gl_mbarrier_init(bar, arrivals) gl::mbarrier_init(bar, arrivals)
#define gl_mbarrier_arrive(bar) gl::mbarrier_arrive(bar)
#define gl_mbarrier_expect(bar, bytes) gl::mbarrier_expect(bar, bytes)
#define gl_mbarrier_arrive_copies(bar) gl::mbarrier_arrive_copies(bar)
#define gl_mbarrier_arrive_at(bar, rank) gl::mbarrier_arrive_at(bar, rank)
#define gl_mbarrier_wait(bar, parity) gl::mbarrier_wait(bar, parity)
#define gl_tma_load(to, map, bar, ...) gl::tma_load(to, map, bar, __VA_ARGS__)
#define gl_bulk_load(to, from, bytes, bar) gl::bulk_load(to, from, bytes, bar)
#define gl_wgmma(T, N, ACROSS_A, ACROSS_B) gl::wgmma<T, N, ACROSS_A, ACROSS_B>
#define gl_wgmma_fence() gl::wgmma_fence()
#define gl_wgmma_commit() gl::wgmma_commit()
#define gl_wgmma_wait(n) gl::wgmma_wait<n>()
#define gl_cluster_arrive() gl::cluster_arrive()
#define gl_cluster_wait() gl::cluster_wait()
#define gl_grid_sync(word) gl::grid_sync(word)
#define gl_bar_arrive(id, threads) gl::bar_arrive(id, threads)

// Below sm_90 (sm_90a for wgmma and setmaxnreg) there are none of these: launchers must not start such kernels there.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define GL_90(...) asm volatile(__VA_ARGS__)
#else
#define GL_90(...) __trap()
#endif
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define GL_90A(...) asm volatile(__VA_ARGS__)
#else
#define GL_90A(...) __trap()
#endif

// -------------------------------------------------------------------------------------------- barriers in shared memory
GL_DEVICE void mbarrier_init(MBarrier* bar, uint32 arrivals) {
  GL_90("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(bar)), "r"(arrivals) : "memory");
}
GL_DEVICE void fence_async() { GL_90("fence.proxy.async.shared::cta;" ::: "memory"); }
GL_DEVICE void mbarriers_made() {
  GL_90("fence.mbarrier_init.release.cluster;" ::: "memory");
  fence_async();
}
GL_DEVICE void mbarrier_arrive(MBarrier* bar) {
  GL_90("{.reg .b64 state; mbarrier.arrive.shared::cta.b64 state, [%0];}" ::"r"(shared_address(bar)) : "memory");
}
GL_DEVICE void mbarrier_expect(MBarrier* bar, uint32 bytes) {
  GL_90("{.reg .b64 state; mbarrier.arrive.expect_tx.shared::cta.b64 state, [%0], %1;}" ::"r"(shared_address(bar)), "r"(bytes) : "memory");
}
GL_DEVICE void mbarrier_arrive_copies(MBarrier* bar) {
  GL_90("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(shared_address(bar)) : "memory");
}
GL_DEVICE void mbarrier_arrive_at(MBarrier* bar, uint32 rank) {
  GL_90("{.reg .b32 there; mapa.shared::cluster.u32 there, %0, %1; mbarrier.arrive.release.cluster.shared::cluster.b64 _, [there];}" ::"r"(
            shared_address(bar)), "r"(rank) : "memory");
}
GL_DEVICE void mbarrier_wait(MBarrier* bar, uint32 parity) {
  uint32 done = 0;
  const uint32 address = shared_address(bar);
  while (!done)  // Each try sleeps for a while.
    GL_90("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
          : "=r"(done) : "r"(address), "r"(parity) : "memory");
}

// ------------------------------------------------------------------------------------------------------- copies of tiles
#define GL_TMA(RANK, COORDINATES, ...) \
  GL_90("cp.async.bulk.tensor." RANK ".shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {" COORDINATES "}], [%2];" \
        ::"r"(shared_address(to)), "l"(map), "r"(shared_address(bar)), __VA_ARGS__ : "memory")
GL_DEVICE void tma_load(void* to, const TensorMap* map, MBarrier* bar, int x, int y) {
  GL_TMA("2d", "%3,%4", "r"(x), "r"(y));
}
GL_DEVICE void tma_load(void* to, const TensorMap* map, MBarrier* bar, int x, int y, int z) {
  GL_TMA("3d", "%3,%4,%5", "r"(x), "r"(y), "r"(z));
}
GL_DEVICE void tma_load(void* to, const TensorMap* map, MBarrier* bar, int x, int y, int z, int u) {
  GL_TMA("4d", "%3,%4,%5,%6", "r"(x), "r"(y), "r"(z), "r"(u));
}
GL_DEVICE void tma_load(void* to, const TensorMap* map, MBarrier* bar, int x, int y, int z, int u, int v) {
  GL_TMA("5d", "%3,%4,%5,%6,%7", "r"(x), "r"(y), "r"(z), "r"(u), "r"(v));
}
GL_DEVICE void bulk_load(void* to, const void* from, uint32 bytes, MBarrier* bar) {
  GL_90("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
        ::"r"(shared_address(to)), "l"(from), "r"(bytes), "r"(shared_address(bar)) : "memory");
}

// ------------------------------------------------------------------------------------------------ products of warpgroups
GL_DEVICE void wgmma_fence() { GL_90A("wgmma.fence.sync.aligned;" ::: "memory"); }
GL_DEVICE void wgmma_commit() { GL_90A("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int Count> GL_DEVICE void wgmma_wait() { GL_90A("wgmma.wait_group.sync.aligned %0;" ::"n"(Count) : "memory"); }
template <int Count> GL_DEVICE void pin(float* d) {
#pragma unroll
  for (int i = 0; i < Count; i++) asm volatile("" : "+f"(d[i])::"memory");
}

#define GL_R0 "%0,%1,%2,%3"
#define GL_R1 GL_R0 ",%4,%5,%6,%7"
#define GL_R2 GL_R1 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define GL_R3 GL_R2 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define GL_R4 GL_R3 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"
#define GL_R5 GL_R4 ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define GL_R6 GL_R5 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79" \
  ",%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define GL_R7 GL_R6 ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111" \
  ",%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define GL_FOUR_OF(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define GL_16_OF(i) GL_FOUR_OF(i), GL_FOUR_OF(i + 4), GL_FOUR_OF(i + 8), GL_FOUR_OF(i + 12)
#define GL_D0 GL_FOUR_OF(0)
#define GL_D1 GL_D0, GL_FOUR_OF(4)
#define GL_D2 GL_16_OF(0)
#define GL_D3 GL_D2, GL_16_OF(16)
#define GL_D4 GL_D3, GL_16_OF(32)
#define GL_D5 GL_D4, GL_16_OF(48)
#define GL_D6 GL_D5, GL_16_OF(64), GL_16_OF(80)
#define GL_D7 GL_D6, GL_16_OF(96), GL_16_OF(112)

template <class E, int Columns, bool AcrossA, bool AcrossB> struct Wgmma;
// One N: which of the lists above are D's registers, and the numbers of the operands behind them.  A is of_shared memory, or
// of_registers.
#define GL_WGMMA(N, I, P0, P1, P2, P3, P4, P5, P6) \
  GL_WGMMA_16(half, N, "k16.f32.f16.f16", I, P0, P1, P2, P3, P4, P5, P6) \
  GL_WGMMA_16(bfloat16, N, "k16.f32.bf16.bf16", I, P0, P1, P2, P3, P4, P5, P6) \
  template <> struct Wgmma<float, N, false, false> { \
    static GL_DEVICE void of_shared(float* d, uint64 a, uint64 b, int add) { \
      GL_90A(GL_WGMMA_TEXT(N, "k8.f32.tf32.tf32", I, P0, P1, P2) ";}" : GL_D##I : "l"(a), "l"(b), "r"(add)); \
    } \
    static GL_DEVICE void of_registers(float* d, const uint32* a, uint64 b, int add) { \
      GL_90A(GL_WGMMA_TEXT(N, "k8.f32.tf32.tf32", I, GL_FOUR(P0, P1, P2, P3), P4, P5) ";}" \
             : GL_D##I : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add)); \
    } \
  };
#define GL_WGMMA_16(E, N, KIND, I, P0, P1, P2, P3, P4, P5, P6) \
  template <bool AcrossA, bool AcrossB> struct Wgmma<E, N, AcrossA, AcrossB> { \
    static GL_DEVICE void of_shared(float* d, uint64 a, uint64 b, int add) { \
      GL_90A(GL_WGMMA_TEXT(N, KIND, I, P0, P1, P2) ", " P3 ", " P4 ";}" \
             : GL_D##I : "l"(a), "l"(b), "r"(add), "n"((int)AcrossA), "n"((int)AcrossB)); \
    } \
    static GL_DEVICE void of_registers(float* d, const uint32* a, uint64 b, int add) { \
      GL_90A(GL_WGMMA_TEXT(N, KIND, I, GL_FOUR(P0, P1, P2, P3), P4, P5) ", " P6 ";}" \
             : GL_D##I : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add), "n"((int)AcrossB)); \
    } \
  };
#define GL_FOUR(P0, P1, P2, P3) "{" P0 "," P1 "," P2 "," P3 "}"
#define GL_WGMMA_TEXT(N, KIND, I, A, B, ADD) \
  "{.reg .pred p; setp.ne.b32 p, " ADD ", 0; wgmma.mma_async.sync.aligned.m64n" #N KIND " {" GL_R##I "}, " A ", " B ", p, 1, 1"
GL_WGMMA(8, 0, "%4", "%5", "%6", "%7", "%8", "%9", "%10")
GL_WGMMA(16, 1, "%8", "%9", "%10", "%11", "%12", "%13", "%14")
GL_WGMMA(32, 2, "%16", "%17", "%18", "%19", "%20", "%21", "%22")
GL_WGMMA(64, 3, "%32", "%33", "%34", "%35", "%36", "%37", "%38")
GL_WGMMA(96, 4, "%48", "%49", "%50", "%51", "%52", "%53", "%54")
GL_WGMMA(128, 5, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
GL_WGMMA(192, 6, "%96", "%97", "%98", "%99", "%100", "%101", "%102")
GL_WGMMA(256, 7, "%128", "%129", "%130", "%131", "%132", "%133", "%134")
template <class E, int Columns, bool AcrossA, bool AcrossB> GL_DEVICE void wgmma(float* d, Tile a, Tile b, bool add) {
  Wgmma<E, Columns, AcrossA, AcrossB>::of_shared(d, a.bits, b.bits, add);
}
template <class E, int Columns, bool AcrossA, bool AcrossB> GL_DEVICE void wgmma(float* d, const uint32* a, Tile b, bool add) {
  static_assert(!AcrossA, "registers have no order in memory");
  Wgmma<E, Columns, false, AcrossB>::of_registers(d, a, b.bits, add);
}
template <int Count> GL_DEVICE void registers_up() { GL_90A("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count)); }
template <int Count> GL_DEVICE void registers_down() { GL_90A("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count)); }

// ------------------------------------------------------------------------------------------------------- clusters and grids
GL_DEVICE int cluster_rank() {
  int rank = 0;
  GL_90("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
GL_DEVICE void cluster_arrive() { GL_90("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
GL_DEVICE void cluster_wait() { GL_90("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }
template <class P> GL_DEVICE P* at_rank(P* p, int rank) {
  uint64 there = 0;
  GL_90("mapa.u64 %0, %1, %2;" : "=l"(there) : "l"((uint64)p), "r"(rank));
  return (P*)there;
}
GL_DEVICE void bar_arrive(int id, int threads) {
#if defined(__CUDA_ARCH__)
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}
GL_DEVICE uint32 load_acquire(const uint32* p) {
  uint32 n = 0;
#if defined(__CUDA_ARCH__)
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(n) : "l"(p) : "memory");
#endif
  return n;
}
GL_DEVICE void add_release(uint32* p, uint32 n) {
#if defined(__CUDA_ARCH__)
  asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(p), "r"(n) : "memory");
#endif
}
// Each barrier adds 1 << 31 in all to the word: its highest bit turns when the last block has come, and the others are 0 again.
GL_DEVICE void grid_sync(uint32* word) {
  __syncthreads();
  if ((threadIdx.x | threadIdx.y | threadIdx.z) == 0) {
    const bool first = (blockIdx.x | blockIdx.y | blockIdx.z) == 0;
    const uint32 blocks = gridDim.x * gridDim.y * gridDim.z;
    __threadfence();
    const uint32 before = atomicAdd(word, first ? 0x80000000u - (blocks - 1) : 1u);
    while (((before ^ load_acquire(word)) & 0x80000000u) == 0) __nanosleep(20);
    __threadfence();
  }
  __syncthreads();
}
#endif
}  // namespace gl
