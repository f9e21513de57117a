/* What a run means, in words: its cause first, then what carries it, then what would help and what to know before one believes it.
 * See report_inside.h. Every sentence is a function that writes a list item, or nothing where its numbers are not there. */
#include <string.h>

#include "plots/report_inside.h"

/* Where a lever is worth a sentence of its own; docs/verdict.md has the same shares and says why. */
#define SAY_COMPUTE 0.95
#define SAY_POLICY  0.10
#define SAY_LINK    0.10
#define SAY_HITS    0.05
#define SAY_WASTE   0.25        /* of what was prefetched left unused */

static void say_share(es_text *page, double part, double of)
{
    html_number(page, part / of, HTML_SHARE);
}

static const char *say_policy_name(const es_json *r)
{
    const char *name = report_text(r, "provenance.config.policy.name");
    return name ? name : "the policy";
}

/* ---- the headline ---- */

static double say_waiting(const report_cause *causes, size_t count)
{
    double seconds = 0.0;
    for (size_t i = 0; i < count; i++)
        seconds += report_cause_waits(causes[i].key) ? causes[i].seconds : 0.0;
    return seconds;
}

static void say_cause(const char *key, bool first, es_text *page)
{
    es_text words = {0};
    report_cause_words(key, &words);
    if (first && words.at && *words.at >= 'a' && *words.at <= 'z')
        *words.at = (char)(*words.at - 'a' + 'A');
    html_add(page, "%s", words.at ? words.at : "");
    page->failed = page->failed || words.failed;
    es_text_free(&words);
}

static void say_headline_timed(const es_json *r, double total, es_text *page)
{
    report_cause causes[REPORT_CAUSES];
    const size_t count = report_causes(es_json_at(r, "time.attribution"), causes);
    const double waiting = say_waiting(causes, count);
    if (count == 0) {
        html_add(page, "It takes ");
        html_number(page, total, HTML_SECONDS);
    } else if (waiting < (1.0 - SAY_COMPUTE) * total) {
        html_add(page, "Hardly anything waits: ");
        say_cause(causes[0].key, false, page);
        html_add(page, " takes ");
        say_share(page, causes[0].seconds, total);
        html_add(page, " of the time");
    } else {
        say_cause(causes[0].key, true, page);
        html_add(page, " takes ");
        say_share(page, causes[0].seconds, total);
        html_add(page, " of the time");
        if (!report_cause_waits(causes[0].key)) {
            html_add(page, ", waiting for copies ");
            say_share(page, waiting, total);
        }
    }
}

typedef struct say_share_of {   /* lookups that are judged */
    const char *what;
    double lookups, hits, best;
} say_share_of;

/* Of decode where there is some, for that is what lasts; else of everything. */
static say_share_of say_lookups(const es_json *r)
{
    const say_share_of decode = {"decode lookups", report_number(r, "cache.decode.lookups"), report_number(r, "cache.decode.hits"), report_number(r, "bounds.belady_decode_hits")};
    const say_share_of all = {"all lookups", report_number(r, "cache.lookups"), report_number(r, "cache.hits"), report_number(r, "bounds.belady_hits")};
    return decode.lookups > 0.0 ? decode : all;
}

static void say_headline_hits(const es_json *r, es_text *page)
{
    const say_share_of of = say_lookups(r);
    say_share(page, of.hits, of.lookups);
    html_add(page, " of %s hit", of.what);
    if (isfinite(of.best)) {
        html_add(page, "; who knows the future hits ");
        say_share(page, of.best, of.lookups);
    }
}

/* ---- what carries it ---- */

static void say_speed(const es_json *r, es_text *page)
{
    const double speed = report_number(r, "time.tokens_per_s"), p95 = report_number(r, "time.token_latency_s.p95"), first = report_number(r, "time.ttft_s");
    if (!isfinite(speed))
        return;
    html_add(page, "<li><strong>Speed.</strong> %.4g tokens/s: a token takes ", speed);
    html_number(page, report_number(r, "time.token_latency_s.mean"), HTML_SECONDS);
    html_add(page, " on average");
    if (isfinite(p95)) {
        html_add(page, ", one in twenty ");
        html_number(page, p95, HTML_SECONDS);
        html_add(page, " or more");
    }
    if (isfinite(first)) {
        html_add(page, "; the first comes ");
        html_number(page, first, HTML_SECONDS);
        html_add(page, " after its prompt began");
    }
    html_add(page, ".</li>\n");
}

