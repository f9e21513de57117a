/* Summary: what a result says to a person, the most important first, in at most 24 lines. See cmd.h.
 *
 * Every line is a label and a sentence; a figure that the result has not is left out, and a line without figures too. */
#include <string.h>

#include "sim/cli/summary.h"

void summary_speed(const es_json *r, es_text *out)
{
    double speed = summary_number(r, "time.tokens_per_s");
    if (!isfinite(speed))
        return;
    summary_label(out, "speed");
    summary_rate(out, speed);
    es_text_add(out, " tokens/s");
    double total = summary_number(r, "time.total_s");
    if (isfinite(total)) {
        es_text_add(out, "; all of it took ");
        summary_seconds(out, total);
        es_text_add(out, " of simulated time");
    }
    es_text_add(out, "\n");
    static const char *const names[] = {"mean", "p50", "p95", "p99"};
    if (!isfinite(summary_number(r, "time.token_latency_s.mean")))
        return;
    summary_label(out, "per token");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[48] = "time.token_latency_s.";
        strcat(path, names[i]);
        es_text_add(out, "%s%s ", i ? ", " : "", names[i]);
        summary_seconds(out, summary_number(r, path));
    }
    double first = summary_number(r, "time.ttft_s");
    if (isfinite(first)) {
        es_text_add(out, "; first token after ");
        summary_seconds(out, first);
    }
    es_text_add(out, "\n");
}

static void summary_hits(const es_json *r, es_text *out)
{
    double lookups = summary_number(r, "cache.lookups"), hits = summary_number(r, "cache.hits");
    double decode = summary_number(r, "cache.decode.lookups"), decode_hits = summary_number(r, "cache.decode.hits");
    if (!(lookups > 0))
        return;
    summary_label(out, "hit rate");
    if (decode > 0) {
        summary_percent(out, decode_hits, decode);
        es_text_add(out, " of decode lookups (");
        summary_count(out, decode_hits);
        es_text_add(out, " of ");
        summary_count(out, decode);
        es_text_add(out, ")");
    }
    if (decode != lookups) {
        es_text_add(out, decode > 0 ? "; with prefill " : "");
        summary_percent(out, hits, lookups);
        es_text_add(out, decode > 0 ? "" : " of lookups, all of them prefill");
    }
    double late = summary_number(r, "cache.late");
    if (late > 0) {
        es_text_add(out, "; ");
        summary_count(out, late);
        es_text_add(out, " late");
    }
    es_text_add(out, "\n");
}

/* What became of the guesses; those that are late were worth it in part. */
static void summary_guesses(const es_json *r, es_text *out)
{
    double copies = summary_number(r, "cache.guess_copies"), used = summary_number(r, "cache.hits_prefetched"), late = summary_number(r, "cache.late");
    double wasted = summary_number(r, "cache.wasted"), cancelled = summary_number(r, "cache.cancelled");
    if (!(copies > 0))
        return;
    summary_label(out, "prefetched");
    summary_count(out, copies);
    es_text_add(out, " copies: ");
    summary_count(out, used);
    es_text_add(out, " there in time, ");
    summary_count(out, late);
    es_text_add(out, " late, ");
    summary_count(out, wasted);
    es_text_add(out, " left unused; ");
    summary_count(out, cancelled);
    es_text_add(out, " guesses cancelled\n");
}

static void summary_misses(const es_json *r, es_text *out)
{
    double misses = summary_number(r, "cache.misses"), first = summary_number(r, "cache.misses_compulsory"), refused = summary_number(r, "cache.misses_refused");
    if (!(misses > 0))
        return;
    summary_label(out, "misses");
    summary_count(out, misses);
    if (isfinite(first)) {
        es_text_add(out, ", ");
        summary_count(out, first);
        es_text_add(out, " of them the first use of an expert");
    }
    if (refused > 0) {
        es_text_add(out, ", ");
        summary_count(out, refused);
        es_text_add(out, " not kept");
    }
    double evictions = summary_number(r, "cache.evictions");
    if (isfinite(evictions)) {
        es_text_add(out, "; ");
        summary_count(out, evictions);
        es_text_add(out, " evictions");
    }
    es_text_add(out, "\n");
}

