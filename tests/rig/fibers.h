// fibers.h: turns of the threads of one block, what they wait for, and what went wrong.
#pragma once
#include "switch.h"
#include "warp.h"

namespace rig {
Run run;
enum Order { FORWARD, REVERSE, RANDOM };

// ------------------------------------------------------------------------------------------------
// what went wrong, and where
void set_error(const std::string& message) {
  if (!run.error.empty()) return;
  char place[96];
  snprintf(place, sizeof place, " [block (%u,%u,%u)]", rig_bid.x, rig_bid.y, rig_bid.z);
  run.error = message + place;
}
std::string at(const Fiber& f) {
  char b[600];
  int n = snprintf(b, sizeof b, "thread (%u,%u,%u) lane %u warp %u", f.tid.x, f.tid.y, f.tid.z,
                   f.lane, f.warp);
  if (f.kind == AT_WARP)
    snprintf(b + n, sizeof b - n, " in %s mask %08x at %s:%d", OPERATION[f.op], f.mask, f.file,
             f.line);
  if (f.kind == AT_BLOCK || f.kind == AT_NAMED)
    snprintf(b + n, sizeof b - n, " at barrier %d, %s:%d", f.bar_id, f.file, f.line);
  if (f.kind == AT_MBARRIER)
    snprintf(b + n, sizeof b - n, " at an mbarrier, %s:%d", f.file, f.line);
  if (f.kind == AT_GRID)
    snprintf(b + n, sizeof b - n, " at the grid barrier, %s:%d", f.file, f.line);
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
  set_error(d + " in all " + std::to_string(shown - in_warps) + " at barriers, " +
            std::to_string(in_warps) + " in warp collectives, " + std::to_string(b.done) +
            " exited");
}

// ----------------------------------------------------------------------------------------------------------
// turns of fibers
__attribute__((noinline)) void to_scheduler() {
  Fiber* me = current();
#ifdef RIG_ASAN
  __sanitizer_start_switch_fiber(me->state == DONE ? nullptr : &me->fake, run.main_bottom,
                                 run.main_size);
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
    if (f->line != first->line)
      set_error("one __syncthreads reached from two places: " + at(*first) + " and " + at(*f));
    count += f->value;
  }
  if (b.done)
    set_error("__syncthreads although some threads of the block have exited; first waiting: " +
              at(*first));
  for (Fiber* f : b.f) {
    if (f->state != WAITING || f->kind != AT_BLOCK) continue;
    f->result = count;
    wake(*f);
  }
}
static void pass_cluster_barrier(Block& b) {  // ... if all are there.
  Cluster& c = *b.cluster;
  if (!c.arrived || c.arrived + c.ended != b.n() * run.launch->cluster) return;
  c.arrived = 0, c.turn++, run.naps = 0;
  run.launch->barriers++;
}
static void entry() {
#ifdef RIG_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &run.main_bottom, &run.main_size);
#endif
  run.body(run.arg);
  Fiber* me = current();
  if (me->copies.size())
    set_error("a thread exits with cp.async copies that it never waited for: " + at(*me));
  if (me->products.size())
    set_error("a thread exits with wgmma that it never waited for: " + at(*me));
  me->state = DONE;
  me->block->done++, me->block->cluster->ended++;
  pass_cluster_barrier(*me->block);
  release_block_barrier(*me->block);
  to_scheduler();
  abort();
}

}  // namespace rig
