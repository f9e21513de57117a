/* Calls: see calls.h. */
#include "traces/calls.h"

#include <stdlib.h>
#include <string.h>

#include "traces/asked.h"

enum { CALLS_GUESS_BYTES = 32 * 1024, CALLS_GUESS_PASSES = 4 };  /* both of the beginning of a file say how wide a row is, unless it goes on otherwise */

/* --- room ----------------------------------------------------------------------------------------------------------------------- */

static bool calls_grow(void *array, uint64_t *room, uint64_t want, size_t size)
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
static bool calls_tokens(es_calls *calls, uint32_t tokens)
{
    const uint64_t width = (uint64_t)calls->info.layers * calls->form.top_k;
    if (tokens <= calls->tokens)
        return true;
    if (calls->mode == ES_CALLS_READ) {
        if (!calls_grow(&calls->ids, &calls->cell_room, tokens * width, sizeof *calls->ids))
            return false;
        if (calls->weighs && !calls_grow(&calls->weights, &calls->weight_room, tokens * width, sizeof *calls->weights))
            return false;
        for (uint64_t i = calls->tokens * width; calls->weighs && i < tokens * width; i++)
            calls->weights[i] = 0.0f;
        memset(calls->ids + calls->tokens * width, 0xff, (tokens - calls->tokens) * width * sizeof *calls->ids);
    }
    calls->tokens = tokens;
    return true;
}

/* --- calls ---------------------------------------------------------------------------------------------------------------------- */

static es_code calls_range(const es_calls *calls, const es_call *call, const unsigned char *ids, es_ids_type type, es_err *err)
{
    const int64_t most = (calls->form.experts ? calls->form.experts : ES_TRACE_EXPERTS_MAX) - 1;
    for (uint32_t i = 0; i < call->ids; i++) {
        int64_t id = es_ids_number(ids, type, i);
        if (id < 0 || id > most)
            return es_bytes_fault(&calls->bytes, call->record, call->offset, err, "layer %u, place %u: expert %lld is not 0 to %lld%s", call->layer, i, (long long)id,
                (long long)most, es_trace_places(id >= 0 && calls->form.experts > 0));
    }
    return ES_OK;
}

/* Puts rows of a layer to their tokens. */
static void calls_put(es_calls *calls, const es_call *call, const uint16_t *ids)
{
    const uint32_t k = calls->form.top_k, layer = calls->rank[call->layer];
    uint64_t to = ((uint64_t)call->first * calls->info.layers + layer) * k;
    for (uint32_t at = 0; at < call->ids; at += k, to += (uint64_t)calls->info.layers * k) {
        const uint32_t count = call->ids - at < k ? call->ids - at : k;
        memcpy(calls->ids + to, ids + at, count * sizeof *ids);
        if (calls->weighs)
            memcpy(calls->weights + to, call->weights + at, count * sizeof *call->weights);
    }
}

static void calls_note_width(es_calls *calls, uint32_t ids)
{
    if (calls->held > 0 && (calls->shortest == 0 || calls->held < calls->shortest))
        calls->shortest = calls->held;
    calls->held = ids;
}

static void calls_note_call(es_calls *calls, const es_call *call)
{
    if (calls->called == 0)
        calls->first_record = call->record;
    if (calls->called == 0 || call->layer != calls->layer) {
        if (calls->called < ES_TRACE_LAYERS_MAX)
            calls->pattern[calls->called] = (uint16_t)call->layer;
        calls->called++;
        if (calls->mode == ES_CALLS_READ)
            calls->place[calls->rank[call->layer]] = (es_calls_place){ call->record, call->offset };
    }
    calls->plain = calls->plain && call->first == 0 && call->ids == calls->form.top_k;
    calls->layer = call->layer;
    calls->occurs[call->layer] = 1;
}