static void say_hits(const es_json *r, es_text *page)
{
    const double lookups = report_number(r, "cache.decode.lookups"), hits = report_number(r, "cache.decode.hits"), misses = report_number(r, "cache.misses");
    const double bytes = report_number(r, "cache.fetched_bytes"), cycle = report_number(r, "capacity.cycle_objects");
    if (!(lookups > 0.0) || !isfinite(misses))
        return;
    html_add(page, "<li><strong>Hits.</strong> ");
    say_share(page, hits, lookups);
    html_add(page, " of the experts that decode asked for were there");
    if (isfinite(cycle)) {
        html_add(page, " (a token asks for ");
        html_number(page, cycle, HTML_COUNT);
        html_add(page, ")");
    }
    html_add(page, "; ");
    html_number(page, misses, HTML_COUNT);
    html_add(page, misses == 1.0 ? " time one was missing" : " times one was missing");
    html_add(page, report_number(r, "cache.prefill.lookups") > 0.0 ? ", prompts included" : "");
    if (bytes > 0.0) {
        html_add(page, ": ");
        html_number(page, bytes, HTML_BYTES);
        html_add(page, " were fetched");
    }
    html_add(page, ".</li>\n");
}

/* Where the result divides its waits: the greatest part of them. */
static void say_waits(const es_json *r, es_text *page)
{
    report_cause causes[REPORT_CAUSES];
    const size_t count = report_causes(es_json_at(r, "attribution.causes"), causes);
    const double waiting = say_waiting(causes, count);
    for (size_t i = 0; i < count; i++) {
        if (!report_cause_waits(causes[i].key))
            continue;
        html_add(page, "<li><strong>What it waits for.</strong> ");
        say_share(page, causes[i].seconds, waiting);
        html_add(page, " of it is ");
        say_cause(causes[i].key, false, page);
        html_add(page, ".</li>\n");
        return;
    }
}

/* One missing expert makes a whole layer wait: why few misses may cost much. */
static void say_layers(const es_json *r, es_text *page)
{
    const double events = report_number(r, "coverage.events"), perfect = report_number(r, "coverage.perfect");
    if (!(events > 0.0) || perfect == events)
        return;
    html_add(page, "<li><strong>Layers.</strong> One missing expert makes a whole layer wait: ");
    say_share(page, events - perfect, events);
    html_add(page, " of the layers of all tokens lacked at least one.</li>\n");
}

static void say_guesses(const es_json *r, es_text *page)
{
    const double copies = report_number(r, "cache.guess_copies"), used = report_number(r, "cache.hits_prefetched"), late = report_number(r, "cache.late");
    const double wasted = report_number(r, "cache.wasted");
    if (!(copies > 0.0))
        return;
    html_add(page, "<li><strong>Prefetching.</strong> Of ");
    html_number(page, copies, HTML_COUNT);
    html_add(page, " copies that were guessed ahead ");
    say_share(page, used, copies);
    html_add(page, " were there in time, ");
    say_share(page, late, copies);
    html_add(page, " came late, ");
    say_share(page, wasted, copies);
    html_add(page, " left unused%s.</li>\n",
        wasted > SAY_WASTE * copies ? ": they took the link from demands and room from experts that were still needed" : "");
}

/* Nothing moves any more: a policy that was meant to adapt may look as if it worked. */
static void say_frozen(const es_json *r, es_text *page)
{
    const double evictions = report_number(r, "cache.evictions"), refused = report_number(r, "cache.misses_refused"), misses = report_number(r, "cache.misses");
    if (evictions != 0.0 || !(misses > 0.0) || !(refused > 0.0))
        return;
    html_add(page, "<li><strong>The cache stands still.</strong> Policy %s replaced nothing; ", say_policy_name(r));
    html_number(page, refused, HTML_COUNT);
    html_add(page, " misses were used once and not kept.</li>\n");
}

/* ---- what would help ---- */

