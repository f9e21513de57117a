/* Fuzzes the reader of traces of buffers (traces/buffers.c, traces/lives.c). Whatever it accepts must be sound: what is asked for has a
 * slot of its own while it lives, only what lives ends, and its totals are true. */
#include <stdlib.h>
#include <string.h>

#include "sim/study/feed.h"
#include "tests/fuzz/fuzz.h"

extern const es_source es_source_buffers;

static void buffers_step(const es_step *step, uint32_t slots, bool *live, uint64_t *asked)
{
    for (uint32_t i = 0; i < step->buffers; i++) {
        const es_buffer_op *op = &step->buffer[i];
        FUZZ_HOLDS(op->slot < slots && op->bytes >= 1);
        FUZZ_HOLDS(live[op->slot] == (op->kind == ES_BUFFER_RELEASE || op->kind == ES_BUFFER_EXPIRE));
        live[op->slot] = op->kind == ES_BUFFER_REQUEST;
        *asked += op->kind == ES_BUFFER_REQUEST;
    }
}

static void buffers_read(const char *path, const char *options)
{
    es_feed feed = {0};
    es_err err = {0};
    es_arena arena = {0};
    es_json *json = cJSON_Parse(options);
    void *state = es_arena_alloc(&arena, 1, es_source_buffers.part.size);
    FUZZ_HOLDS(es_options_parse(es_source_buffers.part.options, state, json, NULL, &arena, &err) == ES_OK);
    const es_source_ask ask = {.path = path, .buffers = true};
    es_code code = es_feed_open(&feed, &es_source_buffers, state, &ask, &err);
    FUZZ_HOLDS(code == ES_OK || (err.code == code && err.text[0] != '\0'));
    FUZZ_HOLDS(code != ES_EINTERNAL || strstr(err.text, "no memory"));
    if (code == ES_OK) {
        const es_trace_info *info = es_source_buffers.info(feed.state);
        bool *live = calloc(info->buffers, sizeof *live), more = true;
        uint64_t steps = 0, asked = 0;
        for (es_step step; es_source_buffers.next(feed.state, &step, &more, &err) == ES_OK && more; steps++)
            buffers_step(&step, info->buffers, live, &asked);
        FUZZ_HOLDS(steps == info->steps && asked == info->accesses);
        free(live);
        es_feed_close(&feed);
    }
    cJSON_Delete(json);
    es_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    FUZZ_HOLDS(es_source_buffers.sniff(data, size) >= 0);
    buffers_read(path, "{}");
    buffers_read(path, "{\"double_release\": \"keep\", \"tokens\": 2}");
    return 0;
}
