// program.h: a program around one source's kernels, for the sanitizers: reads a launch from the
// file argv[1] (written by sanitized.py), runs it, and writes the buffers to argv[2].  RIG_TABLE
// lists the kernels.
#pragma once
#include <stdio.h>
#include <stdlib.h>
int main(int, char** argv) {
  struct Kernel {
    const char* name;
    int (*run)(rig::Launch*);
  };
  const Kernel table[] = {RIG_TABLE};
  FILE* f = fopen(argv[1], "rb");
  auto read = [&](void* p, size_t n) {
    if (n && fread(p, 1, n, f) != n) abort();
  };
  uint32_t n_name, n_buffers, n_args;
  read(&n_name, 4);
  char name[512] = "", error[4096] = "";
  read(name, n_name);
  rig::Launch launch;
  read(&launch, sizeof launch);
  read(&n_buffers, 4);
  uint64_t* sizes = new uint64_t[n_buffers];
  char** buffers = new char*[n_buffers];
  for (uint32_t i = 0; i < n_buffers; i++) {
    read(&sizes[i], 8);
    if (posix_memalign((void**)&buffers[i], 256, sizes[i] ? sizes[i] : 1)) abort();
    read(buffers[i], sizes[i]);
  }
  read(&n_args, 4);
  void** args = new void*[n_args];
  // Each a buffer's number and a place in it, or minus the size of a value, and the value.
  for (uint32_t i = 0; i < n_args; i++) {
    int64_t number, place;
    read(&number, 8);
    if (number < 0) {
      args[i] = malloc(-number);
      read(args[i], -number);
    } else {
      read(&place, 8);
      args[i] = new char*(buffers[number] + place);
    }
  }
  fclose(f);
  launch.args = args, launch.err = error, launch.err_size = sizeof error;
  int failed = 1;
  for (const Kernel& k : table)
    if (!strcmp(k.name, name)) failed = k.run(&launch);
  if (failed) fprintf(stderr, "%s: %s\n", name, error);
  f = fopen(argv[2], "wb");
  for (uint32_t i = 0; i < n_buffers; i++) fwrite(buffers[i], 1, sizes[i], f);
  fclose(f);
  fflush(stderr);
  _Exit(failed ? 3 : 0);
}
