// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// peak FILE PROGRAM [ARGUMENT...]: runs the program and writes "peak-KiB page-faults" of it and
// what it started into the file. A program of its own, since the kernel counts the memory of
// whoever started a process as that process's.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const pid_t child = ::vfork();
  if (child == 0) {
    ::execv(argv[2], argv + 2);
    ::_exit(127);
  }
  int status = 0;
  rusage usage{};
  if (child < 0 || ::wait4(child, &status, 0, &usage) != child) return 3;
  std::FILE* const file = std::fopen(argv[1], "w");
  if (file == nullptr) return 4;
  std::fprintf(file, "%ld %ld\n", usage.ru_maxrss, usage.ru_minflt);
  std::fclose(file);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 5;
}
