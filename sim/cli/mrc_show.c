/* Mrc for people, the text; see mrc_show.h. */
#include "sim/cli/mrc_show.h"

#include <stdio.h>
#include <string.h>

enum { SHOW_COLUMNS = 8 };      /* policies in the table; the others are in the files */

/* The line of the config's own policy, where it has one point only: a sentence tells it, not a column. */
static const es_mrc_line *show_point(const es_mrc *mrc)
{
    return mrc->own && mrc->line[0].curve.sizes == 1 ? &mrc->line[0] : NULL;
}

/* "96" or "1.50 GiB": a capacity in what the curves count. */
static void show_capacity(const es_mrc *mrc, uint64_t capacity, es_text *out)
{
    if (mrc->in_bytes)
        es_text_bytes(out, (double)capacity);
    else
        es_text_count(out, (int64_t)capacity);
}

/* ---- the table ---- */

static void show_cell(const es_mrc *mrc, const es_mrc_line *line, uint64_t capacity, es_text *out)
{
    const double of = (double)es_mrc_accesses(mrc, &line->curve);
    uint32_t at;
    if (es_mrc_at(mrc, line, capacity, &at))
        es_text_add(out, " %11.2f %%", of > 0 ? 100.0 * (double)es_mrc_hits(mrc, &line->curve, at) / of : 0.0);
    else
        es_text_add(out, " %13s", "-");
}

static void show_row(const es_mrc *mrc, const es_mrc_size *size, es_text *out)
{
    es_text name = {0};
    show_capacity(mrc, size->capacity, &name);
    es_text_add(out, "%s%11s %6.1f %%", size->own ? "* " : "  ", name.at ? name.at : "", 100.0 * size->share);
    es_text_free(&name);
    for (uint32_t l = show_point(mrc) != NULL; l < mrc->lines && l < SHOW_COLUMNS; l++)
        show_cell(mrc, &mrc->line[l], size->capacity, out);
    const double lookups = (double)mrc->events.decode_accesses, gain = (double)(size->split.best - size->split.equal);
    if (size->has_split)
        es_text_add(out, " %+10.2f points", lookups > 0 ? 100.0 * gain / lookups : 0.0);
    es_text_add(out, "\n");
}

static void show_head(const es_mrc *mrc, bool split, es_text *out)
{
    es_text_add(out, "  %11s %8s", mrc->in_bytes ? mrc->per_layer ? "bytes/layer" : "bytes" : mrc->per_layer ? "slots/layer" : "slots", "share");
    for (uint32_t l = show_point(mrc) != NULL; l < mrc->lines && l < SHOW_COLUMNS; l++) {
        char name[48];
        snprintf(name, sizeof name, "%.40s%s", mrc->line[l].policy, strcmp(mrc->line[l].made, "config") == 0 ? "*" : "");
        es_text_add(out, " %13s", name);
    }
    if (split)
        es_text_add(out, " %16s", "lru, best split");
    es_text_add(out, "\n");
}

static void show_own(const es_mrc *mrc, es_text *out)
{
    const es_mrc_line *point = show_point(mrc);
    const double of = (double)es_mrc_accesses(mrc, &mrc->line[0].curve);
    es_text_add(out, "  *: the capacity of %s", mrc->name);
    if (point)
        es_text_add(out, "; as it is configured %s hits %.2f %% there", point->policy, of > 0 ? 100.0 * (double)es_mrc_hits(mrc, &point->curve, 0) / of : 0.0);
    else
        es_text_add(out, ", and its policy as it is configured");
    es_text_add(out, "\n");
}

static void show_table(const es_mrc *mrc, es_text *out)
{
    bool split = false;
    uint32_t runs = 0;
    for (uint32_t i = 0; i < mrc->shown_count; i++)
        split = split || mrc->shown[i].has_split;
    show_head(mrc, split, out);
    for (uint32_t i = 0; i < mrc->shown_count; i++)
        show_row(mrc, &mrc->shown[i], out);
    if (mrc->lines > SHOW_COLUMNS)
        es_text_add(out, "  %u more policies are in --json, --csv and --out\n", mrc->lines - SHOW_COLUMNS);
    if (mrc->own)
        show_own(mrc, out);
    for (uint32_t l = 0; l < mrc->lines; l++)
        runs += strcmp(mrc->line[l].made, "run") == 0 ? mrc->line[l].curve.sizes : 0;
    if (runs > 0)
        es_text_add(out, "  policies without a curve took %u runs; --sizes says at which capacities\n", runs);
    if (mrc->calibrate)
        es_text_add(out, "  static_frozen: the set that %s would choose\n", mrc->calibrate);
    if (split)
        es_text_add(out, "  best split: decode hits that layers of their own win by the best division over an equal one\n");
    if (mrc->unequal)
        es_text_add(out, "  experts differ in size: belady is the uniform-size optimum's rule, here no optimum and no bound\n");
}