es_code es_calls_add(es_calls *calls, const es_call *call, const unsigned char *ids, es_ids_type type, es_err *err)
{
    const uint32_t k = calls->form.top_k;
    if (call->layer >= (calls->form.layers ? calls->form.layers : ES_TRACE_LAYERS_MAX))
        return es_bytes_fault(&calls->bytes, call->record, call->offset, err, "layer %u is above %u, the highest", call->layer,
            (calls->form.layers ? calls->form.layers : ES_TRACE_LAYERS_MAX) - 1);
    if (call->ids == 0)
        return es_bytes_fault(&calls->bytes, call->record, call->offset, err, "layer %u: a call of no experts", call->layer);
    calls_note_call(calls, call);
    calls_note_width(calls, call->ids);
    if (calls->mode == ES_CALLS_WIDTH)
        return ES_OK;
    if (!calls_grow(&calls->scratch, &calls->scratch_room, call->ids, sizeof *calls->scratch))
        return es_err_nomem(err, "a pass");
    es_ids_range range = es_ids_widen(calls->scratch, ids, type, call->ids);
    if (range.low < 0 || range.high >= (calls->form.experts ? calls->form.experts : ES_TRACE_EXPERTS_MAX))
        return calls_range(calls, call, ids, type, err);
    if (range.high > (int64_t)calls->highest)
        calls->highest = (uint64_t)range.high;
    const uint32_t rows = (call->ids + k - 1) / k;
    if (!calls_tokens(calls, call->first + rows))
        return es_err_nomem(err, "a pass");
    if (calls->mode == ES_CALLS_READ) {
        calls_put(calls, call, calls->scratch);
    } else {
        if (call->first > 0 && !calls->form.positions && calls->shortened.pass == 0) {
            calls->shortened.pass = calls->info.steps + 1;
            calls->shortened.record = call->record;
        }
        calls->rows += rows;
        calls->info.accesses += call->ids;
    }
    return ES_OK;
}

/* --- the end of a pass ----------------------------------------------------------------------------------------------------------- */

static es_calls_place calls_place(const es_calls *calls, uint32_t layer)
{
    const es_calls_place *begin = &calls->begin, *each = &calls->each;
    return each->offset > 0 ? (es_calls_place){ begin->record + layer * each->record, begin->offset + layer * each->offset } : calls->place[layer];
}

/* Rows of the pass by themselves: experts that differ, and empty places only at the end. Ids are given, so nothing stands behind one. */
static es_code calls_rows(es_calls *calls, es_err *err)
{
    const uint32_t layers = calls->info.layers, k = calls->form.top_k;
    if (!es_ids_repeat(calls->twice, calls->ids, (size_t)calls->tokens * layers))
        return ES_OK;
    for (uint64_t cell = 0; cell < (uint64_t)calls->tokens * layers; cell++) {
        const uint16_t *row = calls->ids + cell * k;
        const es_calls_place place = calls_place(calls, (uint32_t)(cell % layers));
        for (uint32_t i = 1; i < k && row[i] != ES_NO_EXPERT; i++)
            for (uint32_t j = 0; j < i; j++)
                if (row[i] == row[j])
                    return es_bytes_fault(&calls->bytes, place.record, place.offset, err, "layer %u, token %llu from here, place %u: expert %u is listed twice in its row; "
                        "is a row of %u experts right?", calls->info.layer_number[cell % layers], (unsigned long long)(cell / layers), i, row[i], k);
    }
    return ES_OK;
}

/* A position that does not rise, or a prompt behind generated tokens, begins a request. */
static void calls_request(es_calls *calls, uint8_t phase, uint32_t position)
{
    bool fresh = position == ES_NO_POSITION ? phase == ES_PREFILL && calls->generated : position < calls->position;
    if (calls->begun && fresh) {
        calls->request++;
        calls->position = 0;
        calls->generated = false;
    }
    if (calls->mode == ES_CALLS_SCAN)
        calls->info.requests = (uint64_t)calls->request + 1;
    calls->begun = true;
    calls->generated = calls->generated || phase == ES_DECODE;
    if (position != ES_NO_POSITION)
        calls->position = position;
}

static void calls_count(es_calls *calls, uint8_t phase)
{
    es_trace_info *info = &calls->info;
    info->steps++;
    *(phase == ES_PREFILL ? &info->prompt_tokens : &info->decode_tokens) += calls->tokens;
    if (info->steps == 1)
        calls->usual_calls = calls->called;
    else if (calls->called != calls->usual_calls && calls->pruned.pass == 0) {
        calls->pruned.pass = info->steps;
        calls->pruned.record = calls->first_record;
        calls->pruned.calls = calls->called;
    }
}

