/* Passes: see passes.h. */
#include "traces/passes.h"

#include <stdlib.h>
#include <string.h>

/* --- room ----------------------------------------------------------------------------------------------------------------------- */

static bool passes_grow(void *array, uint64_t *room, uint64_t want, size_t size)
{
    uint64_t more = *room ? *room : 256;
    while (more < want)
        more *= 2;
    if (more == *room)
        return true;
    if (!es_trace_resize(array, more, 1, size))
        return false;
    *room = more;
    return true;
}

/* The pass has so many tokens; cells of new ones are empty. */
static bool passes_tokens(es_passes *passes, uint32_t tokens)
{
    const uint64_t width = (uint64_t)passes->info.layers * passes->form.top_k;
    if (tokens <= passes->tokens)
        return true;
    if (passes->mode == ES_PASSES_READ) {
        if (!passes_grow(&passes->ids, &passes->cell_room, tokens * width, sizeof *passes->ids))
            return false;
        if (passes->weighs && !passes_grow(&passes->weights, &passes->weight_room, tokens * width, sizeof *passes->weights))
            return false;
        for (uint64_t i = passes->tokens * width; passes->weighs && i < tokens * width; i++)
            passes->weights[i] = 0.0f;
        memset(passes->ids + passes->tokens * width, 0xff, (tokens - passes->tokens) * width * sizeof *passes->ids);
    }
    passes->tokens = tokens;
    return true;
}

/* --- calls ---------------------------------------------------------------------------------------------------------------------- */

static es_code passes_range(const es_passes *passes, const es_passes_call *call, const unsigned char *ids, es_ids_type type, es_err *err)
{
    const int64_t most = (passes->form.experts ? passes->form.experts : ES_TRACE_EXPERTS_MAX) - 1;
    for (uint32_t i = 0; i < call->ids; i++) {
        int64_t id = es_ids_number(ids, type, i);
        if (id < 0 || id > most)
            return es_bytes_fault(&passes->bytes, call->record, call->offset, err, "layer %u, place %u: expert %lld is not 0 to %lld", call->layer, i, (long long)id, (long long)most);
    }
    return ES_OK;
}

/* Puts rows of a layer to their tokens. */
static void passes_put(es_passes *passes, const es_passes_call *call, const uint16_t *ids)
{
    const uint32_t k = passes->form.top_k, layer = passes->rank[call->layer];
    uint64_t to = ((uint64_t)call->first * passes->info.layers + layer) * k;
    for (uint32_t at = 0; at < call->ids; at += k, to += (uint64_t)passes->info.layers * k) {
        const uint32_t count = call->ids - at < k ? call->ids - at : k;
        memcpy(passes->ids + to, ids + at, count * sizeof *ids);
        if (passes->weighs)
            memcpy(passes->weights + to, call->weights + at, count * sizeof *call->weights);
    }
    passes->place[layer] = (es_passes_place){ call->record, call->offset };
}

static void passes_note_call(es_passes *passes, const es_passes_call *call)
{
    if (passes->calls == 0)
        passes->first_record = call->record;
    passes->calls += passes->calls == 0 || call->layer != passes->layer;
    passes->layer = call->layer;
    passes->occurs[call->layer] = 1;
}

es_code es_passes_call_ids(es_passes *passes, const es_passes_call *call, const unsigned char *ids, es_ids_type type, es_err *err)
{
    const uint32_t k = passes->form.top_k;
    if (call->layer >= (passes->form.layers ? passes->form.layers : ES_TRACE_LAYERS_MAX))
        return es_bytes_fault(&passes->bytes, call->record, call->offset, err, "layer %u is above %u, the highest", call->layer,
            (passes->form.layers ? passes->form.layers : ES_TRACE_LAYERS_MAX) - 1);
    if (call->ids == 0)
        return es_bytes_fault(&passes->bytes, call->record, call->offset, err, "layer %u: a call of no experts", call->layer);
    passes_note_call(passes, call);
    if (passes->mode == ES_PASSES_WIDTH) {
        if (passes->held > 0 && (passes->shortest == 0 || passes->held < passes->shortest))
            passes->shortest = passes->held;
        passes->held = call->ids;
        return ES_OK;
    }
    if (!passes_grow(&passes->scratch, &passes->scratch_room, call->ids, sizeof *passes->scratch))
        return es_err_nomem(err, "a pass");
    es_ids_range range = es_ids_widen(passes->scratch, ids, type, call->ids);
    if (range.low < 0 || range.high >= (passes->form.experts ? passes->form.experts : ES_TRACE_EXPERTS_MAX))
        return passes_range(passes, call, ids, type, err);
    if (range.high > (int64_t)passes->highest)
        passes->highest = (uint64_t)range.high;
    const uint32_t rows = (call->ids + k - 1) / k;
    if (!passes_tokens(passes, call->first + rows))
        return es_err_nomem(err, "a pass");
    if (passes->mode == ES_PASSES_READ) {
        passes_put(passes, call, passes->scratch);
    } else {
        passes->rows += rows;
        passes->info.accesses += call->ids;
    }
    return ES_OK;
}

