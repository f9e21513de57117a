/* Sections of a run, each a table of what the result has. See report_inside.h. */
#include <string.h>

#include "plots/report_inside.h"

#define ROWS(rows) rows, sizeof(rows) / sizeof *(rows)

/* ---- hits and misses ---- */

static const report_row run_latency[] = {
    {"time.token_latency_s.mean", "mean", HTML_SECONDS, "A token's latency is the time of its step.", false},
    {"time.token_latency_s.p50", "median", HTML_SECONDS, "", false},
    {"time.token_latency_s.p95", "p95", HTML_SECONDS, "One token in twenty takes as long or longer.", false},
    {"time.token_latency_s.p99", "p99", HTML_SECONDS, "One in a hundred.", false},
    {"time.token_latency_s.max", "longest", HTML_SECONDS, "", false},
    {"time.ttft_s", "first token", HTML_SECONDS, "From the start of a request's prompt to its end, mean.", false},
    {"time.prefill_s", "all prompts", HTML_SECONDS, "Time of all prompt steps.", false},
};

static const report_row run_hits[] = {
    {"cache.lookups", "lookups", HTML_COUNT, "Distinct experts per layer of a step, added up; prompts included.", false},
    {"cache.hits", "hits", HTML_COUNT, "Resident when the gate was passed.", false},
    {"cache.hits_prefetched", "hits by prefetching", HTML_COUNT, "Of these: the first use of a guess.", true},
    {"cache.late", "late", HTML_COUNT, "In flight at the gate by a guess; neither hit nor miss.", true},
    {"cache.misses", "misses", HTML_COUNT, "Neither resident nor in flight.", false},
    {"cache.misses_compulsory", "first uses", HTML_COUNT, "Misses under every policy.", false},
    {"cache.misses_capacity", "misses of room", HTML_COUNT, "Had been there and had left.", false},
    {"cache.misses_refused", "not kept", HTML_COUNT, "Read, used once and not kept: the policy refused them.", true},
    {"cache.decode.hit_rate", "hit rate of decode", HTML_SHARE, "Hits / lookups of generated tokens.", false},
    {"cache.prefill.hit_rate", "hit rate of prompts", HTML_SHARE, "The same of prompts, whose tokens come many at once.", true},
    {"cache.warm.hit_rate", "hit rate when warm", HTML_SHARE, "After the first eviction.", false},
    {"coverage.mean", "coverage", HTML_SHARE, "Mean share of what a layer needed that was there.", false},
    {"traffic.bytes_per_decode_token", "fetched per token", HTML_BYTES, "Demands of decode / decode tokens.", false},
};

static const report_row run_guesses[] = {
    {"cache.guess_copies", "guesses that moved", HTML_COUNT, "Copies that began before anyone asked.", false},
    {"cache.hits_prefetched", "in time", HTML_COUNT, "There when they were needed.", false},
    {"cache.late", "late", HTML_COUNT, "On their way when they were needed: they saved a part of the wait.", false},
    {"cache.foreseen", "still queued", HTML_COUNT, "Guessed, but nothing of them had moved: misses.", true},
    {"cache.wasted", "unused", HTML_COUNT, "Left, or were cancelled on the way, without a use.", false},
    {"cache.wasted_bytes", "moved for nothing", HTML_BYTES, "", false},
    {"traffic.wasted_fraction", "share wasted", HTML_SHARE, "Of the bytes of guesses.", false},
    {"cache.cancelled", "cancelled", HTML_COUNT, "Died in a queue, most of them before a byte moved.", true},
};

static void run_lookups(const es_json *r, es_text *page)
{
    html_section(page, "hits", "Hits and misses");
    report_rows(r, "Lookups", ROWS(run_hits), page);
    report_rows(r, "Latency of tokens", ROWS(run_latency), page);
    if (report_number(r, "cache.guess_copies") > 0.0)
        report_rows(r, "What became of the guesses", ROWS(run_guesses), page);
    html_section_end(page);
}

/* ---- residency and turnover ---- */

