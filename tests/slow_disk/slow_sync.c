/* Delays each sync of a process by the milliseconds in the file that LATCHD_TEST_SYNC names. While the file says
 * "stuck" no sync ends. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void pause_ms(long ms) {
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

int fdatasync(int file) {
    static int (*sync_file)(int);
    const char *path = getenv("LATCHD_TEST_SYNC");
    for (;;) {
        char said[16] = "0";
        FILE *control = path ? fopen(path, "r") : NULL;
        if (control) {
            if (!fgets(said, sizeof said, control))
                strcpy(said, "stuck");
            fclose(control);
        }
        if (strncmp(said, "stuck", 5) != 0) {
            pause_ms(atol(said));
            break;
        }
        pause_ms(5);
    }
    if (!sync_file)
        sync_file = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return sync_file(file);
}
