/* Environment: see environment.h. */
#include "calib/environment.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "sim/base/file.h"

enum { ENVIRONMENT_FILE = 1 << 20 };

/* A file of /proc or /sys; NULL: it is not there. free() it. */
static char *environment_file(const char *path)
{
    char *text = NULL;
    size_t length = 0;
    return es_file_load(path, ENVIRONMENT_FILE, &text, &length, NULL) == ES_OK ? text : NULL;
}

/* A file of one line. */
static void environment_line(es_json *out, const char *key, const char *path)
{
    char *text = environment_file(path);
    if (text) {
        text[strcspn(text, "\n")] = '\0';
        es_json_add_text(out, key, text);
    }
    free(text);
}

static void environment_cpu(es_json *out)
{
    char *text = environment_file("/proc/cpuinfo"), *at = text ? strstr(text, "model name") : NULL, *clock = text ? strstr(text, "cpu MHz") : NULL;
    if (clock && (clock = strchr(clock, ':')) != NULL)
        es_json_add_real(out, "cpu_MHz", strtod(clock + 1, NULL));
    if (text)
        es_json_add_bool(out, "virtual_machine", strstr(text, " hypervisor") != NULL);
    if (at && (at = strchr(at, ':')) != NULL) {
        at += 2;
        at[strcspn(at, "\n")] = '\0';
        es_json_add_text(out, "cpu", at);
    }
    free(text);
}

/* What kind of file system a folder lies on: by its number where the name is not known here. */
void environment_filesystem(const char *folder, es_json *out)
{
#ifdef __linux__
    static const struct { long type; const char *name; } known[] = {{0xef53, "ext4"}, {0x58465342, "xfs"}, {0x9123683e, "btrfs"}, {0x01021994, "tmpfs"}, {0x794c7630, "overlay"},
        {0x2fc12fc1, "zfs"}, {0xf2f52010, "f2fs"}, {0x6969, "nfs"}, {0x65735546, "fuse"}, {0x01021997, "9p"}};
    struct statfs system;
    char number[32];
    if (statfs(folder, &system) != 0)
        return;
    const char *name = number;
    snprintf(number, sizeof number, "0x%lx", (unsigned long)system.f_type);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if ((long)system.f_type == known[i].type)
            name = known[i].name;
    es_json_add_text(out, "filesystem", name);
#else
    (void)folder;
    (void)out;
#endif
}

static double environment_steal(void)
{
    char *text = environment_file("/proc/stat");
    double ticks = 0.0;
    if (text && sscanf(text, "cpu %*f %*f %*f %*f %*f %*f %*f %lf", &ticks) != 1)
        ticks = 0.0;
    free(text);
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

environment_span environment_begin(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (environment_span){(double)now.tv_sec + (double)now.tv_nsec / 1e9, environment_steal()};
}

void environment_end(const environment_span *begin, es_json *out)
{
    const environment_span end = environment_begin();
    es_json_add_real(out, "elapsed_s", end.now_s - begin->now_s);
    es_json_add_real(out, "steal_s", end.steal_s - begin->steal_s);
}

/* What else runs takes little from whoever goes before it. */
static void environment_priority(es_json *out)
{
#ifdef __linux__
    int policy = sched_getscheduler(0);
    if (policy == SCHED_FIFO || policy == SCHED_RR) {
        es_json_add_text(out, "priority", "real time");
        return;
    }
#endif
    char text[32];
    snprintf(text, sizeof text, "nice %d", getpriority(PRIO_PROCESS, 0));
    es_json_add_text(out, "priority", text);
}

void environment_add(es_json *out)
{
    struct utsname system;
    struct tm date;
    char stamp[32];
    double load[3];
    time_t now = time(NULL);
    environment_cpu(out);
    if (uname(&system) == 0) {
        es_json_add_text(out, "system", system.sysname);
        es_json_add_text(out, "kernel", system.release);
        es_json_add_text(out, "architecture", system.machine);
    }
    es_json_add_int(out, "processors", sysconf(_SC_NPROCESSORS_ONLN));
    es_json_add_int(out, "memory_B", (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    es_json_add_int(out, "page_B", sysconf(_SC_PAGESIZE));
    environment_line(out, "huge_pages", "/sys/kernel/mm/transparent_hugepage/enabled");
    environment_line(out, "numa_nodes", "/sys/devices/system/node/online");
    environment_line(out, "nvidia_driver", "/proc/driver/nvidia/version");
    environment_line(out, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    if (getloadavg(load, 1) == 1)
        es_json_add_real(out, "load_before", load[0]);
    environment_priority(out);
    if (gmtime_r(&now, &date) && strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &date))
        es_json_add_text(out, "date", stamp);
    es_json_add_text(out, "expertsim", ES_VERSION);
    es_json_add_text(out, "revision", environment_revision);
}
