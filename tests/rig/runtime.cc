// runtime.cc: runs the threads of a launch as fibers, in an order that the caller chooses, and says what went wrong.
// A block runs until its threads have exited or wait for other blocks (grid barrier, sleep); then the next one has its turn.
#include "warp.h"
#include "switch.h"

extern "C" {
rig::Ctx* rig_cur;
uint3 rig_bid;
dim3 rig_grid, rig_block;
unsigned char* rig_dyn;
extern unsigned char __start_gl_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_gl_shared[] __attribute__((weak, visibility("hidden")));
}
using namespace rig;
namespace rig {
Run run;
static std::vector<Fiber*> spare_fibers;
static std::vector<Block*> all_blocks, spare_blocks;
enum Order { FORWARD, REVERSE, RANDOM };

// ------------------------------------------------------------------------------------------------ what went wrong, and where
void set_error(const std::string& message) {
  if (!run.error.empty()) return;
  char place[96];
  snprintf(place, sizeof place, " [block (%u,%u,%u)]", rig_bid.x, rig_bid.y, rig_bid.z);
  run.error = message + place;
}
std::string at(const Fiber& f) {
  char b[600];
  int n = snprintf(b, sizeof b, "thread (%u,%u,%u) lane %u warp %u", f.tid.x, f.tid.y, f.tid.z, f.lane, f.warp);
  if (f.kind == AT_WARP) snprintf(b + n, sizeof b - n, " in %s mask %08x at %s:%d", OPERATION[f.op], f.mask, f.file, f.line);
  if (f.kind == AT_BLOCK || f.kind == AT_NAMED) snprintf(b + n, sizeof b - n, " at barrier %d, %s:%d", f.bar_id, f.file, f.line);
  if (f.kind == AT_GRID) snprintf(b + n, sizeof b - n, " at the grid barrier, %s:%d", f.file, f.line);
  return b;
}
static void say_deadlock(const Block& b) {
  std::string d = "deadlock, no thread of the block can go on:";
  size_t shown = 0, in_warps = 0;
  for (Fiber* f : b.f) {
    if (f->state != WAITING) continue;
    if (shown++ < 4) d += " " + at(*f) + ";";
    in_warps += f->kind == AT_WARP;
  }
  set_error(d + " in all " + std::to_string(shown - in_warps) + " at barriers, " + std::to_string(in_warps) +
            " in warp collectives, " + std::to_string(b.done) + " exited");
}

// ---------------------------------------------------------------------------------------------------------- turns of fibers
__attribute__((noinline)) void to_scheduler() {
  Fiber* me = current();
#ifdef RIG_ASAN
  __sanitizer_start_switch_fiber(me->state == DONE ? nullptr : &me->fake, run.main_bottom, run.main_size);
#endif
#ifdef RIG_TSAN
  __tsan_switch_to_fiber(run.tsan_main, 1);
#endif
  rig_switch(&me->sp, run.main_sp);
#ifdef RIG_ASAN
  __sanitizer_finish_switch_fiber(me->fake, &run.main_bottom, &run.main_size);
#endif
}
__attribute__((noinline)) static void to_fiber(Fiber* f) {
  rig_cur = f;
  run.launch->switches++;
#ifdef RIG_ASAN
  __sanitizer_start_switch_fiber(&run.main_fake, f->stack, f->stack_size);
#endif
#ifdef RIG_TSAN
  __tsan_switch_to_fiber(f->tsan, 1);
#endif
  rig_switch(&run.main_sp, f->sp);
#ifdef RIG_ASAN
  __sanitizer_finish_switch_fiber(run.main_fake, nullptr, nullptr);
#endif
  rig_cur = nullptr;
}
void wake(Fiber& f) {
  Block& b = *f.block;
  f.state = READY, f.kind = NOTHING;
  size_t place = b.head + b.waiting++;
  b.ready[place < b.n() ? place : place - b.n()] = (int)f.linear;
}
static Fiber* next_ready(Block& b) {
  size_t last = (b.head + b.waiting - 1) % b.n(), k = b.head;
  if (run.launch->order == REVERSE) k = last;
  if (run.launch->order == RANDOM) k = (b.head + random_bits() % b.waiting) % b.n();
  Fiber* f = b.f[b.ready[k]];
  if (run.launch->order == FORWARD) b.head = b.head + 1 == b.n() ? 0 : b.head + 1;
  else b.ready[k] = b.ready[last];
  b.waiting--;
  return f;
}
static void wait_as(Kind kind, const char* file, int line) {
  Fiber& f = *current();
  f.state = WAITING, f.kind = kind, f.file = file, f.line = line;
}
static void release_block_barrier(Block& b) {  // ... if all are there.
  if (!b.at_barrier || b.at_barrier + b.done != b.n()) return;
  run.launch->barriers++;
  b.at_barrier = 0, b.turn[0]++;
  Fiber* first = nullptr;
  uint64_t count = 0;
  for (Fiber* f : b.f) {
    if (f->state != WAITING || f->kind != AT_BLOCK) continue;
    if (!first) first = f;
    if (f->line != first->line) set_error("one __syncthreads reached from two places: " + at(*first) + " and " + at(*f));
    count += f->value;
  }
  if (b.done) set_error("__syncthreads although some threads of the block have exited; first waiting: " + at(*first));
  for (Fiber* f : b.f) {
    if (f->state != WAITING || f->kind != AT_BLOCK) continue;
    f->result = count;
    wake(*f);
  }
}
static void entry() {
#ifdef RIG_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &run.main_bottom, &run.main_size);
#endif
  run.body(run.arg);
  Fiber* me = current();
  if (me->copies.size()) set_error("a thread exits with cp.async copies that it never waited for: " + at(*me));
  me->state = DONE;
  me->block->done++;
  release_block_barrier(*me->block);
  to_scheduler();
  abort();
}

// --------------------------------------------------------------------------------------------------------- turns of blocks
static void fill(volatile unsigned char* p, size_t n) {  // A NaN in every floating type; -1 in integers.
  for (size_t i = 0; i < n; i++) p[i] = 0xff;
}
static void copy(volatile unsigned char* to, const volatile unsigned char* from, size_t n) {
  for (size_t i = 0; i < n; i++) to[i] = from[i];
}
static size_t statics_size() { return __start_gl_shared ? __stop_gl_shared - __start_gl_shared : 0; }
static unsigned char* map_guarded(size_t n) {  // Ends at an inaccessible page, but for alignment to 16 bytes.
  size_t body = (n + 4095) / 4096 * 4096;
  char* m = (char*)mmap(nullptr, body + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (m == MAP_FAILED) abort();
  mprotect(m, 4096, PROT_NONE);
  mprotect(m + 4096 + body, 4096, PROT_NONE);
  return (unsigned char*)m + 4096 + (body - n) / 16 * 16;
}
static unsigned char* dynamic_memory(size_t n) {
#ifdef RIG_ASAN
  void* exact = nullptr;
  if (posix_memalign(&exact, 1024, n ? n : 1)) abort();
  return (unsigned char*)exact;
#else
  return map_guarded(n);
#endif
}
static void free_dynamic_memory(unsigned char* p, size_t n) {
#ifdef RIG_ASAN
  free(p);
#else
  size_t body = (n + 4095) / 4096 * 4096;
  munmap(p - (body - n) / 16 * 16 - 4096, body + 8192);
#endif
}
static Fiber* new_fiber() {
  if (!spare_fibers.empty()) {
    Fiber* f = spare_fibers.back();
    spare_fibers.pop_back();
    return f;
  }
  Fiber* f = new Fiber;
#if defined(RIG_ASAN) || defined(RIG_TSAN)
  f->stack_size = 256 << 10;
#else
  f->stack_size = 128 << 10;
#endif
  char* m = (char*)mmap(nullptr, f->stack_size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (m == MAP_FAILED) abort();
  mprotect(m, 4096, PROT_NONE);
  f->stack = m + 4096;
#ifdef RIG_TSAN
  f->tsan = __tsan_create_fiber(0);
#endif
  return f;
}
static void give_turn(Block* b) {
  Block* before = run.block;
  if (before == b) return;
  size_t n = statics_size();
  if (before && n) {
    if (!before->statics) before->statics = (unsigned char*)malloc(n);
    copy(before->statics, __start_gl_shared, n);
  }
  if (b->statics && n) copy(__start_gl_shared, b->statics, n);
  run.block = b, rig_bid = b->index, rig_dyn = b->dynamic;
}
static Block* start_block(uint3 index) {
  const Launch& l = *run.launch;
  size_t n = (size_t)l.block[0] * l.block[1] * l.block[2];
  if (spare_blocks.empty()) all_blocks.push_back(new Block), spare_blocks.push_back(all_blocks.back());
  Block* b = spare_blocks.back();
  spare_blocks.pop_back();
  if (!b->dynamic) b->dynamic = dynamic_memory(l.shared);
  b->index = index;
  b->head = b->waiting = b->done = b->at_barrier = b->at_grid = b->asleep = 0;
  for (unsigned& turn : b->turn) turn = 0;
  give_turn(b);
  if (statics_size()) fill(__start_gl_shared, statics_size());
  fill(b->dynamic, l.shared);
  while (b->f.size() > n) spare_fibers.push_back(b->f.back()), b->f.pop_back();
  while (b->f.size() < n) b->f.push_back(new_fiber());
  b->ready.resize(n);
  for (size_t i = 0; i < n; i++) {
    Fiber& f = *b->f[i];
    f.block = b, f.linear = (unsigned)i, f.lane = i & 31, f.warp = (unsigned)(i >> 5);
    f.tid = {(unsigned)(i % l.block[0]), (unsigned)(i / l.block[0] % l.block[1]), (unsigned)(i / l.block[0] / l.block[1])};
    f.copies.clear(), f.groups.clear(), f.next_copy = 0, f.value = 0, f.warp_turn = 0;
    f.sp = first_stack_pointer(f.stack + f.stack_size, entry);
    wake(f);
  }
#ifdef RIG_TSAN
  __tsan_release(&run.launch_key[0]);
  for (Fiber* f : b->f) __tsan_switch_to_fiber(f->tsan, 1), __tsan_acquire(&run.launch_key[0]), __tsan_switch_to_fiber(run.tsan_main, 1);
#endif
  return b;
}
static void finish_block(Block* b) {
#ifdef RIG_TSAN
  for (Fiber* f : b->f) __tsan_switch_to_fiber(f->tsan, 1), __tsan_release(&run.launch_key[1]), __tsan_switch_to_fiber(run.tsan_main, 1);
  __tsan_acquire(&run.launch_key[1]);
#endif
  run.block = nullptr;
  free(b->statics);
  b->statics = nullptr;
  spare_blocks.push_back(b);
}
// Runs a block until nothing in it can go on by itself; whether it has finished.
static bool advance(Block& b) {
  give_turn(&b);
  if (b.asleep) {
    b.asleep = 0;
    for (Fiber* f : b.f) if (f->state == WAITING && f->kind == ASLEEP) wake(*f);
  }
  while (b.waiting && run.error.empty()) to_fiber(next_ready(b));
  if (!b.alive() || !run.error.empty()) return true;
  if (!b.asleep && b.at_grid + b.done < b.n()) say_deadlock(b);
  if (!b.asleep && b.at_grid && b.done) set_error("a grid barrier although some threads of the block have exited");
  return false;
}
template <class T> static void arrange(std::vector<T>& items, int order) {
  if (order == REVERSE) for (size_t i = 0; i < items.size() / 2; i++) std::swap(items[i], items[items.size() - 1 - i]);
  if (order == RANDOM) for (size_t i = items.size(); i > 1; i--) std::swap(items[i - 1], items[random_bits() % i]);
}
static void advance_all(std::vector<Block*>& live) {
  std::vector<Block*> turns = live, left;
  arrange(turns, run.launch->block_order);
  for (Block* b : turns) {
    if (!run.error.empty()) return;
    if (advance(*b)) finish_block(b); else left.push_back(b);
  }
  live.swap(left);
}
static void pass_grid_barrier(std::vector<Block*>& live) {
  run.launch->barriers++, run.grid_turn++;
  for (Block* b : live) {
    b->at_grid = 0;
    for (Fiber* f : b->f) wake(*f);
  }
}
static void run_blocks() {
  const Launch& l = *run.launch;
  std::vector<size_t> order((size_t)l.grid[0] * l.grid[1] * l.grid[2]);
  for (size_t i = 0; i < order.size(); i++) order[i] = i;
  arrange(order, l.block_order);
  std::vector<Block*> live;
  size_t next = 0;
  while (run.error.empty() && (next < order.size() || !live.empty())) {
    if (next < order.size() && live.size() < l.resident) {
      size_t i = order[next++];
      Block* b = start_block({(unsigned)(i % l.grid[0]), (unsigned)(i / l.grid[0] % l.grid[1]), (unsigned)(i / l.grid[0] / l.grid[1])});
      if (advance(*b)) finish_block(b); else live.push_back(b);
      continue;
    }
    bool asleep = false, everyone = live.size() == order.size();
    for (Block* b : live) asleep |= b->asleep > 0, everyone &= b->at_grid == b->n();
    if (everyone) pass_grid_barrier(live);
    else if (!asleep) set_error("deadlock at a grid barrier: of " + std::to_string(order.size()) + " blocks, " + std::to_string(live.size()) +
                                " wait, " + std::to_string(next - live.size()) + " have exited, " + std::to_string(order.size() - next) +
                                " do not fit on the device until others exit");
    else if (++run.naps > 100000) set_error("threads sleep for ever: nothing gives them the word that they wait for");
    if (run.error.empty()) advance_all(live);
  }
}
static void clear_blocks() {  // Also those that an error left behind; shared memory has another size in the next launch.
  for (Block* b : all_blocks) {
    if (b->dynamic) free_dynamic_memory(b->dynamic, run.launch->shared);
    free(b->statics);
    b->dynamic = b->statics = nullptr;
  }
  spare_blocks = all_blocks;
}
#if !defined(RIG_ASAN) && !defined(RIG_TSAN)
static void on_signal(int signal_number, siginfo_t* info, void*) {
  if (!run.running) { signal(signal_number, SIG_DFL); return; }
  if (!pthread_equal(pthread_self(), run.thread)) { pthread_kill(run.thread, signal_number); return; }
  std::string who = current() ? at(*current()) : "the scheduler";
  char b[200];
  snprintf(b, sizeof b, "%s at address %p (out of bounds of an array, or a wild pointer): ", signal_number == SIGBUS ? "bus error" : "memory fault",
           info->si_addr);
  if (signal_number == SIGVTALRM) set_error("still running after " + std::to_string(run.launch->seconds) + " s (an endless loop?): " + who);
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

// ------------------------------------------------------------------------------------- what kernels and Python call (rig.h)
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
void rig_bar(int id, int n, const char* file, int line) {  // bar.sync id, n: the first n threads to come
  Fiber& f = *current();
  Block& b = *f.block;
  if (id < 1 || id > 15 || n % 32) rig_fail("a named barrier: 1 to 15, and a multiple of 32 threads", file, line);
  wait_as(AT_NAMED, file, line);
  f.bar_id = id;
  [[maybe_unused]] uint64_t* key = &b.key[id * 2 + (b.turn[id] & 1)];
  TSAN_RELEASE(key);
  auto here = [&](Fiber* o) { return o->state == WAITING && o->kind == AT_NAMED && o->bar_id == id; };
  int there = 0;
  for (Fiber* o : b.f) there += here(o);
  if (there == n) {
    run.launch->barriers++, b.turn[id]++;
    for (Fiber* o : b.f) if (here(o)) wake(*o);
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
uint64_t rig_warp(int op, unsigned mask, uint64_t value, int arg, int width, const char* file, int line) {
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
void rig_mma(int op, float* d, const uint32_t* a, int na, const uint32_t* b, int nb, const char* file, int line) {
  Fiber& f = *current();
  for (int i = 0; i < na; i++) f.ra[i] = a[i];
  for (int i = 0; i < nb; i++) f.rb[i] = b[i];
  for (int i = 0; i < 4; i++) f.rc[i] = d[i];
  collective(op, 0xffffffffu, file, line);
  for (int i = 0; i < 4; i++) d[i] = f.rc[i];
}
// cp.async.  Forward: copies land as late as they may (waiting for too little reads old data); reverse: at once (giving them
// before the place is free shows); random: either.
int rig_cp_eager(void) {
  if (run.launch->order == RANDOM) return (int)(random_bits() & 1);
  return run.launch->order == REVERSE;
}
void rig_cp_add(void* d, const void* s, int n, int src_n, const char*, int) { current()->copies.push_back({d, s, n, src_n}); }
void rig_cp_commit(void) { current()->groups.push_back(current()->copies.size()); }
int rig_cp_next(int keep, void** d, const void** s, int* n, int* src_n) {
  Fiber& f = *current();
  size_t groups = keep < 0 ? f.groups.size() : (int)f.groups.size() > keep ? f.groups.size() - keep : 0;
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
  set_error(std::string(message) + " at " + file + ":" + std::to_string(line) + ": " + at(*current()));
  current()->state = WAITING;
  to_scheduler();
  abort();
}
int rig_run(Launch* launch, void (*body)(void*), void* arg) {
  run.launch = launch, run.body = body, run.arg = arg, run.block = nullptr, run.naps = run.grid_turn = 0;
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
