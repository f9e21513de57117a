/* Where the time went: every cause with its share, in a bar and in words. See report_inside.h.
 *
 * An attribution is read as it comes: members that are numbers are causes, members of members are parts of them. What the words below do not
 * know is shown by its key. */
#include <stdio.h>
#include <string.h>

#include "plots/report_inside.h"

static const struct {
    const char *key, *words, *meaning;
} time_causes[] = {
    {"dense", "dense layers", "Attention, norms and whatever else is computed for every token."},
    {"expert_gpu", "computing experts", "Experts that were there, computed where the dense layers are."},
    {"expert_cpu", "computing experts on the host", "What the host computes beyond what the gpu and copies hide."},
    {"access", "reading experts in place", "Reading the weights of experts from the memory that they lie in."},
    {"manage", "managing the cache", "Bookkeeping per lookup and per eviction."},
    {"predict", "asking the predictor", "Guessing which experts come."},
    {"lookup", "looking experts up", "Bookkeeping per lookup."},
    {"evict", "taking victims out", "Bookkeeping per eviction."},
    {"move", "moving copies within a memory", "What an allocator moves to make room."},
    {"allocate", "getting memory", "Placing what is asked for, heaps that are added on the way included."},
    {"resident", "making memory resident", "Heaps and buffers made usable for the GPU."},
    {"compact", "moving memory together", "Copies that compaction makes."},
};

enum { TIME_KNOWN = sizeof time_causes / sizeof *time_causes };

/* Parts of the wait for a channel, where the result has them (observer attribution). */
static const struct {
    const char *key, *words, *meaning;
} time_waits[] = {
    {"transfer", "the copy itself", "What was needed was on its way: a faster link or fewer misses would help."},
    {"late", "a guess that came late", "It was on its way by a guess that began too late: guess further ahead."},
    {"shared", "others on the link", "The copy took longer than it would have alone."},
    {"behind_demand", "queued behind other demands", "Several experts were missing at once, and they come one after another."},
    {"behind_guess", "queued behind guesses", "Prefetching held the link when a demand came: guess less, or let demands go first."},
    {"behind_write", "queued behind write-backs", "Victims were written down before the demand could come."},
    {"behind_device", "queued behind another device", "Another serving memory's demand held the link."},
    {"room", "room", "What had to leave for it was still on its way out."},
};

enum { TIME_WAITS = sizeof time_waits / sizeof *time_waits };

static size_t time_known(const char *key)
{
    size_t at = 0;
    while (at < TIME_KNOWN && strcmp(time_causes[at].key, key) != 0)
        at++;
    return at;
}

bool report_cause_waits(const char *key)
{
    return strncmp(key, "wait", 4) == 0;
}

/* The part of a wait at the end of its key; TIME_WAITS: it is not divided, or in another way. */
static size_t time_wait(const char *key)
{
    const char *dot = report_cause_waits(key) ? strrchr(key, '.') : NULL;
    size_t at = 0;
    while (at < TIME_WAITS && !(dot && strcmp(time_waits[at].key, dot + 1) == 0 && dot - key > 4))
        at++;
    return at;
}

/* "expert_gpu" is "expert gpu", "wait.pcie" is "waiting for pcie", "wait.pcie.behind_guess" is "waiting for pcie: queued behind guesses". */
void report_cause_words(const char *key, es_text *out)
{
    const size_t known = time_known(key), part = time_wait(key);
    const bool waits = strncmp(key, "wait.", 5) == 0;
    if (known < TIME_KNOWN) {
        es_text_add(out, "%s", time_causes[known].words);
    } else if (part < TIME_WAITS) {
        es_text_add(out, "waiting for %.*s: %s", (int)(strrchr(key, '.') - key - 5), key + 5, time_waits[part].words);
    } else {
        es_text_add(out, "%s", waits ? "waiting for " : "");
        for (const char *c = waits ? key + 5 : key; *c; c++)
            es_text_add(out, "%c", *c == '_' && !waits ? ' ' : *c);
    }
}

