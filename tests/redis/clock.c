/* A clock that a test sets: the system's, plus the milliseconds in a file. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec real;
  char text[32] = {0};
  long long us;
  int file = open(getenv("CLOCK_FILE"), O_RDONLY);
  (void)zone;
  if (file >= 0) {
    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
    close(file);
  }
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &real);
  us = real.tv_sec * 1000000LL + real.tv_nsec / 1000 + atoll(text) * 1000;
  now->tv_sec = us / 1000000;
  now->tv_usec = us % 1000000;
  return 0;
}
