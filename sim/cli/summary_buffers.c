/* Summary of a trace of buffers: what memory cost each token, how the pool did, and what the findings say. See summary.h. */
#include <string.h>

#include "sim/cli/summary.h"

/* "299 us pool, 4 us device": of a token, without what took none. */
static void buffers_cost(const es_json *r, es_text *out)
{
    const double all = summary_number(r, "buffers.per_token_s.all"), token = summary_number(r, "time.total_s") / summary_number(r, "buffers.tokens");
    const es_json *part;
    if (!isfinite(all))
        return;
    summary_label(out, "memory costs");
    summary_seconds(out, all);
    es_text_add(out, " per token, ");
    summary_percent(out, all, token);
    es_text_add(out, " of its time");
    const char *comma = ": ";
    cJSON_ArrayForEach(part, es_json_at(r, "buffers.per_token_s")) {
        if (strcmp(part->string, "all") == 0 || !(part->valuedouble > 0))
            continue;
        es_text_add(out, "%s%s ", comma, part->string);
        summary_seconds(out, part->valuedouble);
        comma = ", ";
    }
    es_text_add(out, "\n");
}

static void buffers_setup(const es_json *r, es_text *out)
{
    const double setup = summary_number(r, "time.setup_s"), warmed = summary_number(r, "buffers.warmed");
    if (!(setup > 0))
        return;
    summary_label(out, "set-up");
    summary_seconds(out, setup);
    es_text_add(out, " before the first step, for %.0f heaps and %.0f warm-ups; first token after ", summary_number(r, "buffers.heaps_first"), warmed);
    summary_seconds(out, summary_number(r, "time.cold_first_token_s"));
    es_text_add(out, "\n");
}

static void buffers_requests(const es_json *r, es_text *out)
{
    summary_label(out, "requests");
    summary_count(out, summary_number(r, "buffers.requests"));
    es_text_add(out, ", %.1f per token; ", summary_number(r, "buffers.per_token"));
    es_text_bytes(out, summary_number(r, "buffers.mean_bytes"));
    es_text_add(out, " in the mean, ");
    es_text_bytes(out, summary_number(r, "buffers.largest_bytes"));
    es_text_add(out, " the largest; at most ");
    summary_count(out, summary_number(r, "buffers.live_peak"));
    es_text_add(out, " live at once, ");
    es_text_bytes(out, summary_number(r, "buffers.live_peak_bytes"));
    es_text_add(out, "\n");
}

static void buffers_pool(const es_json *r, es_text *out)
{
    const double heaps = summary_number(r, "buffers.heaps_last"), made = summary_number(r, "buffers.allocator.heaps_made");
    summary_label(out, "pool");
    if (!(heaps > 0)) {
        es_text_add(out, "none: every buffer is the device's and the host's\n");
        return;
    }
    summary_count(out, heaps);
    es_text_add(out, heaps == 1 ? " heap, " : " heaps, ");
    if (made > 0)
        es_text_add(out, "%.0f of them added, ", made);
    es_text_bytes(out, summary_number(r, "buffers.capacity_bytes"));
    es_text_add(out, "; used ");
    summary_percent(out, summary_number(r, "buffers.utilization.mean"), 1.0);
    es_text_add(out, " in the mean, ");
    summary_percent(out, summary_number(r, "buffers.utilization.peak"), 1.0);
    es_text_add(out, " at most; fragmentation ");
    summary_percent(out, summary_number(r, "buffers.fragmentation.mean"), 1.0);
    es_text_add(out, "\n");
    if (summary_number(r, "buffers.moves") > 0) {
        summary_label(out, "compaction");
        summary_count(out, summary_number(r, "buffers.compactions"));
        es_text_add(out, " times, ");
        summary_count(out, summary_number(r, "buffers.moves"));
        es_text_add(out, " buffers of ");
        es_text_bytes(out, summary_number(r, "buffers.moved_bytes"));
        es_text_add(out, " moved\n");
    }
}

static void buffers_exhaustion(const es_json *r, es_text *out)
{
    const double events = summary_number(r, "buffers.exhaustion.events");
    const es_json *first = es_json_at(r, "buffers.exhaustion.first.0");
    if (!(events > 0) || !first)
        return;
    summary_label(out, "exhausted");
    summary_count(out, events);
    es_text_add(out, "%s in step %.0f", events == 1 ? " time," : " times, first", summary_number(first, "step"));
    if (isfinite(summary_number(first, "at_s"))) {
        es_text_add(out, ", at ");
        summary_seconds(out, summary_number(first, "at_s"));
    }
    es_text_add(out, ", by ");
    es_text_bytes(out, summary_number(first, "request_bytes"));
    es_text_add(out, "\n");
}

static void buffers_findings(const es_json *r, es_text *out)
{
    const es_json *one;
    cJSON_ArrayForEach(one, es_json_at(r, "findings")) {
        const char *text = summary_text(one, "text");
        summary_label(out, "finding");
        es_text_add(out, "%s\n", text ? text : "?");
    }
}

static void buffers_trace(const es_json *r, es_text *out)
{
    const char *mode = summary_text(r, "buffers.allocator.mode"), *choose = summary_text(r, "buffers.allocator.choose"), *path = summary_text(r, "provenance.trace.path");
    const char *name = summary_text(r, "buffers.allocator.name"), *clock = summary_text(r, "clock"), *format = summary_text(r, "provenance.trace.format");
    summary_label(out, "allocator");
    es_text_add(out, "%s%s%s%s%s; clock %s\n", name ? name : "?", mode ? ", " : "", mode ? mode : "", choose ? ", " : "", choose ? choose : "", clock ? clock : "?");
    summary_label(out, "trace");
    es_text_add(out, "%s: ", path ? path : format ? format : "?");
    summary_count(out, summary_number(r, "buffers.tokens"));
    es_text_add(out, " tokens in ");
    summary_count(out, summary_number(r, "buffers.steps"));
    es_text_add(out, " steps\n");
    if (cJSON_IsTrue(es_json_at(r, "provenance.trace.synthetic"))) {
        summary_label(out, "note");
        es_text_add(out, "synthetic: the requests were generated, not recorded from a program\n");
    }
}

void summary_buffers(const es_json *r, es_text *out)
{
    summary_speed(r, out);
    buffers_cost(r, out);
    buffers_setup(r, out);
    buffers_requests(r, out);
    buffers_pool(r, out);
    buffers_exhaustion(r, out);
    buffers_findings(r, out);
    buffers_trace(r, out);
}