static const report_row run_residency[] = {
    {"capacity.residents", "residents at the end", HTML_COUNT, "Experts in the serving tier when the last step is over.", false},
    {"capacity.resident_age_steps", "their age in steps", HTML_NUMBER, "How many steps ago they came, on average.", false},
    {"cache.insertions", "came in", HTML_COUNT, "Copies into the serving tier, guesses included.", false},
    {"cache.evictions", "evicted", HTML_COUNT, "Victims of all tiers.", false},
    {"capacity.turnover_per_token", "evictions per token", HTML_NUMBER, "Of the serving tier.", false},
    {"cache.initial_loads", "there at the start", HTML_COUNT, "Before the first step.", true},
    {"cache.initial_bytes", "loaded at the start", HTML_BYTES, "Bytes that were charged for them.", true},
    {"cache.demotions", "demoted", HTML_COUNT, "Victims that went to a tier below instead of being dropped.", true},
    {"cache.writeback_bytes", "written back", HTML_BYTES, "", true},
};

/* The tier that `capacity` speaks of: the first that serves. */
static const es_json *run_serving(const es_json *r)
{
    const es_json *tier;
    cJSON_ArrayForEach(tier, es_json_at(r, "tiers"))
        if (cJSON_IsTrue(es_json_at(tier, "serving")))
            return tier;
    return NULL;
}

static void run_still(const es_json *r, es_text *page)
{
    const char *policy = report_text(r, "provenance.config.policy.name");
    if (report_number(r, "cache.misses_refused") > 0.0)
        html_add(page, "<strong>Static: no expert was ever replaced.</strong> What policy %s holds did not change once it was there (0 %% of the cache);"
            " all other experts are read, used once and not kept. Such a cache cannot follow a change of topic.", policy ? policy : "of this run");
    else
        html_add(page, "<strong>No expert was ever replaced</strong>, for none had to leave: there was room for all that came.");
}

/* A resident took the place of another at most as often as one was evicted. */
static void run_turnover(const es_json *r, es_text *page)
{
    const es_json *tier = run_serving(r);
    const double evictions = report_number(tier ? tier : r, tier ? "evictions" : "cache.evictions"), residents = report_number(r, "capacity.residents");
    const double age = report_number(r, "capacity.resident_age_steps");
    if (!isfinite(evictions) || !(residents > 0.0))
        return;
    html_add(page, "<p>");
    if (evictions == 0.0) {
        run_still(r, page);
    } else {
        html_add(page, evictions < residents ? "<strong>Nearly frozen:</strong> " : "");
        html_number(page, evictions, HTML_COUNT);
        html_add(page, " evictions among ");
        html_number(page, residents, HTML_COUNT);
        html_add(page, " residents");
        if (evictions < residents) {
            html_add(page, ": at most ");
            html_number(page, evictions / residents, HTML_SHARE);
            html_add(page, " of the cache ever changed once it was full, so it hardly follows what is used");
        } else {
            html_add(page, ": %s was replaced as a whole about ", tier ? tier->string : "the cache");
            html_number(page, evictions < 10.0 * residents ? evictions / residents : round(evictions / residents), HTML_NUMBER);
            html_add(page, " times");
        }
        if (isfinite(age)) {
            html_add(page, "; an expert that is there at the end came ");
            html_number(page, age, HTML_NUMBER);
            html_add(page, " steps before it, on average");
        }
        html_add(page, ".");
    }
    html_add(page, "</p>\n");
}

static void run_residents(const es_json *r, es_text *page)
{
    html_section(page, "residency", "Residency and turnover");
    run_turnover(r, page);
    report_rows(r, "What came, stayed and left", ROWS(run_residency), page);
    html_section_end(page);
}

/* ---- memories and links ---- */

static const report_row run_capacity_bytes[] = {
    {"capacity.slots_or_bytes", "room", HTML_BYTES, "Of the serving tier: experts in it are hits.", false},
    {"capacity.peak", "most ever held", HTML_BYTES, "", false},
};

static const report_row run_capacity_slots[] = {
    {"capacity.slots_or_bytes", "room in slots", HTML_COUNT, "Of the serving tier: experts in it are hits.", false},
    {"capacity.peak", "most slots ever held", HTML_COUNT, "", false},
};

