/* A run over a trace of buffers, which has no experts: what memory cost, how the pool did, and what the findings say. See report_inside.h. */
#include <string.h>

#include "plots/report_inside.h"

static const report_row buffers_requests[] = {
    {"buffers.requests", "requests", HTML_COUNT, "What was asked for; placed, beside the pool or refused.", false},
    {"buffers.per_token", "per token", HTML_NUMBER, "Requests / tokens.", false},
    {"buffers.placed", "placed", HTML_COUNT, "The pool had room.", false},
    {"buffers.spilled", "in another heap", HTML_COUNT, "Of these: not in the one that was chosen first.", true},
    {"buffers.fallback", "beside the pool", HTML_COUNT, "The device allocated them.", true},
    {"buffers.refused", "refused", HTML_COUNT, "There was no memory at all.", true},
    {"buffers.hit_rate", "hit rate", HTML_SHARE, "Placed / requests.", false},
    {"buffers.hit_rate_bytes", "hit rate of bytes", HTML_SHARE, "", false},
    {"buffers.released", "released", HTML_COUNT, "", false},
    {"buffers.released_again", "released twice", HTML_COUNT, "", true},
    {"buffers.leaked", "leaked", HTML_COUNT, "Never given back.", true},
    {"buffers.leaked_bytes", "leaked bytes", HTML_BYTES, "", true},
    {"buffers.live_peak", "most alive at once", HTML_COUNT, "", false},
    {"buffers.live_peak_bytes", "which weighed", HTML_BYTES, "At most, at once.", false},
    {"buffers.largest_bytes", "largest request", HTML_BYTES, "", false},
    {"buffers.mean_bytes", "mean request", HTML_BYTES, "", false},
};

static const report_row buffers_pool[] = {
    {"buffers.heaps_first", "heaps at the start", HTML_COUNT, "", false},
    {"buffers.heaps_last", "heaps at the end", HTML_COUNT, "", false},
    {"buffers.capacity_bytes", "capacity", HTML_BYTES, "Of all heaps, at the end.", false},
    {"buffers.utilization.mean", "used", HTML_SHARE, "Mean over steps.", false},
    {"buffers.utilization.peak", "used at most", HTML_SHARE, "", false},
    {"buffers.fragmentation.mean", "fragmentation", HTML_SHARE, "1 - largest free piece / all that is free; mean over steps.", false},
    {"buffers.fragmentation.peak", "fragmentation at most", HTML_SHARE, "", false},
    {"buffers.compactions", "compactions", HTML_COUNT, "", true},
    {"buffers.moves", "buffers moved", HTML_COUNT, "", true},
    {"buffers.moved_bytes", "bytes moved", HTML_BYTES, "", true},
    {"buffers.exhaustion.events", "exhausted", HTML_COUNT, "Requests that the pool had no room for.", false},
};

static const report_row buffers_costs[] = {
    {"buffers.per_token_s.all", "memory costs a token", HTML_SECONDS, "The sum of those below.", false},
    {"buffers.per_token_s.pool", "the pool", HTML_SECONDS, "Finding room and giving it back.", false},
    {"buffers.per_token_s.device", "the device", HTML_SECONDS, "Allocations beside the pool.", true},
    {"buffers.per_token_s.host", "the host", HTML_SECONDS, "", true},
    {"buffers.per_token_s.growth", "growth", HTML_SECONDS, "Heaps that were added.", true},
    {"buffers.per_token_s.resident", "residency", HTML_SECONDS, "Making memory usable for the GPU.", true},
    {"buffers.per_token_s.compaction", "compaction", HTML_SECONDS, "", true},
    {"time.setup_s", "set-up", HTML_SECONDS, "Before the first step: heaps and their warm-up.", false},
    {"time.cold_first_token_s", "first token, cold", HTML_SECONDS, "Set-up and the first step.", false},
};

#define ROWS(rows) rows, sizeof(rows) / sizeof *(rows)

static void buffers_headline(const es_json *r, es_text *page)
{
    const double rate = report_number(r, "buffers.hit_rate"), cost = report_number(r, "buffers.per_token_s.all");
    const double share = cost * report_number(r, "buffers.tokens") / report_number(r, "time.total_s");
    html_number(page, rate, HTML_SHARE);
    html_add(page, " of the requests found room in the pool");
    if (isfinite(share)) {
        html_add(page, "; memory takes ");
        html_number(page, share, HTML_SHARE);
        html_add(page, " of a token's time");
    }
}

void report_buffers_verdict(const report_ask *ask, es_text *page)
{
    const es_json *r = ask->result, *one;
    html_add(page, "<p class=\"lead\">");
    buffers_headline(r, page);
    html_add(page, ".</p>\n<ul class=\"tiles\">\n");
    report_tile(page, report_number(r, "buffers.hit_rate"), HTML_SHARE, "hit rate", "requests placed in the pool");
    report_tile(page, report_number(r, "buffers.per_token_s.all"), HTML_SECONDS, "memory per token", "allocating, residency, moving");
    report_tile(page, report_number(r, "buffers.utilization.peak"), HTML_SHARE, "used at most", "of the pool");
    report_tile(page, report_number(r, "buffers.live_peak_bytes"), HTML_BYTES, "alive at once", "at most");
    html_add(page, "</ul>\n<ul class=\"points\">\n");
    cJSON_ArrayForEach(one, es_json_at(r, "findings")) {
        const char *about = report_text(one, "about"), *text = report_text(one, "text");
        html_add(page, "<li><strong>%s.</strong> %s.</li>\n", about ? about : "?", text ? text : "?");
    }
    html_add(page, "</ul>\n");
    if (cJSON_IsTrue(es_json_at(r, "provenance.trace.synthetic")))
        html_add(page, "<h3>Before you believe it</h3>\n<ul class=\"notes\"><li>Synthetic: the requests were generated, not recorded from a program.</li></ul>\n");
}

void report_buffers(const report_ask *ask, es_text *page)
{
    const es_json *r = ask->result;
    html_section(page, "requests", "Requests");
    report_rows(r, "What was asked for and what became of it", ROWS(buffers_requests), page);
    html_section_end(page);
    html_section(page, "pool", "The pool");
    report_rows(r, "The pool", ROWS(buffers_pool), page);
    html_fold(page, "What the allocator says", false);
    report_all(es_json_at(r, "buffers.allocator"), "Options and counts of the allocator", page);
    html_fold_end(page);
    html_section_end(page);
    html_section(page, "cost", "What memory costs");
    report_rows(r, "Time per token, and before the first", ROWS(buffers_costs), page);
    html_section_end(page);
}