static void summary_coverage(const es_json *r, es_text *out)
{
    double perfect = summary_number(r, "coverage.perfect"), partial = summary_number(r, "coverage.partial"), zero = summary_number(r, "coverage.zero");
    double all = perfect + partial + zero;
    if (!(all > 0))
        return;
    summary_label(out, "layers");
    es_text_add(out, "all experts there in ");
    summary_percent(out, perfect, all);
    es_text_add(out, ", some in ");
    summary_percent(out, partial, all);
    es_text_add(out, ", none in ");
    summary_percent(out, zero, all);
    es_text_add(out, "\n");
}

/* Where the time went, without what took none. */
static void summary_attribution(const es_json *r, es_text *out)
{
    static const struct {
        const char *name, *words;
    } rows[] = {{"dense", "dense layers"}, {"expert_gpu", "experts"}, {"expert_cpu", "experts on the host"}, {"access", "reading in place"}, {"manage", "cache management"},
        {"predict", "predicting"}};
    double total = summary_number(r, "time.total_s");
    const es_json *times = es_json_at(r, "time.attribution"), *wait;
    if (!times || !(total > 0))
        return;
    summary_label(out, "time went to");
    const char *comma = "";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double part = summary_number(times, rows[i].name);
        if (!(part > 0))
            continue;
        es_text_add(out, "%s%s ", comma, rows[i].words);
        summary_percent(out, part, total);
        comma = ", ";
    }
    cJSON_ArrayForEach(wait, cJSON_GetObjectItemCaseSensitive(times, "wait")) {
        if (!(wait->valuedouble > 0))
            continue;
        es_text_add(out, "%swaiting for %s ", comma, wait->string);
        summary_percent(out, wait->valuedouble, total);
        comma = ", ";
    }
    es_text_add(out, "\n");
}

/* Of the waits, what is not just copies being on their way; where observer attribution has followed them. */
static void summary_waits(const es_json *r, es_text *out)
{
    static const struct {
        const char *name, *words;
    } rows[] = {{"late", "for guesses on their way"}, {"behind_guess", "behind a guess"}, {"behind_demand", "behind another demand"}, {"behind_write", "for write-backs"},
        {"behind_device", "behind another device"}, {"shared", "slowed by others"}, {"room", "for room"}};
    const es_json *channel, *waits = es_json_at(r, "attribution.causes.wait");
    const double total = summary_number(r, "time.total_s");
    const char *comma = "";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double sum = 0.0;
        cJSON_ArrayForEach(channel, waits) sum += summary_number(channel, rows[i].name);
        if (!(sum > 0.0))
            continue;
        if (!*comma)
            summary_label(out, "of the waits");
        es_text_add(out, "%s%s ", comma, rows[i].words);
        summary_percent(out, sum, total);
        comma = ", ";
    }
    if (*comma)
        es_text_add(out, "\n");
}

static void summary_channels(const es_json *r, es_text *out)
{
    const es_json *channel;
    int lines = 0;
    cJSON_ArrayForEach(channel, cJSON_GetObjectItemCaseSensitive(r, "channels")) {
        double bytes = summary_number(channel, "bytes"), busy = summary_number(channel, "busy_fraction");
        if (!(bytes > 0) || lines++ == 4)
            continue;
        summary_label(out, channel->string);
        if (isfinite(busy)) {
            summary_percent(out, busy, 1.0);
            es_text_add(out, " busy, ");
        }
        es_text_bytes(out, bytes);
        es_text_add(out, summary_number(channel, "transfers") > 0 ? " in " : " of copies that queue elsewhere\n");
        if (summary_number(channel, "transfers") > 0) {
            summary_count(out, summary_number(channel, "transfers"));
            es_text_add(out, " copies\n");
        }
    }
    double fetched = summary_number(r, "cache.fetched_bytes");
    if (lines == 0 && fetched > 0) {
        summary_label(out, "fetched");
        es_text_bytes(out, fetched);
        es_text_add(out, "\n");
    }
}