const char *report_cause_kind(const char *key)
{
    return report_cause_waits(key) ? "wait" : strcmp(key, "dense") == 0 || strncmp(key, "expert", 6) == 0 ? "compute" : "other";
}

/* ---- what took time ---- */

static size_t time_collect(const es_json *value, const char *before, report_cause *causes, size_t count)
{
    const es_json *one;
    cJSON_ArrayForEach(one, value) {
        char key[sizeof causes->key];
        snprintf(key, sizeof key, "%s%s%s", before, *before ? "." : "", one->string ? one->string : "");
        const double seconds = report_value(one);
        if (cJSON_IsObject(one))
            count = time_collect(one, key, causes, count);
        else if (seconds > 0.0 && count < REPORT_CAUSES) {
            causes[count].seconds = seconds;
            memcpy(causes[count++].key, key, sizeof key);
        }
    }
    return count;
}

size_t report_causes(const es_json *attribution, report_cause *causes)
{
    const size_t count = time_collect(attribution, "", causes, 0);
    for (size_t i = 1; i < count; i++) {            /* stable, so that equals stay in the order of the result */
        const report_cause moved = causes[i];
        size_t at = i;
        for (; at > 0 && causes[at - 1].seconds < moved.seconds; at--)
            causes[at] = causes[at - 1];
        causes[at] = moved;
    }
    return count;
}

/* ---- what is shown ---- */

/* One strip, wide as the whole; its parts in the order of the table below it. */
static void time_strip(const report_cause *causes, size_t count, double total, es_text *page)
{
    double at = 0.0;
    es_text label = {0};
    for (size_t i = 0; i < count; i++) {
        es_text_add(&label, "%s", i ? "; " : "");
        report_cause_words(causes[i].key, &label);
        es_text_add(&label, " %.1f %%", 100.0 * causes[i].seconds / total);
    }
    html_add(page, "<svg class=\"strip\" viewBox=\"0 0 1000 44\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"%s\">\n", label.at ? label.at : "");
    for (size_t i = 0; i < count; i++) {
        const double width = 1000.0 * causes[i].seconds / total;
        html_add(page, "<rect class=\"%s s%d\" x=\"%.2f\" y=\"0\" width=\"%.2f\" height=\"44\"/>\n", report_cause_kind(causes[i].key), (int)(i % 3), at, fmax(width - 2.0, 0.5));
        at += width;
    }
    es_text_add(page, "</svg>\n");
    page->failed = page->failed || label.failed;
    es_text_free(&label);
}

static void time_meaning(const char *key, es_text *page)
{
    const size_t known = time_known(key), part = time_wait(key);
    if (known < TIME_KNOWN)
        html_cell(page, time_causes[known].meaning);
    else if (part < TIME_WAITS)
        html_cell(page, time_waits[part].meaning);
    else if (report_cause_waits(key))
        html_cell(page, "Compute had work that lacked only weights, and these had to come from there.");
    else
        html_cell(page, "");
}

static void time_table(const report_cause *causes, size_t count, double total, es_text *page)
{
    static const html_column columns[] = {{"cause", false}, {"share", true}, {"time", true}, {"what it is", false}};
    html_table(page, "Causes, greatest first; they add up to the whole time", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < count; i++) {
        es_text words = {0}, kind = {0};
        report_cause_words(causes[i].key, &words);
        es_text_add(&kind, "%s s%d", report_cause_kind(causes[i].key), (int)(i % 3));
        html_row(page, words.at ? words.at : "");
        html_cell_bar(page, causes[i].seconds / total, kind.at ? kind.at : "");
        html_cell_number(page, causes[i].seconds, HTML_SECONDS);
        time_meaning(causes[i].key, page);
        html_row_end(page);
        page->failed = page->failed || words.failed || kind.failed;
        es_text_free(&words);
        es_text_free(&kind);
    }
    html_table_end(page);
}