static void say_lever_timed(const es_json *r, es_text *page)
{
    const double total = report_number(r, "time.total_s"), some = report_number(r, "bounds.clairvoyant_s"), all = report_number(r, "bounds.all_resident_s");
    const double lower = report_number(r, "bounds.lower_bound_s");
    if (!isfinite(all)) {
        html_add(page, "<li><strong>What would help</strong> is not known without bounds: %s.</li>\n", report_word(r, "bounds.reason.all_resident_s", "this result has none"));
        return;
    }
    html_add(page, "<li><strong>What would help.</strong> ");
    if (all >= SAY_COMPUTE * total) {
        html_add(page, "Nothing about the cache: with every expert resident it would still take ");
        html_number(page, all, HTML_SECONDS);
        html_add(page, " of ");
        html_number(page, total, HTML_SECONDS);
    } else if (isfinite(some) && 1.0 - some / total >= SAY_POLICY) {
        html_add(page, "A better policy or predictor: who knows the future needs ");
        html_number(page, some, HTML_SECONDS);
        html_add(page, " instead of ");
        html_number(page, total, HTML_SECONDS);
        html_add(page, ", ");
        html_number(page, 1.0 - some / total, HTML_SHARE);
        html_add(page, " less");
    } else if (isfinite(some) && some - all >= SAY_LINK * some) {
        html_add(page, "More memory, a faster link or smaller experts, not a better policy: even who knows the future needs ");
        html_number(page, some, HTML_SECONDS);
        html_add(page, " of ");
        html_number(page, total, HTML_SECONDS);
    } else if (isfinite(some)) {
        html_add(page, "Little: who knows the future needs ");
        html_number(page, some, HTML_SECONDS);
        html_add(page, " of ");
        html_number(page, total, HTML_SECONDS);
    } else {
        html_add(page, "With every expert resident it would take ");
        html_number(page, all, HTML_SECONDS);
        html_add(page, " instead of ");
        html_number(page, total, HTML_SECONDS);
    }
    if (isfinite(lower)) {
        html_add(page, "; nobody needs less than ");
        html_number(page, lower, HTML_SECONDS);
    }
    html_add(page, ".</li>\n");
}

static void say_lever_hits(const es_json *r, es_text *page)
{
    const say_share_of of = say_lookups(r);
    const double more = (of.best - of.hits) / of.lookups;
    if (!isfinite(more))
        return;
    html_add(page, "<li><strong>What would help.</strong> ");
    if (more >= SAY_HITS)
        html_add(page, "A better policy could hit up to %.1f points more; ", 100.0 * more);
    else
        html_add(page, "More room rather than another policy: knowing the future wins %.1f points; ", 100.0 * more);
    html_add(page, "the clock is off, so what a hit is worth in time is not known.</li>\n");
}

/* ---- what to know first ---- */

static void note(es_text *notes, const char *text)
{
    html_add(notes, "<li>%s</li>\n", text);
}

static void note_count(const es_json *r, const char *path, const char *text, es_text *notes)
{
    const double count = report_number(r, path);
    if (!(count > 0.0))
        return;
    html_add(notes, "<li>");
    html_number(notes, count, HTML_COUNT);
    html_add(notes, " %s</li>\n", text);
}

static void note_routing(const es_json *r, es_text *notes)
{
    const char *router = report_text(r, "routing.router");
    const double lost = report_number(r, "routing.gate_mass_lost.mean");
    if (!router)
        return;
    html_add(notes, "<li>Closed loop: router %s replaced ", router);
    say_share(notes, report_number(r, "routing.replaced"), report_number(r, "routing.experts"));
    html_add(notes, " of the experts; gate mass lost in the mean: ");
    html_number(notes, lost, HTML_SHARE);
    html_add(notes, ". Quality is not simulated.</li>\n");
}

static void say_notes(const es_json *r, es_text *page)
{
    es_text notes = {0};
    const char *fault = report_text(r, "audit.first_fault");
    if (fault)
        html_add(&notes, "<li><strong>The audit found a fault:</strong> %s</li>\n", fault);
    if (cJSON_IsTrue(es_json_at(r, "provenance.trace.uniform")))
        note(&notes, "Synthetic and uniform: every expert is equally likely, so the hit rate is only capacity / population.");
    else if (cJSON_IsTrue(es_json_at(r, "provenance.trace.synthetic")))
        note(&notes, "Synthetic: the routing was generated, not recorded from a model.");
    if (cJSON_IsTrue(es_json_at(r, "provenance.trace.other_model")))
        note(&notes, "Routing of another model: no precision makes the experts that were recorded those of the config.");
    if (cJSON_IsFalse(es_json_at(r, "provenance.causal")))
        note(&notes, "Non-causal: some part reads the future; no engine can do this.");
    if (cJSON_IsTrue(es_json_at(r, "capacity.beyond_population")))
        note(&notes, "There is more room than all experts take, so hit rates say little.");
    if (cJSON_IsTrue(es_json_at(r, "one_pass")))
        note(&notes, "Read off one pass over the trace for many capacities: it has what such a pass tells, number for number, and no more.");
    note_routing(r, &notes);
    note_count(r, "provenance.trace.missing_cells", "rows (token, layer) are missing in the trace.", &notes);
    note_count(r, "cache.overflow_events", "events needed more experts than fit; contract.overflow says what happens then.", &notes);
    if (notes.at)
        html_add(page, "<h3>Before you believe it</h3>\n<ul class=\"notes\">\n");
    es_text_put(page, notes.at ? notes.at : "", notes.length);
    if (notes.at)
        html_add(page, "</ul>\n");
    page->failed = page->failed || notes.failed;
    es_text_free(&notes);
}

