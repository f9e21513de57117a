/* Fuzz: see fuzz.h. */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/part/registry.h"
#include "sim/study/feed.h"
#include "traces/write.h"

enum {
    FUZZ_ACCESSES = 1 << 20,
    FUZZ_FOLDER = 100                   /* descriptor of the folder of the input */
};

static char fuzz_folder[64], fuzz_path[96];

_Noreturn void fuzz_fail(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

static void fuzz_delete(void)
{
    unlink(fuzz_path);
    rmdir(fuzz_folder);
}

/* The fuzzer sees what names are compared with and builds inputs of it, so a run of a given seed is the same again only if they are:
 * the folder, whose name no other process has, is reached by its descriptor where the system lets it. */
static void fuzz_name(void)
{
    const int folder = open(fuzz_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fixed = folder < 0 ? -1 : fcntl(folder, F_DUPFD_CLOEXEC, FUZZ_FOLDER);
    struct stat there, named;
    snprintf(fuzz_path, sizeof fuzz_path, "/proc/self/fd/%d", fixed);
    if (fixed != FUZZ_FOLDER || fstat(fixed, &there) != 0 || stat(fuzz_path, &named) != 0 || there.st_dev != named.st_dev || there.st_ino != named.st_ino)
        snprintf(fuzz_path, sizeof fuzz_path, "%s", fuzz_folder);
    if (folder >= 0)
        close(folder);
    strcat(fuzz_path, "/input");
}

/* In memory where there is such a place: a target runs thousands of times a second. */
static int fuzz_open(void)
{
    static const char *const folders[] = { "/dev/shm", "/tmp" };
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        snprintf(fuzz_folder, sizeof fuzz_folder, "%s/expertsim-fuzz-XXXXXX", folders[i]);
        if (!mkdtemp(fuzz_folder))
            continue;
        fuzz_name();
        int file = open(fuzz_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        FUZZ_HOLDS(file >= 0);
        atexit(fuzz_delete);
        return file;
    }
    fuzz_fail("a temporary file can be made", __FILE__, __LINE__);
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int file = -1;
    if (file < 0)
        file = fuzz_open();
    FUZZ_HOLDS(ftruncate(file, 0) == 0);
    for (size_t done = 0; done < size;) {
        ssize_t wrote = pwrite(file, data + done, size - done, (off_t)done);
        FUZZ_HOLDS(wrote > 0);
        done += (size_t)wrote;
    }
    return fuzz_path;
}

/* Reads what a source has. Two readings of one source must be the same; an error must say something. */
static void fuzz_read(const es_source *source, const es_source_ask *ask)
{
    es_feed feed;
    es_err err = { 0 };
    es_tally counts = { 0 };
    char first[65] = "", second[65] = "";
    es_code code = es_feed_open(&feed, source, NULL, ask, &err);
    if (code == ES_OK && source->info(feed.state)->accesses > FUZZ_ACCESSES) {
        es_feed_close(&feed);           /* a few counts can stand for hours of reading */
        return;
    }
    if (code == ES_OK) {
        code = es_trace_check(source, feed.state, &counts, first, &err);
        es_tally_free(&counts);
        if (code == ES_OK) {
            counts = (es_tally){ 0 };
            FUZZ_HOLDS(source->rewind(feed.state, &err) == ES_OK);
            FUZZ_HOLDS(es_trace_check(source, feed.state, &counts, second, &err) == ES_OK);
            FUZZ_HOLDS(strcmp(first, second) == 0);
            es_tally_free(&counts);
        }
        es_feed_close(&feed);
    }
    FUZZ_HOLDS(code == ES_OK || (err.code == code && err.text[0] != '\0'));
    FUZZ_HOLDS(code != ES_EINTERNAL || strstr(err.text, "no memory"));
}

void fuzz_source(const char *name, const uint8_t *data, size_t size)
{
    const es_part *part = NULL;
    FUZZ_HOLDS(es_part_find(ES_KIND_SOURCE, name, &part, NULL) == ES_OK);
    const es_source *source = (const es_source *)part;
    const char *path = fuzz_file(data, size);
    FUZZ_HOLDS(source->sniff(data, size) >= 0);
    fuzz_read(source, &(es_source_ask){ .path = path, .weights = true, .residency = true, .guesses = true });
    fuzz_read(source, &(es_source_ask){ .path = path, .experts = 8 });
    fuzz_read(source, &(es_source_ask){ .path = path, .weights = true, .layers = 2, .top_k = 2, .layer_first = true, .lenient = true });
}