/* --- the end of a pass ----------------------------------------------------------------------------------------------------------- */

/* Rows of the pass by themselves: experts that differ, and empty places only at the end. Ids are given, so nothing stands behind one. */
static es_code passes_rows(es_passes *passes, es_err *err)
{
    const uint32_t layers = passes->info.layers, k = passes->form.top_k;
    if (!es_ids_repeat(passes->twice, passes->ids, (size_t)passes->tokens * layers))
        return ES_OK;
    for (uint64_t cell = 0; cell < (uint64_t)passes->tokens * layers; cell++) {
        const uint16_t *row = passes->ids + cell * k;
        const es_passes_place *place = &passes->place[cell % layers];
        for (uint32_t i = 1; i < k && row[i] != ES_NO_EXPERT; i++)
            for (uint32_t j = 0; j < i; j++)
                if (row[i] == row[j])
                    return es_bytes_fault(&passes->bytes, place->record, place->offset, err, "layer %u, token %llu from here, place %u: expert %u is listed twice in its row; "
                        "is a row of %u experts right?", passes->info.layer_number[cell % layers], (unsigned long long)(cell / layers), i, row[i], k);
    }
    return ES_OK;
}

/* A position that does not rise, or a prompt behind generated tokens, begins a request. */
static void passes_request(es_passes *passes, uint8_t phase, uint32_t position)
{
    bool fresh = position == ES_NO_POSITION ? phase == ES_PREFILL && passes->generated : position < passes->position;
    if (!passes->begun)
        passes->info.requests = 1;
    if (passes->begun && fresh) {
        passes->request++;
        passes->position = 0;
        passes->generated = false;
        passes->info.requests += passes->mode == ES_PASSES_SCAN;
    }
    passes->begun = true;
    passes->generated = passes->generated || phase == ES_DECODE;
    if (position != ES_NO_POSITION)
        passes->position = position;
}

static void passes_count(es_passes *passes, uint8_t phase)
{
    es_trace_info *info = &passes->info;
    info->steps++;
    *(phase == ES_PREFILL ? &info->prompt_tokens : &info->decode_tokens) += passes->tokens;
    if (info->steps == 1)
        passes->usual_calls = passes->calls;
    else if (passes->calls != passes->usual_calls && !passes->pruned) {
        passes->pruned = true;
        es_assume(&passes->notes, "passes are of different layers: that from record %llu on has %u, the first has %u; what is missing is counted as missing", (unsigned long long)passes->first_record,
            passes->calls, passes->usual_calls);
    }
}

es_code es_passes_end(es_passes *passes, uint8_t phase, uint32_t position, es_err *err)
{
    if (passes->mode == ES_PASSES_WIDTH)
        return ES_OK;
    passes_request(passes, phase, position);
    if ((uint64_t)passes->position + passes->tokens > UINT32_MAX - 1)
        return es_bytes_fault(&passes->bytes, passes->first_record, passes->bytes.offset, err, "request %u has more than %u tokens", passes->request, UINT32_MAX - 1);
    if (passes->mode == ES_PASSES_SCAN) {
        passes_count(passes, phase);
    } else {
        if (!passes_grow(&passes->token, &passes->token_room, passes->tokens, sizeof *passes->token))
            return es_err_nomem(err, "a pass");
        for (uint32_t i = 0; i < passes->tokens; i++)
            passes->token[i] = (es_token){ passes->request, passes->position + i, phase };
    }
    passes->position += passes->tokens;
    return passes->mode == ES_PASSES_READ ? passes_rows(passes, err) : ES_OK;
}