static void summary_capacity(const es_json *r, es_text *out)
{
    double objects = summary_number(r, "capacity.objects"), room = summary_number(r, "capacity.slots_or_bytes");
    double all = summary_number(r, "capacity.population_bytes"), cycle = summary_number(r, "capacity.cycle_bytes");
    const char *counts = summary_text(r, "capacity.counts");
    bool bytes = counts && strcmp(counts, "bytes") == 0;
    if (!isfinite(objects))
        return;
    summary_label(out, "capacity");
    if (isfinite(room) && bytes) {
        es_text_bytes(out, room);
        if (all > 0) {
            es_text_add(out, ", ");
            summary_percent(out, room, all);
            es_text_add(out, " of all experts");
        }
    } else if (isfinite(room)) {
        summary_count(out, room);
        es_text_add(out, room == 1 ? " slot for " : " slots for ");
        summary_count(out, objects);
        es_text_add(out, " experts (");
        summary_percent(out, room, objects);
        es_text_add(out, ")");
    } else {
        es_text_add(out, "no limit");
    }
    es_text_add(out, "; ");
    if (all > 0) {
        es_text_bytes(out, all);
        es_text_add(out, " in ");
        summary_count(out, objects);
        es_text_add(out, "; ");
    }
    es_text_add(out, "one token uses ");
    if (cycle > 0)
        es_text_bytes(out, cycle);
    else
        summary_count(out, summary_number(r, "capacity.cycle_objects"));
    double need = bytes ? cycle : summary_number(r, "capacity.cycle_objects");
    es_text_add(out, need > room ? ", more than fits\n" : "\n");
}

/* Of tiers whose allocator places copies: what each pool holds at the end. */
static void summary_pools(const es_json *r, es_text *out)
{
    const es_json *tier, *pool;
    cJSON_ArrayForEach(tier, cJSON_GetObjectItemCaseSensitive(r, "tiers")) {
        const es_json *allocator = cJSON_GetObjectItemCaseSensitive(tier, "allocator"), *pools = cJSON_GetObjectItemCaseSensitive(allocator, "pools");
        if (!pools)
            continue;
        summary_label(out, "pools");
        const char *comma = "";
        cJSON_ArrayForEach(pool, pools) {
            es_text_add(out, "%s%s ", comma, pool->string);
            summary_percent(out, summary_number(pool, "used_bytes"), summary_number(pool, "capacity_bytes"));
            comma = ", ";
        }
        es_text_add(out, " of tier %s in use; ", tier->string);
        summary_count(out, summary_number(allocator, "spills"));
        es_text_add(out, " spills, ");
        summary_count(out, summary_number(allocator, "compactions"));
        es_text_add(out, " compactions");
        if (summary_number(allocator, "tail_bytes") > 0) {
            es_text_add(out, "; ");
            summary_percent(out, summary_number(allocator, "tail_share"), 1.0);
            es_text_add(out, " lies behind their last slots");
        }
        es_text_add(out, "\n");
    }
}

static void summary_bounds(const es_json *r, es_text *out)
{
    double lookups = summary_number(r, "cache.lookups"), best = summary_number(r, "bounds.belady_hits"), uniform = summary_number(r, "bounds.belady_uniform_hits");
    double never = summary_number(r, "bounds.never_cache_s"), all = summary_number(r, "bounds.all_resident_s");
    bool hits = lookups > 0 && (isfinite(best) || isfinite(uniform)), times = isfinite(never) || isfinite(all);
    if (!hits && !times)
        return;
    summary_label(out, "at best");
    if (hits) {
        summary_percent(out, isfinite(best) ? best : uniform, lookups);
        es_text_add(out, isfinite(best) ? " hits if the future were known" : " hits if the future were known and all experts were as small as the smallest");
        es_text_add(out, times ? "; " : "\n");
    }
    if (isfinite(all)) {
        summary_seconds(out, all);
        es_text_add(out, " with everything resident%s", isfinite(never) ? "; " : "\n");
    }
    if (isfinite(never)) {
        es_text_add(out, "without a cache ");
        summary_seconds(out, never);
        es_text_add(out, "\n");
    }
}