/* What some passes lack; the last one may have been left out since. */
static void calls_say_uneven(es_calls *calls)
{
    const uint64_t passes = calls->info.steps;
    if (calls->shortened.pass > 0 && calls->shortened.pass <= passes)
        es_assume(&calls->notes, "layers with fewer tokens than those before in their pass, the first in record %llu, are taken as used for its last tokens only",
            (unsigned long long)calls->shortened.record);
    if (calls->pruned.pass > 0 && calls->pruned.pass <= passes)
        es_assume(&calls->notes, "passes are of different layers: that from record %llu on has %u, the first has %u; what is missing is counted as missing",
            (unsigned long long)calls->pruned.record, calls->pruned.calls, calls->usual_calls);
}

es_code es_calls_end(es_calls *calls, uint8_t phase, uint32_t position, es_err *err)
{
    if (calls->mode == ES_CALLS_WIDTH)
        return ES_OK;
    calls_request(calls, phase, position);
    if ((uint64_t)calls->position + calls->tokens > UINT32_MAX - 1)
        return es_bytes_fault(&calls->bytes, calls->first_record, calls->bytes.offset, err, "request %u has more than %u tokens", calls->request, UINT32_MAX - 1);
    if (calls->mode == ES_CALLS_SCAN) {
        calls_count(calls, phase);
    } else {
        if (!calls_grow(&calls->token, &calls->token_room, calls->tokens, sizeof *calls->token))
            return es_err_nomem(err, "a pass");
        for (uint32_t i = 0; i < calls->tokens; i++)
            calls->token[i] = (es_token){ calls->request, calls->position + i, phase };
    }
    calls->position += calls->tokens;
    return calls->mode == ES_CALLS_READ ? calls_rows(calls, err) : ES_OK;
}

es_code es_calls_torn(es_calls *calls, size_t got, size_t want, const char *what, es_err *err)
{
    if (!calls->lenient)
        return es_bytes_fault(&calls->bytes, calls->record, calls->bytes.offset, err, "the file ends with %zu of the %zu bytes of %s; --lenient leaves them out", got, want, what);
    es_assume(&calls->notes, "the file is cut: %zu bytes of record %llu are left out", got, (unsigned long long)calls->record);
    return ES_OK;
}

/* --- opening -------------------------------------------------------------------------------------------------------------------- */

static es_code calls_begin(es_calls *calls, es_calls_mode mode, es_err *err)
{
    es_code code = calls->bytes.offset > 0 || calls->bytes.over ? es_bytes_rewind(&calls->bytes, err) : ES_OK;
    calls->mode = mode;
    calls->record = calls->at = 0;
    calls->request = calls->position = 0;
    calls->begun = calls->generated = false;
    calls->patterns = 0;
    return code ? code : es_bytes_skip(&calls->bytes, calls->form.header, err);
}

/* The next pass at once, when it is as the one before; else nothing is consumed. */
static es_code calls_block(es_calls *calls, bool *done, es_err *err)
{
    const es_calls_form *form = &calls->form;
    const uint32_t k = form->top_k, layers = calls->patterns, cells = layers * k;
    es_calls_block block = { .layer = calls->pattern, .layers = layers, .position = ES_NO_POSITION };
    if (calls->mode == ES_CALLS_READ && layers != calls->info.layers)
        return ES_OK;
    block.bytes = (size_t)layers * (form->call_bytes + (size_t)form->id_bytes * k);
    block.records = form->record_bytes ? (uint32_t)(block.bytes / form->record_bytes) : layers;
    es_code code = es_bytes_peek(&calls->bytes, block.bytes + form->ahead, &block.at, &block.got, err);
    if (code || block.got < block.bytes)
        return code;
    if (!calls_grow(&calls->scratch, &calls->scratch_room, cells + ES_IDS_EIGHT, sizeof *calls->scratch) ||
        (calls->mode == ES_CALLS_READ && !calls_grow(&calls->ids, &calls->cell_room, cells + ES_IDS_EIGHT, sizeof *calls->ids)))
        return es_err_nomem(err, "a pass");
    block.ids = calls->mode == ES_CALLS_READ ? calls->ids : calls->scratch;
    if (!form->block(calls, &block))
        return ES_OK;
    if (block.bits > calls->highest) {          /* else no id is above those before, which were in range */
        const uint16_t highest = es_ids_highest(block.ids, cells);
        if (block.bits > UINT16_MAX || highest >= (form->experts ? form->experts : ES_TRACE_EXPERTS_MAX))
            return ES_OK;
        calls->highest = highest > calls->highest ? highest : calls->highest;
    }
    *done = true;
    calls->tokens = 1;
    calls->called = layers;
    calls->layer = calls->pattern[layers - 1];
    calls->first_record = calls->record;
    if (calls->mode == ES_CALLS_SCAN) {
        calls_note_width(calls, k);
        if (layers > 1)
            calls_note_width(calls, k);
        calls->rows += layers;
        calls->info.accesses += cells;
    } else {
        calls->begin = (es_calls_place){ calls->record, calls->bytes.offset };
        calls->each = (es_calls_place){ block.records / layers, block.bytes / layers };
    }
    es_bytes_take(&calls->bytes, block.bytes);
    calls->record += block.records;
    return es_calls_end(calls, ES_DECODE, block.position, err);
}

