// switch.h: from one fiber's stack to another's, for x86-64 and aarch64.
#pragma once
#include <stdint.h>
#include <string.h>
extern "C" void rig_switch(void** save_sp, void* to_sp);

#if defined(__x86_64__)
asm(R"(
.text
.globl rig_switch
.hidden rig_switch
.type rig_switch,@function
rig_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
.size rig_switch,.-rig_switch
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl rig_switch
.hidden rig_switch
.type rig_switch,%function
rig_switch:
  sub sp,sp,#160
  stp x19,x20,[sp,#0]; stp x21,x22,[sp,#16]; stp x23,x24,[sp,#32]; stp x25,x26,[sp,#48]; stp x27,x28,[sp,#64]; stp x29,x30,[sp,#80]
  stp d8,d9,[sp,#96]; stp d10,d11,[sp,#112]; stp d12,d13,[sp,#128]; stp d14,d15,[sp,#144]
  mov x2,sp; str x2,[x0]; mov sp,x1
  ldp x19,x20,[sp,#0]; ldp x21,x22,[sp,#16]; ldp x23,x24,[sp,#32]; ldp x25,x26,[sp,#48]; ldp x27,x28,[sp,#64]; ldp x29,x30,[sp,#80]
  ldp d8,d9,[sp,#96]; ldp d10,d11,[sp,#112]; ldp d12,d13,[sp,#128]; ldp d14,d15,[sp,#144]
  add sp,sp,#160
  ret
.size rig_switch,.-rig_switch
)");
#else
#error "switch.h: rig_switch is missing for this processor"
#endif

// Where a new fiber's stack pointer stands, so that the first switch to it enters `entry`.
inline void* first_stack_pointer(char* end, void (*entry)()) {
  uintptr_t top = (uintptr_t)end & ~(uintptr_t)63;
#if defined(__x86_64__)
  void** sp = (void**)top;
  *--sp = nullptr;
  *--sp = (void*)entry;
  for (int i = 0; i < 6; i++) *--sp = nullptr;
#else
  void** sp = (void**)(top - 160);
  memset(sp, 0, 160);
  sp[11] = (void*)entry;
#endif
  return sp;
}