/* ---- at a glance ---- */

static void say_tiles(const es_json *r, es_text *page)
{
    const double room = report_number(r, "capacity.slots_or_bytes"), total = report_number(r, "time.total_s");
    const char *counts = report_text(r, "capacity.counts");
    const bool bytes = counts && strcmp(counts, "bytes") == 0;
    const double of = report_number(r, bytes ? "capacity.population_bytes" : "capacity.objects");
    es_text share = {0};
    html_add(page, "<ul class=\"tiles\">\n");
    report_tile(page, report_number(r, "time.tokens_per_s"), HTML_NUMBER, "tokens per second", "of decode");
    report_tile(page, report_number(r, "time.token_latency_s.p50"), HTML_SECONDS, "per token", "median");
    report_tile(page, report_number(r, "cache.headline_hit_rate"), HTML_SHARE, "hit rate", "resident when needed");
    report_tile(page, total > 0.0 ? report_number(r, "time.stall_s") / total : (double)NAN, HTML_SHARE, "waiting", "of the time, for weights");
    if (of > 0.0 && isfinite(room)) {
        es_text_add(&share, "%.3g %% of all experts", 100.0 * room / of);
        report_tile(page, room, bytes ? HTML_BYTES : HTML_COUNT, bytes ? "cache" : "slots of cache", share.at ? share.at : "");
    }
    html_add(page, "</ul>\n");
    page->failed = page->failed || share.failed;
    es_text_free(&share);
}

/* The largest gain of things that were free, one at a time. */
static void say_what_if(const es_json *explained, es_text *page)
{
    const es_json *first = es_json_at(explained, "what_if.0");
    const double speedup = report_number(first, "speedup");
    if (!(speedup > 1.0) || !report_text(first, "says"))
        return;
    html_add(page, "<li><strong>What if.</strong> ");
    html_number(page, speedup, HTML_NUMBER);
    html_add(page, " times as fast if %s.</li>\n", report_text(first, "says"));
}

/* What `expertsim verdict` found by more runs than this one. */
static void say_verdict_file(const es_json *verdict, es_text *page)
{
    const es_json *line;
    const char *word = report_text(verdict, "verdict");
    if (!word)
        return;
    html_add(page, "<h3>What more runs say (expertsim verdict): %s</h3>\n<ul class=\"points\">\n", word);
    cJSON_ArrayForEach(line, es_json_at(verdict, "sentences"))
        if (cJSON_IsString(line))
            html_add(page, "<li>%s</li>\n", line->valuestring);
    html_add(page, "</ul>\n");
}

void report_run_verdict(const report_ask *ask, es_text *page)
{
    const es_json *r = ask->result;
    const double total = report_number(r, "time.total_s");
    html_add(page, "<p class=\"lead\">");
    if (total > 0.0)
        say_headline_timed(r, total, page);
    else
        say_headline_hits(r, page);
    html_add(page, ".</p>\n");
    say_tiles(r, page);
    html_add(page, "<ul class=\"points\">\n");
    say_speed(r, page);
    say_waits(r, page);
    say_hits(r, page);
    say_layers(r, page);
    say_guesses(r, page);
    say_frozen(r, page);
    if (total > 0.0)
        say_lever_timed(r, page);
    else
        say_lever_hits(r, page);
    say_what_if(ask->explained, page);
    html_add(page, "</ul>\n");
    say_verdict_file(ask->verdict, page);
    say_notes(r, page);
}