static es_code calls_read(es_calls *calls, bool *more, es_err *err)
{
    bool done = false;
    calls->tokens = calls->called = 0;
    *more = true;
    es_code code = calls->patterns > 0 ? calls_block(calls, &done, err) : ES_OK;
    if (code || done)
        return code;
    calls->plain = true;
    calls->patterns = 0;
    calls->each.offset = 0;
    code = calls->form.read(calls, more, err);
    if (!code && *more && calls->form.block && calls->mode != ES_CALLS_WIDTH && calls->plain && calls->tokens == 1)
        calls->patterns = calls->called;
    return code;
}

/* The last pass must go as far as the others did: layers of its tokens would be missing without a word. */
static es_code calls_whole(es_calls *calls, const es_trace_info *before, es_err *err)
{
    const bool early = calls->layer < calls->last_layer;
    if (calls->info.steps == 0 || (!early && !calls->doubtful))
        return ES_OK;
    if (calls->info.steps == 1)
        return es_bytes_fault(&calls->bytes, calls->record, calls->bytes.offset, err, "the file ends in layer %u of its only pass, and nothing tells whether it was cut there", calls->layer);
    if (!calls->lenient && early)
        return es_bytes_fault(&calls->bytes, calls->record, calls->bytes.offset, err, "the file ends behind layer %u of a pass; those before go on to layer %u; --lenient leaves "
            "the pass out", calls->layer, calls->last_layer);
    if (!calls->lenient)
        return es_bytes_fault(&calls->bytes, calls->record, calls->bytes.offset, err, "the file ends in layer %u of a pass, with fewer experts than the layer before it has; "
            "--lenient leaves the pass out", calls->layer);
    es_assume(&calls->notes, "the file is cut: its last pass ends %s layer %u and is left out", early ? "behind" : "in", calls->layer);
    calls->info = *before;
    return ES_OK;
}

static es_code calls_through(es_calls *calls, es_err *err)
{
    struct { es_trace_info info; uint64_t rows; } before[2] = { { calls->info, 0 }, { calls->info, 0 } };   /* the last two passes */
    int pass = 0;
    bool more = true;
    for (;; pass ^= 1) {
        before[pass].info = calls->info;
        before[pass].rows = calls->rows;
        if (calls->called > 0 && calls->layer > calls->last_layer)
            calls->last_layer = calls->layer;
        uint32_t layer = calls->layer;
        es_code code = calls_read(calls, &more, err);
        if (code)
            return code;
        if (!more) {
            calls->layer = layer;
            break;
        }
    }
    uint64_t steps = calls->info.steps;
    es_code code = calls->mode == ES_CALLS_SCAN ? calls_whole(calls, &before[pass ^ 1].info, err) : ES_OK;
    if (calls->info.steps < steps)
        calls->rows = before[pass ^ 1].rows;
    return code;
}

static es_code calls_layers(es_calls *calls, es_arena *arena, es_err *err)
{
    uint32_t *number = ES_NEW_ARRAY(arena, ES_TRACE_LAYERS_MAX, uint32_t);
    if (!number)
        return es_err_nomem(err, "a trace");
    for (uint32_t l = 0; l < ES_TRACE_LAYERS_MAX; l++)
        if (calls->occurs[l]) {
            calls->rank[l] = (uint16_t)calls->info.layers;
            number[calls->info.layers++] = l;
        }
    calls->info.layer_number = number;
    calls->place = ES_NEW_ARRAY(arena, calls->info.layers + 1, es_calls_place);
    return calls->place ? ES_OK : es_err_nomem(err, "a trace");
}

