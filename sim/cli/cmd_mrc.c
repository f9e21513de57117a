/* expertsim mrc: hit rates of a trace at every cache size, without simulating one. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/base/file.h"
#include "sim/cli/cmd.h"
#include "sim/study/mrc.h"

static void mrc_table(const es_mrc *mrc, es_text *out)
{
    es_text_add(out, "  %10s %8s", mrc->per_layer ? "slots/layer" : "slots", "share");
    for (int p = 0; p < ES_MRC_POLICIES; p++)
        if (mrc->policy[p])
            es_text_add(out, " %13s", es_mrc_policy_name((es_mrc_policy)p));
    es_text_add(out, " %16s\n", "lru, best split");
    const double all = (double)mrc->events.experts * (mrc->per_layer ? 1 : mrc->events.spaces);
    for (uint32_t i = 0; i < mrc->shown_count; i++) {
        const es_mrc_size *size = &mrc->shown[i];
        const double lookups = (double)mrc->events.decode_accesses, gain = (double)(size->split.best - size->split.equal);
        es_text_add(out, "  %10llu %6.1f %%", (unsigned long long)size->capacity, 100.0 * (double)size->capacity / all);
        for (int p = 0; p < ES_MRC_POLICIES; p++)
            if (mrc->policy[p]) {
                const double of = (double)es_mrc_accesses(mrc, (es_mrc_policy)p);
                es_text_add(out, " %11.2f %%", of > 0 ? 100.0 * (double)es_mrc_hits(mrc, (es_mrc_policy)p, size->at) / of : 0.0);
            }
        es_text_add(out, " %+10.2f points\n", lookups > 0 ? 100.0 * gain / lookups : 0.0);
    }
}

static void mrc_facts(const es_mrc *mrc, es_text *out)
{
    const es_statistics *s = &mrc->statistics;
    es_text_add(out, "  best split: decode hits that layers of their own win by the best division over an equal one\n");
    es_text_add(out, "  one decode step uses %.1f experts over all layers", s->cycle);
    if (mrc->info->expert_bytes) {
        es_text_add(out, ", ");
        es_text_bytes(out, s->cycle_bytes);
    }
    es_text_add(out, "; of one layer it uses %.1f, %.0f %% of them those of the step before\n", s->demand, 100.0 * s->overlap);
    if (mrc->cliff)
        es_text_add(out, "  cliff: up to %llu slots%s LRU hits nothing in decode\n", (unsigned long long)mrc->cliff, mrc->per_layer ? " per layer" : "");
    else
        es_text_add(out, "  cliff: none; LRU hits in decode at the smallest size already\n");
    es_text_add(out, "  the most used 10, 20, 30 and 40 %% of the experts get %.0f, %.0f, %.0f and %.0f %% of decode lookups\n", 100.0 * s->share[0],
        100.0 * s->share[1], 100.0 * s->share[2], 100.0 * s->share[3]);
    es_text_add(out, "  an event asks for %.1f slots at once; as a rule no policy helps a cache of less than a quarter of that\n", s->demand);
}

static void mrc_text(const es_mrc *mrc, const char *dir, es_text *out)
{
    es_text_add(out, "%s: %u layers x %u experts, ", mrc->path, mrc->info->layers, mrc->info->experts);
    es_text_count(out, (int64_t)mrc->events.tokens);
    es_text_add(out, " tokens; hits of %s lookups, scope %s, contract %s\n", mrc->decode ? "decode" : "all", mrc->scope, mrc->contract);
    if (mrc->warning)
        es_text_add(out, "  warning: %s\n", mrc->warning);
    if (mrc->events.lookups > 0) {
        mrc_table(mrc, out);
        if (mrc->statistics.lookups > 0)
            mrc_facts(mrc, out);
    }
    if (dir)
        es_text_add(out, "  all sizes: %s/mrc.json, mrc.csv and mrc.h5\n", dir);
}

static es_code mrc_save(const char *dir, const char *name, const char *text, size_t length, es_err *err)
{
    es_text path = {0};
    es_text_add(&path, "%s/%s", dir, name);
    es_code code = path.failed ? es_err_nomem(err, "a path") : es_file_save(path.at, text, length, err);
    es_text_free(&path);
    return code;
}

static es_code mrc_keep(const es_mrc *mrc, const char *dir, const es_text *json, es_err *err)
{
    es_text csv = {0};
    es_mrc_csv(mrc, &csv);
    es_code code = csv.failed ? es_err_nomem(err, "the rows") : es_file_make_dirs(dir, err);
    if (code == ES_OK)
        code = mrc_save(dir, "mrc.json", json->at, json->length, err);
    if (code == ES_OK)
        code = mrc_save(dir, "mrc.csv", csv.at, csv.length, err);
    es_text_free(&csv);
    es_text path = {0};
    es_text_add(&path, "%s/mrc.h5", dir);
    if (code == ES_OK)
        code = path.failed ? es_err_nomem(err, "a path") : es_mrc_h5(mrc, path.at, err);
    es_text_free(&path);
    return code;
}

static es_code mrc_tell(const es_mrc *mrc, const char *dir, bool as_json, es_err *err)
{
    es_text json = {0}, text = {0};
    es_json *tree = as_json || dir ? es_mrc_json(mrc) : NULL;
    char *words = tree ? es_json_text(tree) : NULL;
    es_code code = ES_OK;
    if (as_json || dir) {
        es_text_add(&json, "%s", words ? words : "");
        code = !words || json.failed ? es_err_nomem(err, "the curves") : ES_OK;
    }
    free(words);
    cJSON_Delete(tree);
    if (code == ES_OK && dir)
        code = mrc_keep(mrc, dir, &json, err);
    if (!as_json)
        mrc_text(mrc, dir, &text);
    code = cmd_print(code, as_json ? &json : &text, err);
    es_text_free(&json);
    return code;
}

static es_code mrc_exec(int count, char **args, es_err *err)
{
    es_mrc mrc = {0};
    es_mrc_ask ask = {0};
    cmd_words words = {0};
    const char *out = NULL;
    bool json = false;
    const cmd_flag flags[] = {{.name = "--policies", .value = &ask.policies}, {.name = "--scope", .value = &ask.scope},
        {.name = "--contract", .value = &ask.contract}, {.name = "--sizes", .value = &ask.sizes}, {.name = "--phase", .value = &ask.phase},
        {.name = "--reset", .value = &ask.reset}, {.name = "--prefill", .value = &ask.prefill}, {.name = "--json", .on = &json},
        {.name = "--out", .letter = "-o", .value = &out}, {0}};
    es_code code = cmd_parse(flags, count, args, &words, err);
    if (code == ES_OK && words.count != 1)
        code = cmd_misused(&cmd_mrc, err, words.count ? "one trace at a time" : "which trace?");
    if (code == ES_OK) {
        ask.path = words.at[0];
        code = es_mrc_make(&mrc, &ask, err);
        if (code == ES_OK)
            code = mrc_tell(&mrc, out, json, err);
        es_mrc_free(&mrc);
    }
    free(words.at);
    return code;
}

const cmd_entry cmd_mrc = {
    .name = "mrc",
    .usage = "TRACE [--policies LIST] [--scope global|layer] [--contract NAME] [--sizes LIST] [--phase decode|all] [--reset request] [--prefill HOW] "
             "[--json] [--out DIR]",
    .brief = "Hit rates of a trace at every cache size.",
    .help = "--policies lru,belady,belady_bypass,static (default: lru,belady,static)   --scope global: one cache; layer: one for each layer\n"
            "--contract event_atomic, serialized, keep_best, after_batch   --prefill union, tokens, tiles:N, skip\n"
            "--sizes 8,16,50%: slots of one cache or a share of its experts (default: every size)   --phase: which lookups hits count\n"
            "--reset request empties caches at each request. --out writes mrc.json, mrc.csv and mrc.h5; docs/curves.md says what is in them.\n"
            "Counts are those of `expertsim run` with clock none.\n",
    .exec = mrc_exec,
};