es_code es_passes_torn(es_passes *passes, size_t got, size_t want, const char *what, es_err *err)
{
    if (!passes->lenient)
        return es_bytes_fault(&passes->bytes, passes->record, passes->bytes.offset, err, "the file ends with %zu of the %zu bytes of %s", got, want, what);
    es_assume(&passes->notes, "the file is cut: %zu bytes of record %llu are left out", got, (unsigned long long)passes->record);
    return ES_OK;
}

/* --- opening -------------------------------------------------------------------------------------------------------------------- */

static es_code passes_begin(es_passes *passes, es_passes_mode mode, es_err *err)
{
    es_code code = passes->bytes.offset > 0 || passes->bytes.over ? es_bytes_rewind(&passes->bytes, err) : ES_OK;
    passes->mode = mode;
    passes->record = passes->at = 0;
    passes->request = passes->position = 0;
    passes->begun = passes->generated = false;
    return code ? code : es_bytes_skip(&passes->bytes, passes->form.header, err);
}

static es_code passes_read(es_passes *passes, bool *more, es_err *err)
{
    passes->tokens = passes->calls = 0;
    *more = true;
    return passes->form.read(passes, more, err);
}

/* The last pass must go as far as the others did: layers of its tokens would be missing without a word. */
static es_code passes_whole(es_passes *passes, const es_trace_info *before, es_err *err)
{
    if (passes->info.steps < 2 || passes->layer >= passes->last_layer)
        return ES_OK;
    if (!passes->lenient)
        return es_bytes_fault(&passes->bytes, passes->record, passes->bytes.offset, err, "the file ends behind layer %u of a pass; those before go on to layer %u", passes->layer, passes->last_layer);
    es_assume(&passes->notes, "the file is cut: its last pass ends behind layer %u and is left out", passes->layer);
    passes->info = *before;
    return ES_OK;
}

static es_code passes_through(es_passes *passes, es_err *err)
{
    es_trace_info before = passes->info;
    uint64_t rows = 0;
    bool more = true;
    for (;;) {
        es_trace_info now = passes->info;
        uint64_t now_rows = passes->rows;
        if (passes->calls > 0 && passes->layer > passes->last_layer)
            passes->last_layer = passes->layer;
        uint32_t layer = passes->layer;
        es_code code = passes_read(passes, &more, err);
        if (code)
            return code;
        if (!more) {
            passes->layer = layer;
            break;
        }
        before = now;
        rows = now_rows;
    }
    uint64_t steps = passes->info.steps;
    es_code code = passes->mode == ES_PASSES_SCAN ? passes_whole(passes, &before, err) : ES_OK;
    if (passes->info.steps < steps)
        passes->rows = rows;
    return code;
}

static es_code passes_layers(es_passes *passes, es_arena *arena, es_err *err)
{
    uint32_t *number = ES_NEW_ARRAY(arena, ES_TRACE_LAYERS_MAX, uint32_t);
    if (!number)
        return es_err_nomem(err, "a trace");
    for (uint32_t l = 0; l < ES_TRACE_LAYERS_MAX; l++)
        if (passes->occurs[l]) {
            passes->rank[l] = (uint16_t)passes->info.layers;
            number[passes->info.layers++] = l;
        }
    passes->info.layer_number = number;
    passes->place = ES_NEW_ARRAY(arena, passes->info.layers + 1, es_passes_place);
    return passes->place ? ES_OK : es_err_nomem(err, "a trace");
}

static es_code passes_describe(es_passes *passes, es_arena *arena, es_err *err)
{
    es_trace_info *info = &passes->info;
    es_code code = passes_layers(passes, arena, err);
    if (code)
        return code;
    if (info->steps == 0)
        return es_err_set(err, ES_EINPUT, "%s: holds no routing", passes->bytes.path);
    info->experts = passes->form.experts ? passes->form.experts : (uint32_t)passes->highest + 1;
    info->top_k = passes->form.top_k;
    info->model = "";
    info->missing_cells = (info->prompt_tokens + info->decode_tokens) * info->layers - passes->rows;
    info->counted = true;
    info->has_weights = passes->form.weights;
    if (!passes->form.positions)
        es_assume(&passes->notes, "a layer that does not rise begins a pass; a pass of several tokens is a prompt, and one behind generated tokens begins a request");
    if (!passes->form.experts)
        es_assume(&passes->notes, "there are %u experts, the highest id and one", info->experts);
    return es_imported_as(info, passes->form.format, passes->sha256, &passes->notes, arena, err);
}

