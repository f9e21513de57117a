/* Measure: runs a command and says on the last line of standard error what it took: "SECONDS PEAK_KIB", wall time and peak memory.
 *
 *     measure expertsim run config.json --json
 *
 * Peak memory is the kernel's own high-water mark of the process. A child starts with the mark of whoever called exec, so it has to
 * be asked for by something small: a Python script weighs as much as what is measured here. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static long kib(long most)
{
#ifdef __APPLE__
    return most / 1024;                 /* bytes there, KiB elsewhere */
#else
    return most;
#endif
}

int main(int argc, char **argv)
{
    struct rusage used;
    int status = 0;
    if (argc < 2) {
        fprintf(stderr, "measure: which command?\n");
        return EXIT_FAILURE;
    }
    double start = seconds();
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &used) != child) {
        perror("measure");
        return EXIT_FAILURE;
    }
    fprintf(stderr, "%.6f %ld\n", seconds() - start, kib(used.ru_maxrss));
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}
