/* Fades: see fades.h. */
#include "models/fades.h"

#include "sim/base/option.h"

static const es_option fade_options[] = {
    {.name = "bytes", .type = ES_OPT_BYTES, .offset = offsetof(es_fade, bytes), .min = 1, .max = 0x1p53, .required = true, .help = "Of memory, touched in between."},
    {.name = "saved", .type = ES_OPT_REAL, .offset = offsetof(es_fade, saved), .min = 0, .max = 1, .required = true, .help = "Share of what the copy saves that is left."},
    {0},
};

es_code es_fades_parse(es_fades *out, const es_json *list, es_arena *arena, es_err *err)
{
    if (!cJSON_IsArray(list) || !list->child)
        return es_err_set(err, ES_EINPUT, "needs a list of at least one point, found %s", cJSON_IsArray(list) ? "an empty one" : es_json_kind(list));
    es_fade *at = ES_NEW_ARRAY(arena, cJSON_GetArraySize(list), es_fade);
    if (!at)
        return es_err_nomem(err, "how what a copy saves fades");
    *out = (es_fades){.at = at};
    const es_json *item;
    cJSON_ArrayForEach(item, list) {
        es_fade *fade = &at[out->count];
        es_code code = es_options_parse(fade_options, fade, item, NULL, arena, err);
        if (code == ES_OK && out->count && fade->bytes <= fade[-1].bytes)
            code = es_err_set(err, ES_EINPUT, "bytes: %lld comes after %lld; points ascend", (long long)fade->bytes, (long long)fade[-1].bytes);
        if (code == ES_OK && out->count && fade->saved > fade[-1].saved)
            code = es_err_set(err, ES_EINPUT, "saved: %g comes after %g; what is saved does not grow", fade->saved, fade[-1].saved);
        if (code)
            return es_err_at(err, "%zu", out->count), code;
        out->count++;
    }
    return ES_OK;
}

double es_fades_saved(const es_fades *fades, int64_t bytes)
{
    int64_t from = 0;
    double saved = 1.0;
    for (const es_fade *fade = fades->at; fade < fades->at + fades->count; from = fade->bytes, saved = fade->saved, fade++)
        if (bytes <= fade->bytes)
            return saved + (fade->saved - saved) * (double)(bytes - from) / (double)(fade->bytes - from);
    return 0.0;
}