es_code es_passes_open(es_passes *passes, const es_source_ask *ask, es_err *err)
{
    return es_bytes_open(&passes->bytes, ask->path, err);
}

static es_code passes_shape(const es_passes *passes, es_err *err)
{
    const es_passes_form *form = &passes->form;
    if (form->layers > ES_TRACE_LAYERS_MAX || form->experts > ES_TRACE_EXPERTS_MAX)
        return es_err_set(err, ES_EINPUT, "%s: %u layers of %u experts are more than %d of %d, the most", passes->bytes.path, form->layers, form->experts, ES_TRACE_LAYERS_MAX,
            ES_TRACE_EXPERTS_MAX);
    if (passes->mode != ES_PASSES_WIDTH && (form->top_k == 0 || form->top_k > ES_TRACE_TOP_K_MAX))
        return es_err_set(err, ES_EINPUT, "%s: rows of %u experts are not 1 to %d; --top-k says how many there are", passes->bytes.path, form->top_k, ES_TRACE_TOP_K_MAX);
    return ES_OK;
}

/* Once through; the first time the bytes are hashed, and it goes to their end. */
static es_code passes_survey(es_passes *passes, es_passes_mode mode, es_err *err)
{
    bool first = passes->sha256[0] == '\0';
    passes->mode = mode;
    es_code code = passes_shape(passes, err);
    if (!code)
        code = passes_begin(passes, mode, err);
    if (!code)
        code = passes_through(passes, err);
    if (!code && first)
        es_bytes_sha256(&passes->bytes, passes->sha256);
    return code;
}

es_code es_passes_scan(es_passes *passes, const es_passes_form *form, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    passes->form = *form;
    passes->lenient = ask->lenient;
    passes->weighs = form->weights && ask->weights;
    if (passes->form.top_k == 0)
        passes->form.top_k = ask->top_k;
    if (passes->form.experts == 0)
        passes->form.experts = ask->experts;
    passes->occurs = ES_NEW_ARRAY(arena, ES_TRACE_LAYERS_MAX, uint8_t);
    passes->rank = ES_NEW_ARRAY(arena, ES_TRACE_LAYERS_MAX, uint16_t);
    passes->twice = ES_NEW(arena, es_ids_twice);
    if (!passes->occurs || !passes->rank || !passes->twice)
        return es_err_nomem(err, "a trace");
    es_code code = ES_OK;
    if (passes->form.top_k == 0 && (code = passes_survey(passes, ES_PASSES_WIDTH, err)) == ES_OK) {
        passes->form.top_k = passes->shortest ? passes->shortest : passes->held;
        if (passes->form.top_k == 0)
            return es_err_set(err, ES_EINPUT, "%s: holds no routing", passes->bytes.path);
        es_assume(&passes->notes, "a row lists %u experts, as many as the shortest call; --top-k says otherwise", passes->form.top_k);
    }
    if (!code)
        code = passes_survey(passes, ES_PASSES_SCAN, err);
    if (!code)
        code = passes_describe(passes, arena, err);
    if (code)
        return code;
    es_ids_twice_init(passes->twice, passes->form.top_k);
    return es_passes_rewind(passes, err);
}

/* --- the source ----------------------------------------------------------------------------------------------------------------- */

const es_trace_info *es_passes_info(void *self)
{
    return &((es_passes *)self)->info;
}

es_code es_passes_next(void *self, es_step *step, bool *more, es_err *err)
{
    es_passes *passes = self;
    *step = (es_step){ 0 };
    *more = passes->at < passes->info.steps;
    if (!*more)
        return ES_OK;
    es_code code = passes_read(passes, more, err);
    if (!code && !*more)
        code = es_err_set(err, ES_EINPUT, "%s: became shorter while it was read", passes->bytes.path);
    if (code)
        return code;
    passes->at++;
    step->tokens = passes->tokens;
    step->token = passes->token;
    step->ids = passes->ids;
    step->weights = passes->weighs ? passes->weights : NULL;
    step->record = passes->first_record;
    return ES_OK;
}

es_code es_passes_rewind(void *self, es_err *err)
{
    return passes_begin(self, ES_PASSES_READ, err);
}

void es_passes_fini(void *self)
{
    es_passes *passes = self;
    es_bytes_close(&passes->bytes);
    es_text_free(&passes->notes);
    free(passes->ids);
    free(passes->scratch);
    free(passes->weights);
    free(passes->token);
}