static es_code calls_describe(es_calls *calls, uint32_t layers, es_arena *arena, es_err *err)
{
    es_trace_info *info = &calls->info;
    uint64_t bytes;
    es_code code = calls_layers(calls, arena, err);
    if (code)
        return code;
    if (info->steps == 0)
        return es_err_set(err, ES_EINPUT, "%s: holds no routing", calls->bytes.path);
    if (layers > 0 && info->layers != layers)
        return es_err_set(err, ES_EINPUT, "%s: %u layers occur, not the %u that were asked for", calls->bytes.path, info->layers, layers);
    info->experts = calls->form.experts ? calls->form.experts : (uint32_t)calls->highest + 1;
    info->top_k = calls->form.top_k;
    info->model = "";
    info->missing_cells = (info->prompt_tokens + info->decode_tokens) * info->layers - calls->rows;
    info->counted = true;
    info->has_weights = calls->form.weights;
    if (!calls->form.positions)
        es_assume(&calls->notes, "a layer that does not rise begins a pass; a pass of several tokens is a prompt, and one behind generated tokens begins a request");
    calls_say_uneven(calls);
    if (info->steps == 1)
        es_assume(&calls->notes, "there is one pass only, so nothing shows whether layers are missing at its end");
    if (!calls->form.experts)
        es_assume(&calls->notes, "there are %u experts, the highest id and one", info->experts);
    if (calls->form.weights)
        es_assume(&calls->notes, "ids of a row stand by falling logit");
    else
        es_assume(&calls->notes, "ids of a row are taken as standing in the router's order, the most important first, which the file does not say");
    if (es_bytes_cut(&calls->bytes, &bytes))
        es_assume_cut(&calls->notes, bytes);
    return es_imported_as(info, calls->form.format, calls->sha256, &calls->notes, arena, err);
}

es_code es_calls_open(es_calls *calls, const es_source_ask *ask, es_err *err)
{
    es_code code = es_bytes_open(&calls->bytes, ask->path, err);
    if (!code)
        es_bytes_lenient(&calls->bytes, ask->lenient);
    return code;
}

static es_code calls_shape(const es_calls *calls, es_err *err)
{
    const es_calls_form *form = &calls->form;
    if (calls->mode != ES_CALLS_WIDTH && (form->top_k == 0 || form->top_k > ES_TRACE_TOP_K_MAX))
        return es_err_set(err, ES_EINPUT, "%s: rows of %u experts are not 1 to %d; --top-k says how many there are", calls->bytes.path, form->top_k, ES_TRACE_TOP_K_MAX);
    return ES_OK;
}

/* Once through; the first time the bytes are hashed, and it goes to their end. */
static es_code calls_survey(es_calls *calls, es_calls_mode mode, es_err *err)
{
    bool first = calls->sha256[0] == '\0';
    calls->mode = mode;
    es_code code = calls_shape(calls, err);
    if (!code)
        code = calls_begin(calls, mode, err);
    if (!code)
        code = calls_through(calls, err);
    if (!code && first)
        es_bytes_sha256(&calls->bytes, calls->sha256);
    return code;
}

static uint32_t calls_width(const es_calls *calls)
{
    return calls->shortest ? calls->shortest : calls->held;
}

static void calls_say_width(es_calls *calls)
{
    es_assume(&calls->notes, "a row lists %u experts, as many as the shortest call; --top-k says otherwise", calls->form.top_k);
}

/* As if nothing had been read; `notes` as long as they were. */
static void calls_forget(es_calls *calls, size_t notes)
{
    es_text_cut(&calls->notes, notes);
    memset(calls->occurs, 0, ES_TRACE_LAYERS_MAX);
    calls->info = (es_trace_info){ 0 };
    calls->shortest = calls->held = calls->form.top_k = 0;
    calls->highest = calls->rows = 0;
    calls->last_layer = calls->usual_calls = calls->called = calls->layer = 0;
    calls->pruned.pass = calls->shortened.pass = 0;
    calls->doubtful = false;
}

