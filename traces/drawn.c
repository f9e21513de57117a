/* Drawn: see drawn.h. */
#include "traces/drawn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWN_TOKENS = 1024 };           /* of a request whose counts are shares */
static const uint64_t drawn_most = 1ull << 32;  /* most that are drawn from one file */

/* --- a set: how often each expert is used ---------------------------------------------------------------------------------------- */

static int drawn_compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return x[0] != y[0] ? (x[0] > y[0]) - (x[0] < y[0]) : (x[1] > y[1]) - (x[1] < y[1]);
}

/* Scales shares to n * k uses of at most n each. What is above n is used by every token; the others share the rest. */
static void drawn_scale(double *counts, uint32_t experts, double n, double k)
{
    double left = n * k, sum = 0.0;
    for (uint32_t e = 0; e < experts; e++)
        sum += counts[e];
    for (bool again = sum > 0.0; again;) {
        again = false;
        for (uint32_t e = 0; e < experts; e++)
            if (counts[e] >= 0.0 && counts[e] * left > n * sum) {
                sum -= counts[e];
                left -= n;
                counts[e] = -1.0;       /* all of it */
                again = sum > 0.0 && left > 0.0;
            }
    }
    for (uint32_t e = 0; e < experts; e++)
        counts[e] = counts[e] < 0.0 ? n : sum > 0.0 && left > 0.0 ? counts[e] / sum * left : 0.0;
}

/* Rounds so that the total is the nearest whole one: along the line, every expert ends at its rounded sum. */
static void drawn_round(double *counts, uint32_t experts, double most)
{
    double sum = 0.0, before = 0.0;
    for (uint32_t e = 0; e < experts; e++) {
        sum += counts[e];
        double end = floor(sum + 0.5), count = end - before;
        counts[e] = count < most ? count : most;
        before += counts[e];
    }
}

/* The line of a layer: experts in random order, where each ends, and of how many tokens the layer is. */
static es_code drawn_line(es_drawn *drawn, uint32_t layer, uint64_t (*key)[2], es_err *err)
{
    const uint32_t experts = drawn->form.experts, k = drawn->form.top_k;
    double *counts = drawn->counts + (size_t)layer * experts, most = 0.0;
    uint64_t *end = drawn->end + (size_t)layer * experts, sum = 0;
    for (uint32_t e = 0; e < experts; e++) {
        key[e][0] = es_draw(drawn->order, drawn->set, layer, e, 0);
        key[e][1] = e;
        most = counts[e] > most ? counts[e] : most;
    }
    qsort(key, experts, sizeof *key, drawn_compare);
    for (uint32_t i = 0; i < experts; i++) {
        drawn->expert[(size_t)layer * experts + i] = (uint16_t)key[i][1];
        sum += (uint64_t)counts[key[i][1]];
        end[i] = sum;
    }
    drawn->rows[layer] = (sum + k - 1) / k;
    if (most > (double)drawn->rows[layer])
        return es_err_set(err, ES_EINPUT, "%s: set %llu, layer %u: an expert was used %.0f times, but %llu uses with %u to a token are of %llu tokens only; is top-k right?", drawn->form.path,
            (unsigned long long)drawn->set, layer, most, (unsigned long long)sum, k, (unsigned long long)drawn->rows[layer]);
    if (drawn->rows[layer] > drawn->tokens)
        drawn->tokens = drawn->rows[layer];
    return ES_OK;
}

static double drawn_wanted(const es_drawn *drawn)
{
    return drawn->options.tokens ? (double)drawn->options.tokens : DRAWN_TOKENS;
}

