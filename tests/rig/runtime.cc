// runtime.cc: runs the threads of a launch as fibers, in an order that the caller chooses, and says
// what went wrong. A block runs until its threads have exited or wait for other blocks (grid
// barrier, sleep); then the next one has its turn.
#include "blocks.h"

extern "C" {
rig::Ctx* rig_cur;
uint3 rig_bid;
dim3 rig_grid, rig_block;
unsigned char* rig_dyn;
}
using namespace rig;
namespace rig {
#if !defined(RIG_ASAN) && !defined(RIG_TSAN)
static void on_signal(int signal_number, siginfo_t* info, void*) {
  if (!run.running) {
    signal(signal_number, SIG_DFL);
    return;
  }
  if (!pthread_equal(pthread_self(), run.thread)) {
    pthread_kill(run.thread, signal_number);
    return;
  }
  std::string who = current() ? at(*current()) : "the scheduler";
  char b[200];
  snprintf(b, sizeof b, "%s at address %p (out of bounds of an array, or a wild pointer): ",
           signal_number == SIGBUS ? "bus error" : "memory fault", info->si_addr);
  if (signal_number == SIGVTALRM)
    set_error("still running after " + std::to_string(run.launch->seconds) +
              " s (an endless loop?): " + who);
  else set_error(b + who);
  siglongjmp(run.fault, 1);
}
// Runs the blocks with memory faults and endless loops turned into errors.
static void run_watched() {
  static char other_stack[65536];
  const int signals[] = {SIGSEGV, SIGBUS, SIGVTALRM};
  struct sigaction action = {}, before[3];
  stack_t stack = {}, stack_before;
  stack.ss_sp = other_stack, stack.ss_size = sizeof other_stack;
  sigaltstack(&stack, &stack_before);
  action.sa_sigaction = on_signal, action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (int i = 0; i < 3; i++) sigaction(signals[i], &action, &before[i]);
  itimerval limit = {{0, 0}, {run.launch->seconds, 0}}, none = {};
  setitimer(ITIMER_VIRTUAL, &limit, nullptr);
  run.thread = pthread_self(), run.running = true;
  if (!sigsetjmp(run.fault, 1)) run_blocks();
  run.running = false;
  setitimer(ITIMER_VIRTUAL, &none, nullptr);
  for (int i = 0; i < 3; i++) sigaction(signals[i], &before[i], nullptr);
  sigaltstack(&stack_before, nullptr);
}
#else
static void run_watched() { run_blocks(); }
#endif
}  // namespace rig