/* The width of a row from the beginning of the file, and with it all that a survey says; false: the file must be asked as a whole. */
static bool calls_guess(es_calls *calls)
{
    const size_t notes = calls->notes.length;
    es_err err = { 0 };
    bool more = true;
    es_code code = calls_begin(calls, ES_CALLS_WIDTH, &err);
    for (uint32_t passes = 0; !code && more && (passes < CALLS_GUESS_PASSES || calls->bytes.offset < CALLS_GUESS_BYTES); passes++)
        code = calls_read(calls, &more, &err);
    const uint32_t width = calls_width(calls);
    calls_forget(calls, notes);
    if (code || width == 0)
        return false;
    calls->form.top_k = width;
    calls_say_width(calls);
    if (calls_survey(calls, ES_CALLS_SCAN, &err) == ES_OK && calls_width(calls) == width)
        return true;
    calls_forget(calls, notes);
    return false;
}

/* Through the file, so that all is known of it; where nobody says how many experts a row has, the shortest call does. */
static es_code calls_know(es_calls *calls, es_err *err)
{
    if (calls->form.top_k == 0 && !calls->lenient && calls_guess(calls))
        return ES_OK;
    if (calls->form.top_k == 0) {
        es_code code = calls_survey(calls, ES_CALLS_WIDTH, err);
        if (code)
            return code;
        calls->form.top_k = calls_width(calls);
        if (calls->form.top_k == 0)
            return es_err_set(err, ES_EINPUT, "%s: holds no routing", calls->bytes.path);
        calls_say_width(calls);
    }
    return calls_survey(calls, ES_CALLS_SCAN, err);
}

es_code es_calls_scan(es_calls *calls, const es_calls_form *form, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    const es_said said = { .experts = form->experts, .top_k = form->top_k };
    if (es_asked(ask, &said, err))
        return es_err_at(err, "%s: its head", calls->bytes.path), ES_EINPUT;
    calls->form = *form;
    calls->lenient = ask->lenient;
    calls->weighs = form->weights && ask->weights;
    if (calls->form.top_k == 0)
        calls->form.top_k = ask->top_k;
    if (calls->form.experts == 0)
        calls->form.experts = ask->experts;
    if (calls->form.layers > ES_TRACE_LAYERS_MAX || calls->form.experts > ES_TRACE_EXPERTS_MAX)
        return es_err_set(err, ES_EINPUT, "%s: %u layers of %u experts are more than %d of %d, the most", calls->bytes.path, calls->form.layers, calls->form.experts, ES_TRACE_LAYERS_MAX,
            ES_TRACE_EXPERTS_MAX);
    calls->occurs = ES_NEW_ARRAY(arena, ES_TRACE_LAYERS_MAX, uint8_t);
    calls->rank = ES_NEW_ARRAY(arena, ES_TRACE_LAYERS_MAX, uint16_t);
    calls->twice = ES_NEW(arena, es_ids_twice);
    calls->pattern = ES_NEW_ARRAY(arena, ES_TRACE_LAYERS_MAX, uint16_t);
    if (!calls->occurs || !calls->rank || !calls->twice || !calls->pattern)
        return es_err_nomem(err, "a trace");
    es_code code = calls_know(calls, err);
    if (!code)
        code = calls_describe(calls, ask->layers, arena, err);
    if (code)
        return code;
    es_ids_twice_init(calls->twice, calls->form.top_k);
    return es_calls_rewind(calls, err);
}

/* --- the source ----------------------------------------------------------------------------------------------------------------- */

const es_trace_info *es_calls_info(void *self)
{
    return &((es_calls *)self)->info;
}

es_code es_calls_next(void *self, es_step *step, bool *more, es_err *err)
{
    es_calls *calls = self;
    *step = (es_step){ 0 };
    *more = calls->at < calls->info.steps;
    if (!*more)
        return ES_OK;
    es_code code = calls_read(calls, more, err);
    if (!code && !*more)
        code = es_err_set(err, ES_EINPUT, "%s: became shorter while it was read", calls->bytes.path);
    if (code)
        return code;
    calls->at++;
    step->tokens = calls->tokens;
    step->token = calls->token;
    step->ids = calls->ids;
    step->weights = calls->weighs ? calls->weights : NULL;
    step->record = calls->first_record;
    return ES_OK;
}

es_code es_calls_rewind(void *self, es_err *err)
{
    return calls_begin(self, ES_CALLS_READ, err);
}

void es_calls_fini(void *self)
{
    es_calls *calls = self;
    es_bytes_close(&calls->bytes);
    es_text_free(&calls->notes);
    free(calls->ids);
    free(calls->scratch);
    free(calls->weights);
    free(calls->token);
}