/* Makes the next set the one at hand; a set without uses has no tokens. */
static es_code drawn_set(es_drawn *drawn, es_err *err)
{
    const uint32_t experts = drawn->form.experts, layers = drawn->form.layers;
    drawn->tokens = drawn->at = 0;
    es_code code = drawn->form.load(drawn, drawn->counts, err);
    uint64_t (*key)[2] = code ? NULL : malloc(experts * sizeof *key);
    if (!code && !key)
        code = es_err_nomem(err, "a generator");
    for (uint32_t layer = 0; !code && layer < layers; layer++) {
        double *counts = drawn->counts + (size_t)layer * experts;
        if (!drawn->whole || drawn->options.tokens) {
            drawn_scale(counts, experts, drawn_wanted(drawn), drawn->form.top_k);
            drawn_round(counts, experts, drawn_wanted(drawn));
        }
        code = drawn_line(drawn, layer, key, err);
    }
    free(key);
    if (!code && drawn->tokens >= UINT32_MAX)
        code = es_err_set(err, ES_EINPUT, "%s: set %llu has uses of %llu tokens, more than a request can have; the option tokens scales them", drawn->form.path,
            (unsigned long long)drawn->set, (unsigned long long)drawn->tokens);
    if (!code)
        drawn->set++;
    return code;
}

/* --- rows ----------------------------------------------------------------------------------------------------------------------- */

/* A random permutation of the numbers below n: four rounds of a Feistel network over the next even number of bits, again until the
 * result is below n (Black and Rogaway 2002). */
static uint64_t drawn_permuted(const es_drawn *drawn, uint32_t layer, uint64_t n, uint64_t x)
{
    unsigned half = 1;
    while (half < 32 && (1ull << (2 * half)) < n)
        half++;
    const uint64_t mask = (1ull << half) - 1;
    do {
        uint64_t left = x >> half, right = x & mask;
        for (uint64_t round = 0; round < 4; round++) {
            uint64_t next = left ^ (es_draw(drawn->place, drawn->set, layer, right, round) & mask);
            left = right;
            right = next;
        }
        x = left << half | right;
    } while (x >= n);
    return x;
}

static uint16_t drawn_expert(const es_drawn *drawn, uint32_t layer, uint64_t place)
{
    const uint64_t *end = drawn->end + (size_t)layer * drawn->form.experts;
    uint32_t low = 0, high = drawn->form.experts - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (end[middle] > place)
            high = middle;
        else
            low = middle + 1;
    }
    return drawn->expert[(size_t)layer * drawn->form.experts + low];
}

static void drawn_row(const es_drawn *drawn, uint32_t layer, uint64_t token, uint16_t *ids)
{
    const uint32_t k = drawn->form.top_k;
    const uint64_t n = drawn->rows[layer], sum = drawn->end[(size_t)layer * drawn->form.experts + drawn->form.experts - 1];
    uint64_t place = drawn_permuted(drawn, layer, drawn->tokens, token);
    for (uint32_t i = 0; i < k; i++, place += n)
        ids[i] = place < sum && (i > 0 || place < n) ? drawn_expert(drawn, layer, place) : ES_NO_EXPERT;
}

/* --- opening -------------------------------------------------------------------------------------------------------------------- */

static es_code drawn_shape(const es_drawn_form *form, es_err *err)
{
    if (form->layers == 0 || form->layers > ES_TRACE_LAYERS_MAX || form->experts == 0 || form->experts > ES_TRACE_EXPERTS_MAX || form->sets == 0)
        return es_err_set(err, ES_EINPUT, "%s: %llu sets of counts of %u layers and %u experts; at least one of each is expected, and at most %d layers of %d experts", form->path,
            (unsigned long long)form->sets, form->layers, form->experts, ES_TRACE_LAYERS_MAX, ES_TRACE_EXPERTS_MAX);
    if (form->top_k == 0 || form->top_k > ES_TRACE_TOP_K_MAX || form->top_k > form->experts)
        return es_err_set(err, ES_EINPUT, "%s: counts do not say how many experts a token uses; --top-k must, from 1 to the %u that there are", form->path, form->experts);
    return ES_OK;
}

/* Are all counts whole? Then they are met as they stand. */
static es_code drawn_wholes(es_drawn *drawn, es_err *err)
{
    const size_t cells = (size_t)drawn->form.layers * drawn->form.experts;
    es_code code = ES_OK;
    drawn->whole = true;
    for (uint64_t set = 0; !code && set < drawn->form.sets; set++) {
        code = drawn->form.load(drawn, drawn->counts, err);
        for (size_t i = 0; !code && i < cells; i++)
            drawn->whole = drawn->whole && drawn->counts[i] == floor(drawn->counts[i]) && drawn->counts[i] < 1e13;
    }
    return code ? code : drawn->form.again(drawn, err);
}

