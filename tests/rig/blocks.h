// blocks.h: turns of the blocks of a launch, their shared memory, and the grid barrier.
#pragma once
#include "fibers.h"

namespace rig {
static std::vector<Fiber*> spare_fibers;
static std::vector<Block*> all_blocks, spare_blocks;

// A NaN in every floating type; -1 in integers.
static void fill(volatile unsigned char* p, size_t n) {
  for (size_t i = 0; i < n; i++) p[i] = 0xff;
}
static void copy(volatile unsigned char* to, const volatile unsigned char* from, size_t n) {
  for (size_t i = 0; i < n; i++) to[i] = from[i];
}
// Ends at an inaccessible page, but for alignment to 16 bytes.
static unsigned char* map_guarded(size_t n) {
  size_t body = (n + 4095) / 4096 * 4096;
  char* m =
      (char*)mmap(nullptr, body + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
  char* m = (char*)mmap(nullptr, f->stack_size + 4096, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (m == MAP_FAILED) abort();
  static int guards = 0;  // The system has 65530 mappings for a process.
  if (guards++ < 4096) mprotect(m, 4096, PROT_NONE);
  f->stack = m + 4096;
#ifdef RIG_TSAN
  f->tsan = __tsan_create_fiber(0);
#endif
  return f;
}
#ifdef RIG_TSAN
// What a block's threads have done comes before (or after) all that the scheduler does from here
// on.
static void tsan_sync(Block* b, bool before) {
  if (!before) __tsan_release(&run.launch_key[0]);
  for (Fiber* f : b->f) {
    __tsan_switch_to_fiber(f->tsan, 1);
    if (before) __tsan_release(&run.launch_key[1]);
    else __tsan_acquire(&run.launch_key[0]);
    __tsan_switch_to_fiber(run.tsan_main, 1);
  }
  if (before) __tsan_acquire(&run.launch_key[1]);
}
#endif
// Shared memory has one place for all blocks: what a block leaves there is kept until its next
// turn.
static void give_turn(Block* b) {
  Block* before = run.block;
  if (before == b) return;
#ifdef RIG_TSAN  // Turns are no races.  So races between blocks are not found by the sanitizer:
                 // orders show them.
  if (before) tsan_sync(before, true);
  tsan_sync(b, false);
#endif
  size_t n = run.launch->statics_size;
  if (before && n) {
    if (!before->statics) before->statics = (unsigned char*)malloc(n);
    copy(before->statics, run.launch->statics, n);
  }
  if (b->statics && n) copy(run.launch->statics, b->statics, n);
  run.block = b, rig_bid = b->index, rig_dyn = b->dynamic;
}
// Enters a block among those of its cluster; `linear`: its number in the grid.
static void join_cluster(Block* b, size_t linear) {
  const size_t wide = run.launch->cluster;
  if (wide == 1) b->own = Cluster();
  b->cluster = wide == 1 ? &b->own : &run.clusters[linear / wide];
  b->rank = (unsigned)(linear % wide);
  b->cluster->blocks[b->rank] = b;
}
static Block* start_block(uint3 index, size_t linear) {
  const Launch& l = *run.launch;
  size_t n = (size_t)l.block[0] * l.block[1] * l.block[2];
  if (spare_blocks.empty())
    all_blocks.push_back(new Block), spare_blocks.push_back(all_blocks.back());
  Block* b = spare_blocks.back();
  spare_blocks.pop_back();
  if (!b->dynamic) b->dynamic = dynamic_memory(l.shared);
  b->index = index;
  b->head = b->waiting = b->done = b->at_barrier = b->at_grid = b->asleep = 0;
  for (int i = 0; i < 16; i++) b->turn[i] = b->arrived[i] = 0;
  b->flights.clear();
  join_cluster(b, linear);
  give_turn(b);
  if (run.launch->statics_size) fill(run.launch->statics, run.launch->statics_size);
  fill(b->dynamic, l.shared);
  while (b->f.size() > n) spare_fibers.push_back(b->f.back()), b->f.pop_back();
  while (b->f.size() < n) b->f.push_back(new_fiber());
  b->ready.resize(n);
  for (size_t i = 0; i < n; i++) {
    Fiber& f = *b->f[i];
    f.block = b, f.linear = (unsigned)i, f.lane = i & 31, f.warp = (unsigned)(i >> 5);
    f.tid = {(unsigned)(i % l.block[0]), (unsigned)(i / l.block[0] % l.block[1]),
             (unsigned)(i / l.block[0] / l.block[1])};
    f.copies.clear(), f.groups.clear(), f.next_copy = 0, f.value = 0, f.warp_turn = 0;
    f.products.clear(), f.product_groups.clear(), f.fenced = false;
    f.sp = first_stack_pointer(f.stack + f.stack_size, entry);
    wake(f);
  }
#ifdef RIG_TSAN
  tsan_sync(b, false);
#endif
  return b;
}
static void finish_block(Block* b) {
#ifdef RIG_TSAN
  tsan_sync(b, true);
#endif
  b->cluster->blocks[b->rank] = nullptr;
  if (run.launch->cluster > 1)  // What others of the cluster read from here now is a NaN.
    fill(b->dynamic, run.launch->shared);
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
    for (Fiber* f : b.f)
      if (f->state == WAITING && f->kind == ASLEEP) wake(*f);
  }
  while (b.waiting && run.error.empty()) to_fiber(next_ready(b));
  while (b.flights.size() && run.error.empty()) {
    if (!b.alive()) set_error("a block ends with asynchronous copies on their way");
    land_one(b);  // As late as it may.
    while (b.waiting && run.error.empty()) to_fiber(next_ready(b));
  }
  if (!b.alive() || !run.error.empty()) return true;
  if (!b.asleep && b.at_grid + b.done < b.n()) say_deadlock(b);
  if (!b.asleep && b.at_grid && b.done)
    set_error("a grid barrier although some threads of the block have exited");
  return false;
}
template <class T>
static void arrange(std::vector<T>& items, int order) {
  if (order == REVERSE)
    for (size_t i = 0; i < items.size() / 2; i++) std::swap(items[i], items[items.size() - 1 - i]);
  if (order == RANDOM)
    for (size_t i = items.size(); i > 1; i--) std::swap(items[i - 1], items[random_bits() % i]);
}
static void advance_all(std::vector<Block*>& live) {
  std::vector<Block*> turns = live, left;
  arrange(turns, run.launch->block_order);
  for (Block* b : turns) {
    if (!run.error.empty()) return;
    if (advance(*b)) finish_block(b);
    else left.push_back(b);
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
  const size_t count = (size_t)l.grid[0] * l.grid[1] * l.grid[2], wide = l.cluster;
  if (l.grid[0] % wide) return set_error("the grid's width is no multiple of the cluster's");
  const size_t resident = l.resident < wide ? wide : l.resident / wide * wide;
  run.clusters.assign(wide > 1 ? count / wide : 0, Cluster());
  std::vector<size_t> order(count / wide);
  for (size_t i = 0; i < order.size(); i++) order[i] = i;
  arrange(order, l.block_order);
  std::vector<Block*> live;
  size_t next = 0;
  while (run.error.empty() && (next < count || !live.empty())) {
    if (next < count && live.size() < resident) {
      size_t i = order[next / wide] * wide + next % wide;
      next++;
      Block* b = start_block({(unsigned)(i % l.grid[0]), (unsigned)(i / l.grid[0] % l.grid[1]),
                              (unsigned)(i / l.grid[0] / l.grid[1])},
                             i);
      if (advance(*b)) finish_block(b);
      else live.push_back(b);
      continue;
    }
    bool asleep = false, everyone = live.size() == count;
    for (Block* b : live) asleep |= b->asleep > 0, everyone &= b->at_grid == b->n();
    if (everyone) pass_grid_barrier(live);
    else if (!asleep)
      set_error("deadlock at a grid barrier: of " + std::to_string(count) + " blocks, " +
                std::to_string(live.size()) + " wait, " + std::to_string(next - live.size()) +
                " have exited, " + std::to_string(count - next) +
                " do not fit on the device until others exit");
    else if (++run.naps > 100000)
      set_error("threads sleep for ever: nothing gives them the word that they wait for");
    if (run.error.empty()) advance_all(live);
  }
}
static void clear_blocks() {  // Also those that an error left behind; shared memory has another
                              // size in the next launch.
  for (Block* b : all_blocks) {
    if (b->dynamic) free_dynamic_memory(b->dynamic, run.launch->shared);
    free(b->statics);
    b->dynamic = b->statics = nullptr;
  }
  spare_blocks = all_blocks;
}
}  // namespace rig