/* The finest that the result has. */
const es_json *report_attribution(const es_json *result)
{
    const es_json *fine = es_json_at(result, "attribution.causes");
    return cJSON_IsObject(fine) ? fine : es_json_at(result, "time.attribution");
}

/* "copy.pcie.demand" is "demands over pcie"; what is no copy has the words of its cause. */
static void time_way_words(const char *key, es_text *out)
{
    static const struct {
        const char *key, *words;
    } ways[] = {{".demand", "demands"}, {".guess", "guesses"}, {".write", "write-backs"}, {".room", "waiting for room, copies"}};
    const size_t length = strlen(key);
    if (strncmp(key, "copy.", 5) != 0) {
        report_cause_words(key, out);
        return;
    }
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const size_t end = strlen(ways[i].key);
        if (length > 5 + end && strcmp(key + length - end, ways[i].key) == 0) {
            es_text_add(out, "%s over %.*s", ways[i].words, (int)(length - end - 5), key + 5);
            return;
        }
    }
    es_text_add(out, "copies over %s", key + 5);
}

/* The chain of operations behind every step: what would have to be shorter for a step to be. */
static void time_path(const es_json *result, double total, es_text *page)
{
    static const html_column columns[] = {{"operation", false}, {"share", true}, {"time", true}};
    report_cause causes[REPORT_CAUSES];
    const size_t count = report_causes(es_json_at(result, "attribution.path"), causes);
    if (count == 0)
        return;
    html_fold(page, "The critical path: operations that would have to be shorter for steps to be", false);
    html_table(page, "Operations on the critical path of all steps; they add up to the whole time", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < count; i++) {
        const bool copy = strncmp(causes[i].key, "copy.", 5) == 0;
        es_text words = {0};
        time_way_words(causes[i].key, &words);
        html_row(page, words.at ? words.at : "");
        html_cell_bar(page, causes[i].seconds / total, copy ? "wait" : report_cause_kind(causes[i].key));
        html_cell_number(page, causes[i].seconds, HTML_SECONDS);
        html_row_end(page);
        es_text_free(&words);
    }
    html_table_end(page);
    html_fold_end(page);
}

/* What `expertsim explain --what-if` found by more runs: a share of the time is no gain, and this is. */
static void time_what_if(const es_json *explained, es_text *page)
{
    static const html_column columns[] = {{"if", false}, {"times as fast", true}, {"time", true}};
    const es_json *one, *list = es_json_at(explained, "what_if");
    if (cJSON_GetArraySize(list) == 0)
        return;
    html_add(page, "<h3>What if</h3>\n<p>The same config, run once more for each thing that could be free, with all that follows from it: other queues, other hits.</p>\n");
    html_table(page, "What if (expertsim explain --what-if), the largest gain first", columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(one, list) {
        const char *says = report_text(one, "says"), *reason = report_text(one, "reason");
        es_text what = {0};
        es_text_add(&what, "%s%s%s", says ? says : "?", reason ? ": " : "", reason ? reason : "");
        html_row(page, what.at ? what.at : "");
        html_cell_number(page, report_number(one, "speedup"), HTML_NUMBER);
        html_cell_number(page, report_number(one, "time_s"), HTML_SECONDS);
        html_row_end(page);
        page->failed = page->failed || what.failed;
        es_text_free(&what);
    }
    html_table_end(page);
}

void report_time(const report_ask *ask, es_text *page)
{
    report_cause causes[REPORT_CAUSES];
    const double total = report_number(ask->result, "time.total_s");
    const size_t count = report_causes(report_attribution(ask->result), causes);
    if (!(total > 0.0) || count == 0)
        return;
    html_section(page, "time", "Where the time went");
    html_add(page, "<p>All of it is ");
    html_number(page, total, HTML_SECONDS);
    html_add(page, " of simulated time. Every moment belongs to one cause.</p>\n");
    time_strip(causes, count, total, page);
    time_table(causes, count, total, page);
    time_path(ask->result, total, page);
    time_what_if(ask->explained, page);
    html_section_end(page);
}