/* What the sets say of a layer: it is used; and the first of them in which it has fewer uses than top_k for each token. */
typedef struct drawn_layer { bool used, fewer; uint64_t set, uses, tokens; } drawn_layer;

static es_code drawn_survey(es_drawn *drawn, uint64_t *rows, drawn_layer *layer, uint64_t *empty, es_err *err)
{
    es_trace_info *info = &drawn->info;
    const uint32_t experts = drawn->form.experts;
    es_code code = ES_OK;
    for (uint64_t set = 0; !code && set < drawn->form.sets && info->accesses <= drawn_most; set++) {
        code = drawn_set(drawn, err);
        for (uint32_t l = 0; !code && l < drawn->form.layers; l++) {
            const uint64_t uses = drawn->end[(size_t)l * experts + experts - 1];
            *rows += drawn->rows[l];
            info->accesses += uses;
            if (uses < drawn->tokens * drawn->form.top_k && !layer[l].fewer)
                layer[l] = (drawn_layer){ layer[l].used, true, set, uses, drawn->tokens };
            layer[l].used = layer[l].used || uses > 0;
        }
        *empty += !code && drawn->tokens == 0;
        info->requests += !code && drawn->tokens > 0;
        info->decode_tokens += code ? 0 : drawn->tokens;
    }
    return code;
}

/* Rows that are missing or shorter than the others, with the first set and layer of which they are. */
static void drawn_say_uneven(es_drawn *drawn, const drawn_layer *layer)
{
    const es_trace_info *info = &drawn->info;
    const uint64_t cells = info->decode_tokens * info->layers, uses = cells * info->top_k;
    uint32_t first = UINT32_MAX;
    for (uint32_t i = 0; i < info->layers; i++) {
        const uint32_t l = drawn->kept[i];
        if (layer[l].fewer && (first == UINT32_MAX || layer[l].set < layer[first].set))
            first = l;
    }
    if (first != UINT32_MAX)
        es_assume(&drawn->notes, "layers have different numbers of uses: %llu of %llu rows (token, layer) are missing and %llu of %llu places in rows stay empty; the first is layer %u of set %llu "
            "with %llu uses, where %llu tokens have %llu", (unsigned long long)info->missing_cells, (unsigned long long)cells, (unsigned long long)(uses - info->accesses), (unsigned long long)uses,
            first, (unsigned long long)layer[first].set, (unsigned long long)layer[first].uses, (unsigned long long)layer[first].tokens,
            (unsigned long long)layer[first].tokens * info->top_k);
}

static es_code drawn_describe(es_drawn *drawn, uint64_t rows, const drawn_layer *layer, uint64_t empty, es_arena *arena, es_err *err)
{
    es_trace_info *info = &drawn->info;
    for (uint32_t l = 0; l < drawn->form.layers; l++)
        if (layer[l].used)
            drawn->kept[info->layers++] = l;
    if (info->layers == 0)
        return es_err_set(err, ES_EINPUT, "%s: no expert was ever used", drawn->form.path);
    if (info->accesses > drawn_most)
        return es_err_set(err, ES_EINPUT, "%s: its counts are of more than %llu uses, which nobody would wait for; the option tokens of source %s scales each set", drawn->form.path,
            (unsigned long long)drawn_most, drawn->form.format);
    info->layer_number = drawn->kept;
    info->experts = drawn->form.experts;
    info->top_k = drawn->form.top_k;
    info->model = "";
    info->steps = info->decode_tokens;
    info->missing_cells = info->decode_tokens * info->layers - rows;
    info->counted = info->synthetic = true;
    es_assume(&drawn->notes, "counts say how often experts were used, not when: tokens are drawn so that every count is met, in random order, and all are taken as generated");
    es_assume(&drawn->notes, "drawn with seed %lld; what depends on the order of uses (recency, prediction, the experts of one token together) is chance", (long long)drawn->options.seed);
    if (!drawn->whole || drawn->options.tokens)
        es_assume(&drawn->notes, "the counts of a request are scaled to %.0f tokens", drawn_wanted(drawn));
    if (empty)
        es_assume(&drawn->notes, "%llu of %llu sets of counts are all zeros and are left out", (unsigned long long)empty, (unsigned long long)drawn->form.sets);
    if (info->layers < drawn->form.layers)
        es_assume(&drawn->notes, "%u of %u layers were never used and are left out as dense; the others keep their numbers", drawn->form.layers - info->layers, drawn->form.layers);
    drawn_say_uneven(drawn, layer);
    return es_imported_as(info, drawn->form.format, drawn->form.sha256, &drawn->notes, arena, err);
}