/* ---- what follows ---- */

static void show_hopeless(const es_mrc *mrc, es_text *out)
{
    const es_mrc_size *largest = NULL;
    for (uint32_t i = 0; i < mrc->shown_count; i++)
        if (es_mrc_ratio(mrc, &mrc->shown[i]) < ES_MRC_HOPELESS)
            largest = &mrc->shown[i];
    es_text_add(out, "  an event asks for %.1f slots at once; no policy helps a cache of less than a quarter of that", mrc->statistics.demand);
    if (largest) {
        es_text_add(out, ": here up to ");
        show_capacity(mrc, largest->capacity, out);
    }
    es_text_add(out, "\n");
}

/* Half of the lookups that come back do so within so many experts. */
static void show_reuse(const es_mrc *mrc, es_text *out)
{
    uint64_t all = 0, sum = 0;
    uint32_t half = 0;
    for (uint32_t b = 0; b < mrc->reuse.buckets; b++)
        all += mrc->reuse.count[b];
    while (half < mrc->reuse.buckets && 2 * (sum += mrc->reuse.count[half]) < all)
        half++;
    if (all > 0)
        es_text_add(out, "  half of the experts that come back do so within %llu experts of %s\n", 1ull << half, mrc->per_layer ? "their layer" : "all layers");
}

static void show_segments(const es_mrc *mrc, es_text *out)
{
    const es_segments *s = &mrc->segments[1];
    if (s->windows > 0)
        es_text_add(out, "  the best fixed choice of experts for %u steps in a row agrees with what they use by F1 %.2f (SRP)\n", s->length, s->srp);
}

static void show_facts(const es_mrc *mrc, es_text *out)
{
    const es_statistics *s = &mrc->statistics;
    es_text_add(out, "  one decode step uses %.1f experts over all layers", s->cycle);
    if (mrc->bytes) {
        es_text_add(out, ", ");
        es_text_bytes(out, s->cycle_bytes);
    }
    es_text_add(out, "; of one layer it uses %.1f, %.0f %% of them those of the step before\n", s->demand, 100.0 * s->overlap);
    if (mrc->cliff) {
        es_text_add(out, "  cliff: up to %llu slots%s", (unsigned long long)mrc->cliff, mrc->per_layer ? " per layer" : "");
        if (mrc->in_bytes && mrc->cliff_bytes > 0.0) {
            es_text_add(out, ", ");
            es_text_bytes(out, mrc->cliff_bytes);
            es_text_add(out, ",");
        }
        es_text_add(out, " LRU hits nothing in decode\n");
    } else {
        es_text_add(out, "  cliff: none; LRU hits in decode at the smallest size already\n");
    }
    es_text_add(out, "  the most used 10, 20, 30 and 40 %% of the experts get %.0f, %.0f, %.0f and %.0f %% of decode lookups\n", 100.0 * s->share[0],
        100.0 * s->share[1], 100.0 * s->share[2], 100.0 * s->share[3]);
    show_reuse(mrc, out);
    show_segments(mrc, out);
    show_hopeless(mrc, out);
}

void mrc_show_text(const es_mrc *mrc, es_text *out)
{
    es_text_add(out, "%s: %u layers x %u experts, ", mrc->path, mrc->info->layers, mrc->info->experts);
    es_text_count(out, (int64_t)mrc->events.tokens);
    es_text_add(out, " tokens; hits of %s lookups, scope %s, contract %s\n", mrc->decode ? "decode" : "all", mrc->scope, mrc->contract);
    if (mrc->warning)
        es_text_add(out, "  warning: %s\n", mrc->warning);
    if (mrc->events.lookups == 0)
        return;
    show_table(mrc, out);
    if (mrc->statistics.lookups > 0)
        show_facts(mrc, out);
}
