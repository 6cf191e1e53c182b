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
void rig_bar(int id, int n, const char* file,
             int line) {  // bar.sync id, n: the first n threads to come
  Fiber& f = *current();
  Block& b = *f.block;
  if (id < 1 || id > 15 || n % 32)
    rig_fail("a named barrier: 1 to 15, and a multiple of 32 threads", file, line);
  wait_as(AT_NAMED, file, line);
  f.bar_id = id;
  [[maybe_unused]] uint64_t* key = &b.key[id * 2 + (b.turn[id] & 1)];
  TSAN_RELEASE(key);
  auto here = [&](Fiber* o) {
    return o->state == WAITING && o->kind == AT_NAMED && o->bar_id == id;
  };
  int there = 0;
  for (Fiber* o : b.f) there += here(o);
  if (there == n) {
    run.launch->barriers++, b.turn[id]++;
    for (Fiber* o : b.f)
      if (here(o)) wake(*o);
  }
  to_scheduler();
  TSAN_ACQUIRE(key);
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