es_code es_drawn_open(es_drawn *drawn, const es_drawn_form *form, es_arena *arena, es_err *err)
{
    uint64_t rows = 0, empty = 0;
    drawn->form = *form;
    es_code code = drawn_shape(form, err);
    if (code)
        return code;
    const size_t cells = (size_t)form->layers * form->experts;
    drawn_layer *layer = ES_NEW_ARRAY(arena, form->layers, drawn_layer);
    drawn->counts = ES_NEW_ARRAY(arena, cells, double);
    drawn->expert = ES_NEW_ARRAY(arena, cells, uint16_t);
    drawn->end = ES_NEW_ARRAY(arena, cells, uint64_t);
    drawn->rows = ES_NEW_ARRAY(arena, form->layers, uint64_t);
    drawn->kept = ES_NEW_ARRAY(arena, form->layers, uint32_t);
    drawn->ids = ES_NEW_ARRAY(arena, (size_t)form->layers * form->top_k, uint16_t);
    if (!layer || !drawn->counts || !drawn->expert || !drawn->end || !drawn->rows || !drawn->kept || !drawn->ids)
        return es_err_nomem(err, "a generator");
    drawn->order = es_stream_of((uint64_t)drawn->options.seed, 0, "drawn", "order");
    drawn->place = es_stream_of((uint64_t)drawn->options.seed, 0, "drawn", "place");
    code = drawn_wholes(drawn, err);
    if (!code)
        code = drawn_survey(drawn, &rows, layer, &empty, err);
    if (!code)
        code = drawn_describe(drawn, rows, layer, empty, arena, err);
    return code ? code : es_drawn_rewind(drawn, err);
}

/* --- the source ----------------------------------------------------------------------------------------------------------------- */

const es_trace_info *es_drawn_info(void *self)
{
    return &((es_drawn *)self)->info;
}

es_code es_drawn_next(void *self, es_step *step, bool *more, es_err *err)
{
    es_drawn *drawn = self;
    *step = (es_step){ 0 };
    while (drawn->at == drawn->tokens && drawn->set < drawn->form.sets) {
        es_code code = drawn_set(drawn, err);
        if (code)
            return code;
        drawn->requests += drawn->tokens > 0;
    }
    *more = drawn->at < drawn->tokens;
    if (!*more)
        return ES_OK;
    for (uint32_t i = 0; i < drawn->info.layers; i++)
        drawn_row(drawn, drawn->kept[i], drawn->at, drawn->ids + (size_t)i * drawn->info.top_k);
    drawn->token = (es_token){ (uint32_t)(drawn->requests - 1), (uint32_t)drawn->at++, ES_DECODE };
    step->tokens = 1;
    step->token = &drawn->token;
    step->ids = drawn->ids;
    step->record = drawn->given++;
    return ES_OK;
}

es_code es_drawn_rewind(void *self, es_err *err)
{
    es_drawn *drawn = self;
    drawn->set = drawn->requests = drawn->tokens = drawn->at = drawn->given = 0;
    return drawn->form.again(drawn, err);
}

void es_drawn_fini(void *self)
{
    es_drawn *drawn = self;
    es_text_free(&drawn->notes);
}

const es_option es_drawn_table[] = {
    { .name = "tokens", .type = ES_OPT_INT, .offset = offsetof(es_drawn, options.tokens), .def = 0, .min = 0, .max = 1e9, .unit = "tokens",
      .help = "Tokens of each set of counts; 0: as many as were counted, or 1024 where shares are given." },
    { .name = "seed", .type = ES_OPT_INT, .offset = offsetof(es_drawn, options.seed), .def = 1, .min = 0, .max = 9e15, .help = "Other seeds draw other orders." },
    { 0 },
};