/* Between what nobody undercuts and what who knows the future reaches. */
static void summary_bracket(const es_json *r, es_text *out)
{
    const double total = summary_number(r, "time.total_s"), lower = summary_number(r, "bounds.lower_bound_s"), some = summary_number(r, "bounds.clairvoyant_s");
    if (!(total > 0.0) || !isfinite(lower) || !isfinite(some))
        return;
    summary_label(out, "to be won");
    es_text_add(out, "%.1f %% of the time by a better policy or predictor: who knows the future takes ", 100.0 * (1.0 - some / total));
    summary_seconds(out, some);
    es_text_add(out, ", nobody less than ");
    summary_seconds(out, lower);
    es_text_add(out, "\n");
}

static void summary_setup(const es_json *r, es_text *out)
{
    const char *policy = summary_text(r, "provenance.config.policy.name"), *predictor = summary_text(r, "provenance.config.predictor.name");
    summary_label(out, "policy");
    es_text_add(out, "%s", policy ? policy : "none");
    if (predictor)
        es_text_add(out, ", predictor %s", predictor);
    es_text_add(out, "; contract %s; clock %s\n", summary_text(r, "contract.label") ? summary_text(r, "contract.label") : "?", summary_text(r, "clock"));
}

static void summary_machine(const es_json *r, es_text *out)
{
    const char *machine = summary_text(r, "provenance.config.machine.name"), *model = summary_text(r, "provenance.config.model.name");
    const char *precision = summary_text(r, "provenance.config.model.precision");
    model = model ? model : summary_text(r, "provenance.config.model.shape.name");
    if (!machine && !model)
        return;
    summary_label(out, "machine");
    es_text_add(out, "%s%s%s%s%s\n", machine ? machine : "", machine && model ? "; " : "", model ? model : "", model && precision ? " in " : "", model && precision ? precision : "");
}

static void summary_trace(const es_json *r, es_text *out)
{
    const es_json *t = es_json_at(r, "provenance.trace");
    const char *path = summary_text(t, "path"), *model = summary_text(t, "model");
    summary_label(out, "trace");
    es_text_add(out, "%s", path ? path : summary_text(t, "format") ? summary_text(t, "format") : "?");
    if (model && *model)
        es_text_add(out, ", %s", model);
    es_text_add(out, ": %.0f layers x %.0f experts, top-%.0f, ", summary_number(t, "layers"), summary_number(t, "experts"), summary_number(t, "top_k"));
    summary_count(out, summary_number(t, "prompt_tokens"));
    es_text_add(out, " prompt and ");
    summary_count(out, summary_number(t, "decode_tokens"));
    es_text_add(out, " decode tokens\n");
}

static void summary_routing(const es_json *r, es_text *out)
{
    const char *router = summary_text(r, "routing.router");
    double lost = summary_number(r, "routing.gate_mass_lost.mean"), most = summary_number(r, "routing.gate_mass_lost.max");
    if (!router)
        return;
    summary_label(out, "note");
    es_text_add(out, "closed-loop: router %s replaced ", router);
    summary_percent(out, summary_number(r, "routing.replaced"), summary_number(r, "routing.experts"));
    es_text_add(out, " of the experts; gate mass lost ");
    if (isfinite(lost)) {
        summary_percent(out, lost, 1.0);
        es_text_add(out, " in the mean, ");
        summary_percent(out, most, 1.0);
        es_text_add(out, " at most\n");
    } else {
        es_text_add(out, "unknown, the trace has no weights\n");
    }
}

/* In the unit of the room. */
static void summary_beyond(const es_json *r, es_text *out)
{
    const bool bytes = strcmp(summary_text(r, "capacity.counts"), "bytes") == 0;
    if (!cJSON_IsTrue(es_json_at(r, "capacity.beyond_population")))
        return;
    summary_label(out, "note");
    es_text_add(out, "more room (");
    if (bytes) {
        es_text_bytes(out, summary_number(r, "capacity.slots_or_bytes"));
        es_text_add(out, ") than all experts take (");
        es_text_bytes(out, summary_number(r, "capacity.population_bytes"));
    } else {
        summary_count(out, summary_number(r, "capacity.slots_or_bytes"));
        es_text_add(out, " slots) than there are experts (");
        summary_count(out, summary_number(r, "capacity.objects"));
    }
    es_text_add(out, ")\n");
}

