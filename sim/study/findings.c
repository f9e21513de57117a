/* Findings: see findings.h. Each rule is a function that reads what it needs and adds its sentence, or nothing. */
#include "sim/study/findings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/text.h"

typedef struct findings {
    const es_json *result;
    es_json *list;
} findings;

static double findings_number(const findings *f, const char *path)
{
    const es_json *value = es_json_at(f->result, path);
    return cJSON_IsNumber(value) ? value->valuedouble : cJSON_IsRaw(value) ? strtod(value->valuestring, NULL) : (double)NAN;
}

/* Owns the text. */
static void findings_add(const findings *f, const char *about, const char *band, es_text *text)
{
    es_json *one = cJSON_CreateObject();
    es_json_add_text(one, "about", about);
    es_json_add_text(one, "band", band);
    es_json_add_text(one, "text", text->at);
    if (!cJSON_AddItemToArray(f->list, one))
        cJSON_Delete(one);
    es_text_free(text);
}

/* ---- bands ---- */

static void findings_hits(const findings *f)
{
    const double rate = findings_number(f, "buffers.hit_rate");
    const char *band = rate > 0.95 ? "excellent" : rate >= 0.90 ? "good" : rate >= 0.80 ? "fair" : "poor";
    es_text text = {0};
    es_text_add(&text, "hit rate %.1f %%: %s", 100.0 * rate, band);
    if (rate <= 0.95)
        es_text_add(&text, rate < 0.80 ? "; the pool is too small, raise heap_size or heaps" : rate < 0.90 ? "; raise heap_size or heaps" : "; minor tuning would do");
    findings_add(f, "hit_rate", band, &text);
}

static void findings_utilization(const findings *f)
{
    const double mean = findings_number(f, "buffers.utilization.mean"), peak = findings_number(f, "buffers.utilization.peak");
    es_text text = {0};
    if (!isfinite(mean))
        return;
    const char *band = mean > 0.95 ? "critical" : mean > 0.80 ? "under-provisioned" : mean < 0.50 ? "over-provisioned" : "optimal";
    es_text_add(&text, "utilization %.1f %% in the mean, %.1f %% at most: %s", 100.0 * mean, 100.0 * peak, band);
    if (mean > 0.80)
        es_text_add(&text, mean > 0.95 ? "; exhaustion is near, raise the capacity" : "; consider more heaps");
    else if (mean < 0.50)
        es_text_add(&text, peak > 0.80 ? "; but at its peak it is needed" : "; fewer or smaller heaps would save memory");
    findings_add(f, "utilization", band, &text);
}

static void findings_fallback(const findings *f)
{
    const double rate = findings_number(f, "buffers.fallback_rate");
    const char *band = rate == 0.0 ? "excellent" : rate < 0.05 ? "acceptable" : rate < 0.10 ? "some" : "frequent";
    es_text text = {0};
    es_text_add(&text, "fallback rate %.1f %%: %s", 100.0 * rate, band);
    if (rate >= 0.05)
        es_text_add(&text, rate < 0.10 ? "; consider more capacity" : "; the pool is too small for these requests");
    findings_add(f, "fallback_rate", band, &text);
}

/* ---- advice ---- */

static void findings_heap_size(const findings *f)
{
    const double largest = findings_number(f, "buffers.largest_bytes"), heap = findings_number(f, "buffers.allocator.heap_bytes");
    es_text text = {0};
    if (!(heap > 0 && largest > heap))
        return;
    es_text_add(&text, "largest allocation ");
    es_text_bytes(&text, largest);
    es_text_add(&text, " exceeds the heap of ");
    es_text_bytes(&text, heap);
    es_text_add(&text, ": raise heap_size");
    if (largest > 4294967296.0)
        es_text_add(&text, "; above 4 GiB it may be a mistake of the program");
    findings_add(f, "heap_size", NULL, &text);
}

/* Fallbacks although every request would fit an empty heap: room is lacking, is in pieces, or lies in a heap that was not asked. */
static void findings_capacity(const findings *f)
{
    const double rate = findings_number(f, "buffers.fallback_rate"), heap = findings_number(f, "buffers.allocator.heap_bytes");
    const double largest = findings_number(f, "buffers.largest_bytes"), peak = findings_number(f, "buffers.utilization.peak");
    const double capacity = findings_number(f, "buffers.capacity_bytes"), live = findings_number(f, "buffers.live_peak_bytes");
    es_text text = {0};
    if (!(rate > 0.0) || !(heap > 0) || largest > heap || es_json_at(f->result, "buffers.allocator.checkout"))
        return;
    if (live > capacity) {
        es_text_add(&text, "up to ");
        es_text_bytes(&text, live);
        es_text_add(&text, " live at once in a pool of ");
        es_text_bytes(&text, capacity);
        es_text_add(&text, ": raise heaps or heap_size");
    } else {
        es_text_add(&text, "some fall back while %.1f %% of the pool is used at most: try_all or choose best_fit finds room elsewhere", 100.0 * peak);
    }
    findings_add(f, "capacity", NULL, &text);
}