static const report_row run_capacity[] = {
    {"capacity.objects", "experts", HTML_COUNT, "All there are, in all layers.", false},
    {"capacity.population_bytes", "all of them weigh", HTML_BYTES, "", false},
    {"capacity.cycle_objects", "a token uses", HTML_COUNT, "Experts in all layers. With less room than that a global LRU never hits from one token to the next.", false},
    {"capacity.cycle_bytes", "which weigh", HTML_BYTES, "", false},
};

static bool run_in_bytes(const es_json *value, const char *path)
{
    const char *counts = report_text(value, path);
    return counts && strcmp(counts, "bytes") == 0;
}

static void run_tiers(const es_json *r, es_text *page)
{
    static const html_column columns[] = {{"tier", false}, {"what it is", false}, {"room", true}, {"most held", true}, {"came in", true}, {"evicted", true}, {"misses found here", true}};
    const es_json *tier, *tiers = es_json_at(r, "tiers");
    if (!tiers)
        return;
    html_table(page, "Memories", columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(tier, tiers) {
        const html_unit unit = run_in_bytes(tier, "counts") ? HTML_BYTES : HTML_COUNT;
        html_row(page, tier->string);
        html_cell(page, cJSON_IsTrue(es_json_at(tier, "home")) ? "home: holds everything" : cJSON_IsTrue(es_json_at(tier, "serving")) ? "serves: a hit" : "between");
        html_cell_number(page, report_number(tier, "capacity"), unit);
        html_cell_number(page, report_number(tier, "peak"), unit);
        html_cell_number(page, report_number(tier, "insertions"), HTML_COUNT);
        html_cell_number(page, report_number(tier, "evictions"), HTML_COUNT);
        html_cell_number(page, report_number(tier, "found"), HTML_COUNT);
        html_row_end(page);
    }
    html_table_end(page);
}

static void run_channels(const es_json *r, es_text *page)
{
    static const html_column columns[] = {{"channel", false}, {"busy", true}, {"carried", true}, {"copies", true}, {"bytes per second", true}, {"queueing", true}, {"compute waited", true}};
    const es_json *channel, *channels = es_json_at(r, "channels");
    if (!channels)
        return;
    html_table(page, "Links and compute units", columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(channel, channels) {
        html_row(page, channel->string);
        html_cell_bar(page, report_number(channel, "busy_fraction"), "busy");
        html_cell_number(page, report_number(channel, "bytes"), HTML_BYTES);
        html_cell_number(page, report_number(channel, "transfers"), HTML_COUNT);
        html_cell_number(page, report_number(channel, "mean_bytes_per_s"), HTML_RATE);
        html_cell_number(page, report_number(channel, "queue_s"), HTML_SECONDS);
        html_cell_number(page, report_number(channel, "wait_s"), HTML_SECONDS);
        html_row_end(page);
    }
    html_table_end(page);
}

static void run_memories(const es_json *r, es_text *page)
{
    const bool bytes = run_in_bytes(r, "capacity.counts");
    html_section(page, "capacity", "Capacity, memories and links");
    report_rows(r, "Room", bytes ? run_capacity_bytes : run_capacity_slots, 2, page);
    report_rows(r, "What there is to hold", ROWS(run_capacity), page);
    run_tiers(r, page);
    run_channels(r, page);
    html_section_end(page);
}

/* ---- bounds ---- */

static const report_row run_bounds[] = {
    {"time.total_s", "this run", HTML_SECONDS, "", false},
    {"bounds.all_resident_s", "everything resident", HTML_SECONDS, "From the start: what compute takes, by nothing delayed.", false},
    {"bounds.lower_bound_s", "nobody is below", HTML_SECONDS, "Proved: compute, and the copies that even who knows the future must make.", false},
    {"bounds.clairvoyant_s", "who knows the future", HTML_SECONDS, "Reaches this. Between these two lies the best possible on this machine.", false},
    {"bounds.never_cache_s", "without a cache", HTML_SECONDS, "Every use is fetched and nothing is kept.", false},
    {"cache.hits", "hits of this run", HTML_COUNT, "", false},
    {"bounds.belady_hits", "hits of Belady", HTML_COUNT, "Gives up whom it needs last: the most hits that any policy could have at this size.", false},
    {"bounds.belady_uniform_hits", "hits, at most", HTML_COUNT, "Belady with all experts as small as the smallest.", false},
};

/* Why some are not known: each reason once, with the keys that it is for. */
static void run_reasons(const es_json *r, es_text *page)
{
    const es_json *reasons = es_json_at(r, "bounds.reason"), *one, *other;
    cJSON_ArrayForEach(one, reasons) {
        const char *why = cJSON_GetStringValue(one);
        bool first = why != NULL;
        for (other = reasons->child; first && other != one; other = other->next)
            first = !cJSON_IsString(other) || strcmp(other->valuestring, why) != 0;
        if (!first)
            continue;
        html_add(page, "<p class=\"muted\">Not known: %s", one->string);
        for (other = one->next; other; other = other->next)
            if (cJSON_IsString(other) && strcmp(other->valuestring, why) == 0)
                html_add(page, ", %s", other->string);
        html_add(page, "; %s.</p>\n", why);
    }
}

static bool run_has_bounds(const es_json *r)
{
    const es_json *one;
    cJSON_ArrayForEach(one, es_json_at(r, "bounds"))
        if (isfinite(report_value(one)))
            return true;
    return false;
}

static void run_limits(const es_json *r, es_text *page)
{
    html_section(page, "bounds", "What could be had");
    html_add(page, "<p>The same trace on the same machine under other rules: what this run is to be measured against. Belady and who knows the future read what comes."
        " No engine can do that, and none can do better.</p>\n");
    if (run_has_bounds(r))
        report_rows(r, "Bounds (non-causal)", ROWS(run_bounds), page);
    else if (!es_json_at(r, "bounds.reason"))
        html_add(page, "<p class=\"muted\">This result has no bounds.</p>\n");
    run_reasons(r, page);
    html_section_end(page);
}

/* ---- contract ---- */

static void run_contract(const report_ask *ask, es_text *page)
{
    static const html_column columns[] = {{"switch", false}, {"value", false}, {"what it says", false}};
    const es_json *contract = es_json_at(ask->result, "contract"), *one;
    const char *label = report_text(contract, "label");
    if (!contract)
        return;
    html_section(page, "contract", "Contract");
    html_add(page, "<p>What counts as a lookup, on which state it is judged, and what happens when something does not fit: <strong>%s</strong>. Numbers of other"
        " contracts are not comparable with these.</p>\n", label ? label : "unnamed");
    html_facts(page, "Replay contract", columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(one, contract) {
        const char *meaning = ask->meaning ? ask->meaning(one->string) : NULL;
        char *text = cJSON_PrintUnformatted(one);
        if (strcmp(one->string, "label") != 0) {
            html_row(page, one->string);
            html_cell(page, cJSON_IsString(one) ? one->valuestring : text ? text : "");
            html_cell(page, meaning ? meaning : "");
            html_row_end(page);
        }
        cJSON_free(text);
    }
    html_table_end(page);
    html_section_end(page);
}

/* ---- what no section shows ---- */

static void run_rest(const es_json *r, es_text *page)
{
    static const char *const shown[] = {"name", "brief", "clock", "cache", "time", "coverage", "channels", "traffic", "capacity", "tiers", "bounds", "contract", "provenance",
        "volatile", "one_pass", "attribution"};
    const es_json *one;
    bool begun = false;
    cJSON_ArrayForEach(one, r) {
        bool known = false;
        for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
            known = known || strcmp(one->string, shown[i]) == 0;
        if (known)
            continue;
        if (!begun)
            html_section(page, "more", "What its parts and observers say");
        begun = true;
        html_fold(page, one->string, false);
        report_all(one, one->string, page);
        html_fold_end(page);
    }
    if (begun)
        html_section_end(page);
}

void report_run(const report_ask *ask, es_text *page)
{
    const es_json *r = ask->result;
    run_lookups(r, page);
    run_residents(r, page);
    run_memories(r, page);
    run_limits(r, page);
    run_contract(ask, page);
    run_rest(r, page);
}