/* What one must know before one believes the rest. */
static void summary_warnings(const es_json *r, es_text *out)
{
    if (cJSON_IsTrue(es_json_at(r, "provenance.trace.uniform"))) {
        summary_label(out, "note");
        es_text_add(out, "synthetic, uniform: every expert is equally likely, so the hit rate is only capacity / population\n");
    } else if (cJSON_IsTrue(es_json_at(r, "provenance.trace.synthetic"))) {
        summary_label(out, "note");
        es_text_add(out, "synthetic: the routing was generated, not recorded from a model\n");
    }
    if (cJSON_IsTrue(es_json_at(r, "provenance.trace.other_model"))) {
        summary_label(out, "note");
        es_text_add(out, "routing of another model: no precision makes the experts that were recorded those of the config\n");
    }
    if (cJSON_IsFalse(es_json_at(r, "provenance.causal"))) {
        summary_label(out, "note");
        es_text_add(out, "non-causal: some part reads the future; no engine can do this\n");
    }
    summary_beyond(r, out);
    summary_measured(r, out);
    summary_routing(r, out);
    double missing = summary_number(r, "provenance.trace.missing_cells");
    if (missing > 0) {
        summary_label(out, "note");
        summary_count(out, missing);
        es_text_add(out, " rows (token, layer) are missing in the trace\n");
    }
    double exceeded = summary_number(r, "cache.overflow_events");
    if (exceeded > 0) {
        summary_label(out, "note");
        summary_count(out, exceeded);
        es_text_add(out, exceeded == 1 ? " event needed" : " events needed");
        es_text_add(out, " more experts than fit; contract.overflow %s says what happens then\n", summary_text(r, "contract.overflow"));
    }
    const char *fault = summary_text(r, "audit.first_fault");
    if (fault) {
        summary_label(out, "FAULT");
        es_text_add(out, "%s\n", fault);
    }
}

static void summary_timeline(const es_json *r, es_text *out)
{
    const char *path = summary_text(r, "timeline.path");
    if (!path)
        return;
    summary_label(out, "timeline");
    es_text_add(out, "%s, ", path);
    es_text_duration(out, 1e9 * summary_number(r, "timeline.from_s"));
    es_text_add(out, " to ");
    es_text_duration(out, 1e9 * summary_number(r, "timeline.to_s"));
    if (cJSON_IsTrue(es_json_at(r, "timeline.limited")))
        es_text_add(out, " only, for it is full; --window %.0fns.. draws what follows\n", 1e9 * summary_number(r, "timeline.to_s"));
    else
        es_text_add(out, "; ui.perfetto.dev opens it\n");
}

static void summary_kept(const char *dir, es_text *out)
{
    summary_label(out, "results");
    if (dir)
        es_text_add(out, "%s/result.json, %s/result.h5\n", dir, dir);
    else
        es_text_add(out, "not kept; --out DIR keeps them, --json prints all of them\n");
}

void cmd_summary(const es_json *result, const char *dir, es_text *out)
{
    const char *brief = summary_text(result, "brief");
    es_text_add(out, "%s%s%s\n", summary_text(result, "name"), brief ? ": " : "", brief ? brief : "");
    if (es_json_at(result, "buffers")) {
        summary_buffers(result, out);
        summary_kept(dir, out);
        return;
    }
    summary_speed(result, out);
    summary_hits(result, out);
    summary_guesses(result, out);
    summary_attribution(result, out);
    summary_waits(result, out);
    summary_misses(result, out);
    summary_coverage(result, out);
    summary_channels(result, out);
    summary_capacity(result, out);
    summary_pools(result, out);
    summary_bounds(result, out);
    summary_bracket(result, out);
    summary_setup(result, out);
    summary_machine(result, out);
    summary_trace(result, out);
    summary_warnings(result, out);
    summary_timeline(result, out);
    summary_kept(dir, out);
}