static void findings_concurrency(const findings *f)
{
    const double live = findings_number(f, "buffers.live_peak"), heaps = findings_number(f, "buffers.heaps_last");
    const es_json *checkout = es_json_at(f->result, "buffers.allocator.checkout");
    es_text text = {0};
    if (!checkout || !(live > heaps))
        return;
    es_text_add(&text, "up to %.0f buffers live at once, but only %.0f heaps can be lent, each to one: raise heaps (the source allows 16), or cut heaps into pieces", live, heaps);
    findings_add(f, "concurrency", NULL, &text);
}

static void findings_warm(const findings *f)
{
    const double skipped = findings_number(f, "buffers.allocator.warm_skipped");
    es_text text = {0};
    if (!(skipped > 0))
        return;
    es_text_add(&text, skipped == 1 ? "1 warm-up size is larger than a heap and was skipped" : "%.0f warm-up sizes are larger than a heap and were skipped", skipped);
    es_text_add(&text, ": raise heap_size, or leave %s out", skipped == 1 ? "it" : "them");
    findings_add(f, "warm", NULL, &text);
}

static void findings_fragmentation(const findings *f)
{
    const double mean = findings_number(f, "buffers.fragmentation.mean");
    es_text text = {0};
    if (!(mean > 0.5))
        return;
    es_text_add(&text, "fragmentation is %.1f %% in the mean: what is free is in small pieces; compaction is worth a look", 100.0 * mean);
    findings_add(f, "fragmentation", NULL, &text);
}

static void findings_table(const findings *f)
{
    const double full = findings_number(f, "buffers.allocator.table_full");
    es_text text = {0};
    if (!(full > 0))
        return;
    es_text_count(&text, (int64_t)full);
    es_text_add(&text, " requests found the table of pieces full, not the heaps: raise the allocator's option buffers");
    findings_add(f, "buffers", NULL, &text);
}

static void findings_leak(const findings *f)
{
    const double requests = findings_number(f, "buffers.requests"), refused = findings_number(f, "buffers.refused");
    const double released = findings_number(f, "buffers.released"), leaked = findings_number(f, "buffers.leaked"), again = findings_number(f, "buffers.released_again");
    es_text text = {0};
    if (leaked > 0) {
        es_text_add(&text, "memory leak: acquired ");
        es_text_count(&text, (int64_t)(requests - refused));
        es_text_add(&text, ", released ");
        es_text_count(&text, (int64_t)released);
        es_text_add(&text, ", leaked ");
        es_text_count(&text, (int64_t)leaked);
        es_text_add(&text, " buffers of ");
        es_text_bytes(&text, findings_number(f, "buffers.leaked_bytes"));
        findings_add(f, "leak", NULL, &text);
    }
    if (again > 0) {
        text = (es_text){0};
        es_text_count(&text, (int64_t)again);
        es_text_add(&text, again == 1 ? " release of what was released before" : " releases of what was released before");
        findings_add(f, "double_release", NULL, &text);
    }
}

static void findings_refused(const findings *f)
{
    const double refused = findings_number(f, "buffers.refused");
    es_text text = {0};
    if (!(refused > 0))
        return;
    es_text_count(&text, (int64_t)refused);
    es_text_add(&text, refused == 1 ? " request found no memory at all" : " requests found no memory at all");
    findings_add(f, "memory", NULL, &text);
}

void es_findings_buffers(es_json *result)
{
    static void (*const rules[])(const findings *f) = {findings_hits, findings_utilization, findings_fallback, findings_heap_size, findings_capacity, findings_concurrency,
        findings_warm, findings_fragmentation, findings_table, findings_leak, findings_refused};
    const findings f = {.result = result, .list = es_json_add_array(result, "findings")};
    const bool pool = findings_number(&f, "buffers.heaps_last") > 0;
    for (size_t i = 0; f.list && i < sizeof rules / sizeof *rules; i++)
        if (pool || i >= 9)             /* without a pool there are no bands; leaks and refusals there may be */
            rules[i](&f);
}