// ------------------------------------------------------------------------------------- what
// kernels and Python call (rig.h)
extern "C" {
void rig_sync(const char* file, int line) { rig_sync_count(0, file, line); }
int rig_sync_count(int predicate, const char* file, int line) {
  Fiber& f = *current();
  Block& b = *f.block;
  wait_as(AT_BLOCK, file, line);
  f.bar_id = 0, f.value = (uint64_t)predicate;
  b.at_barrier++;
  [[maybe_unused]] uint64_t* key = &b.key[b.turn[0] & 1];
  TSAN_RELEASE(key);
  release_block_barrier(b);
  to_scheduler();
  TSAN_ACQUIRE(key);
  return (int)f.result;
}
// bar.sync id, n: the first n threads to come, of which some do not wait (bar.arrive).
static void come_to_bar(int id, int n, bool waits, const char* file, int line) {
  Fiber& f = *current();
  Block& b = *f.block;
  if (id < 1 || id > 15 || n % 32)
    rig_fail("a named barrier: 1 to 15, and a multiple of 32 threads", file, line);
  [[maybe_unused]] uint64_t* key = &b.key[id * 2 + (b.turn[id] & 1)];
  TSAN_RELEASE(key);
  if (waits) {
    wait_as(AT_NAMED, file, line);
    f.bar_id = id;
  } else b.arrived[id]++;
  auto here = [&](Fiber* o) {
    return o->state == WAITING && o->kind == AT_NAMED && o->bar_id == id;
  };
  int there = (int)b.arrived[id];
  for (Fiber* o : b.f) there += here(o);
  if (there == n) {
    run.launch->barriers++, b.turn[id]++, b.arrived[id] = 0;
    for (Fiber* o : b.f)
      if (here(o)) wake(*o);
  }
  if (!waits) return;
  to_scheduler();
  TSAN_ACQUIRE(key);
}
void rig_bar(int id, int n, const char* file, int line) { come_to_bar(id, n, true, file, line); }
void rig_bar_arrive(int id, int n, const char* file, int line) {
  come_to_bar(id, n, false, file, line);
}
void rig_grid_sync(const char* file, int line) {
  wait_as(AT_GRID, file, line);
  current()->block->at_grid++;
  [[maybe_unused]] uint64_t* key = &run.grid_key[run.grid_turn & 1];
  TSAN_RELEASE(key);
  to_scheduler();
  TSAN_ACQUIRE(key);
}
void rig_yield(const char* file, int line) {
  wait_as(ASLEEP, file, line);
  current()->block->asleep++;
  to_scheduler();
}
uint64_t rig_warp(int op, unsigned mask, uint64_t value, int arg, int width, const char* file,
                  int line) {
  Fiber& f = *current();
  f.value = value, f.arg = arg, f.width = width;
  collective(op, mask, file, line);
  return f.result;
}
void rig_ldm(int op, int n, const unsigned char* row, uint32_t* r, const char* file, int line) {
  Fiber& f = *current();
  copy(f.row, row, 16);
  f.n_mat = n;
  collective(op, 0xffffffffu, file, line);
  for (int i = 0; i < n; i++) r[i] = f.ra[i];
}
void rig_mma(int op, float* d, const uint32_t* a, int na, const uint32_t* b, int nb,
             const char* file, int line) {
  Fiber& f = *current();
  for (int i = 0; i < na; i++) f.ra[i] = a[i];
  for (int i = 0; i < nb; i++) f.rb[i] = b[i];
  for (int i = 0; i < 4; i++) f.rc[i] = d[i];
  collective(op, 0xffffffffu, file, line);
  for (int i = 0; i < 4; i++) d[i] = f.rc[i];
}
// cp.async.  Forward: copies land as late as they may (waiting for too little reads old data);
// reverse: at once (giving them before the place is free shows); random: either.
int rig_cp_eager(void) {
  if (run.launch->order == RANDOM) return (int)(random_bits() & 1);
  return run.launch->order == REVERSE;
}
void rig_cp_add(void* d, const void* s, int n, int src_n, const char*, int) {
  current()->copies.push_back({d, s, n, src_n});
}
void rig_cp_commit(void) { current()->groups.push_back(current()->copies.size()); }
int rig_cp_next(int keep, void** d, const void** s, int* n, int* src_n) {
  Fiber& f = *current();
  size_t groups = keep < 0                      ? f.groups.size()
                  : (int)f.groups.size() > keep ? f.groups.size() - keep
                                                : 0;
  size_t end = keep < 0 ? f.copies.size() : groups ? f.groups[groups - 1] : 0;
  if (f.next_copy < end) {
    Copy& c = f.copies[f.next_copy++];
    *d = c.dst, *s = c.src, *n = c.n, *src_n = c.src_n;
    return 1;
  }
  f.copies.erase_front(end);
  f.groups.erase_front(groups);
  for (size_t i = 0; i < f.groups.size(); i++) f.groups[i] -= end;
  f.next_copy = 0;
  return 0;
}
// What sm_90 adds: see hopper.h.
uint32_t rig_shared_address(const void* p) {
  const unsigned char* at = (const unsigned char*)p;
  if (is_static(p)) return FIRST + (uint32_t)(at - run.launch->statics);
  if (at >= rig_dyn && at <= rig_dyn + run.launch->shared)
    return dynamic_first() + (uint32_t)(at - rig_dyn);
  rig_fail("an address that is not in this block's shared memory (g++ knows no __shared__ in a "
           "template: put it in the kernel)", "", 0);
}
void rig_mbarrier_init(void* bar, uint32_t arrivals, const char* file, int line) {
  rig_shared_address(bar);
  if ((uintptr_t)bar % 8 || !arrivals || arrivals >= 0xfffff)
    rig_fail("mbarrier.init: a multiple of 8 bytes, and 1 to 2^20 - 2 arrivals", file, line);
  Phase* p = (Phase*)bar;
  p->phase = 0, p->missing = p->arrivals = arrivals, p->bytes = 0;
}
void rig_mbarrier_arrive(void* bar, uint32_t bytes, const char* file, int line) {
  TSAN_RELEASE(bar);
  arrive(bar, bytes, file, line);
  if (run.launch->order != RANDOM || !(random_bits() & 1)) return;
  wake(*current());  // Others may go on before this thread does.
  to_scheduler();
}
void rig_mbarrier_copies(void* bar, const char* file, int line) {
  Fiber& f = *current();
  phase_of(bar, file, line);
  TSAN_RELEASE(bar);
  Flight t = {};
  for (size_t i = 0; i < f.copies.size(); i++) {
    t.kind = Flight::CP_ASYNC, t.copy = f.copies[i];
    run.block->flights.push_back(t);
  }
  f.copies.clear(), f.groups.clear();
  t.kind = Flight::ARRIVAL, t.bar = bar;
  take_off(t);
}
void rig_mbarrier_wait(void* bar, uint32_t parity, const char* file, int line) {
  Fiber& f = *current();
  while (phase_of(bar, file, line)->phase == (parity & 1)) {
    if (run.launch->cluster > 1) {
      rig_yield(file, line);
      continue;
    }
    wait_as(AT_MBARRIER, file, line);
    f.value = (uint64_t)bar;
    to_scheduler();
  }
  TSAN_ACQUIRE(bar);
}
void rig_tma_load(void* to, const void* map, void* bar, const int* at, int rank, const char* file,
                  int line) {
  Flight t = {};
  memcpy(&t.map, map, sizeof t.map);
  if (t.map.magic != 0x70616d726f736e74ull || (int)t.map.rank != rank)
    rig_fail("TMA: this is no tensor map of so many axes", file, line);
  phase_of(bar, file, line);
  t.kind = Flight::TILE, t.bar = bar, t.to = rig_shared_address(to), t.bytes = t.map.element;
  if (t.to % 128) rig_fail("TMA: to a multiple of 128 bytes only", file, line);
  for (int a = 0; a < rank; a++) t.bytes *= t.map.box[a], t.at[a] = at[a];
  take_off(t);
}
void rig_bulk_load(void* to, const void* from, uint32_t bytes, void* bar, const char* file,
                   int line) {
  Flight t = {};
  phase_of(bar, file, line);
  rig_shared_address(to);
  if (((uintptr_t)to | (uintptr_t)from | bytes) % 16)
    rig_fail("cp.async.bulk: multiples of 16 bytes only", file, line);
  t.kind = Flight::BULK, t.bar = bar, t.bytes = bytes, t.copy = {to, from, (int)bytes, (int)bytes};
  take_off(t);
}
void rig_wgmma(int kind, int n, int across_a, int across_b, float* d, const uint32_t* a,
               uint64_t first, uint64_t second, int add, const char* file, int line) {
  Fiber& f = *current();
  if (!f.fenced) rig_fail("wgmma without a wgmma.fence since registers were used", file, line);
  Product p = {d, first, second, {}, kind, n, a != nullptr, across_a != 0, across_b != 0, add != 0};
  for (int i = 0; i < 4 && a; i++) p.a[i] = a[i];
  f.products.push_back(p);
  collective(W_WGMMA, 0xffffffffu, file, line);
}
void rig_wgmma_fence(const char* file, int line) {
  collective(W_WGMMA_FENCE, 0xffffffffu, file, line);
  current()->fenced = true;
}
void rig_wgmma_commit(const char*, int) {
  current()->product_groups.push_back(current()->products.size());
}
void rig_wgmma_wait(int keep, const char* file, int line) {
  current()->arg = keep;
  collective(W_WGMMA_WAIT, 0xffffffffu, file, line);
  current()->fenced = false;
}
int rig_cluster_rank(void) { return (int)run.block->rank; }
void rig_cluster_arrive(const char*, int) {
  Cluster& c = *run.block->cluster;
  TSAN_RELEASE(&c.blocks[0]);
  current()->cluster_turn = c.turn;
  c.arrived++;
  pass_cluster_barrier(*run.block);
}
void rig_cluster_wait(const char* file, int line) {
  Cluster& c = *run.block->cluster;
  while (c.turn == current()->cluster_turn) rig_yield(file, line);
  TSAN_ACQUIRE(&c.blocks[0]);
}
void* rig_at_rank(void* p, int rank) {
  if (rank < 0 || rank >= (int)run.launch->cluster) rig_fail("a rank outside of the cluster", "", 0);
  Block* other = run.block->cluster->blocks[rank];
  rig_shared_address(p);
  if (other == run.block) return p;
  if (!other || (is_static(p) && !other->statics))
    rig_fail("another block's shared memory before it has begun, or after its end", "", 0);
  if (!is_static(p)) return other->dynamic + ((unsigned char*)p - rig_dyn);
  return other->statics + ((unsigned char*)p - run.launch->statics);
}
void rig_fail(const char* message, const char* file, int line) {
  set_error(std::string(message) + " at " + file + ":" + std::to_string(line) + ": " +
            at(*current()));
  current()->state = WAITING;
  to_scheduler();
  abort();
}
int rig_run(Launch* launch, void (*body)(void*), void* arg) {
  run.launch = launch, run.body = body, run.arg = arg, run.block = nullptr,
  run.naps = run.grid_turn = 0;
  run.random = launch->seed * 2654435761ull + 88172645463325252ull;
  run.error.clear();
  rig_grid = {launch->grid[0], launch->grid[1], launch->grid[2]};
  rig_block = {launch->block[0], launch->block[1], launch->block[2]};
#ifdef RIG_TSAN
  run.tsan_main = __tsan_get_current_fiber();
#endif
  run_watched();
  rig_cur = nullptr;
  clear_blocks();
  if (run.error.empty()) return 0;
  snprintf(launch->err, launch->err_size, "%s", run.error.c_str());
  return 1;
}
}
