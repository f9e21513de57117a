/* Readers: what opening a trace file and reading all of it costs.
 *
 *     readers FORMAT FILE [LAYERS TOP_K]     prints {"tokens": N, "accesses": N, "open": SECONDS, "read": SECONDS}, of CPU
 *
 * Opening includes the hash of the file and whatever the format must look at first. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sim/part/registry.h"
#include "sim/study/feed.h"

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    es_err err = { 0 };
    es_feed feed = { 0 };
    es_step step;
    bool more = true;
    uint64_t tokens = 0;
    if (argc < 3) {
        fprintf(stderr, "readers: which format, which file?\n");
        return EXIT_FAILURE;
    }
    const es_source_ask ask = { .path = argv[2], .layers = argc > 3 ? (uint32_t)atoi(argv[3]) : 0, .top_k = argc > 4 ? (uint32_t)atoi(argv[4]) : 0 };
    const double start = seconds();
    es_code code = es_feed_open_file(&feed, NULL, argv[2], argv[1], &ask, &err);
    const double opened = seconds();
    while (!code && more) {
        code = feed.source->next(feed.state, &step, &more, &err);
        tokens += step.tokens;
    }
    if (code) {
        fprintf(stderr, "readers: %s\n", err.text);
        return EXIT_FAILURE;
    }
    printf("{\"tokens\": %" PRIu64 ", \"accesses\": %" PRIu64 ", \"open\": %.4f, \"read\": %.4f}\n", tokens, feed.source->info(feed.state)->accesses, opened - start, seconds() - opened);
    es_feed_close(&feed);
    return EXIT_SUCCESS;
}
