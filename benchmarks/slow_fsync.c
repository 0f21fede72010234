/* fsync and fdatasync that take 8 ms longer, as on a slow disk; loaded before libc. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

static const int LONGER = 8000; /* microseconds */

int fsync(int file) {
  usleep(LONGER);
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}

int fdatasync(int file) {
  usleep(LONGER);
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}
