/* routed_experts: what servers answer when they are asked for their routing, as JSON or JSONL, one answer or a list of them.
 *
 *     vLLM       {"choices": [{"routed_experts": [token][layer][rank]}], "prompt_routed_experts": [token][layer][rank], "usage": {...}}
 *                (from v0.21; before it, and offline in "outputs", routed_experts has the prompt too)
 *     SGLang     {"meta_info": {"prompt_tokens": 6, "completion_tokens": 7, "routed_experts": "base64"}}, or in "sglext"
 *     LightLLM   {"routed_experts": {"data": "base64", "shape": [tokens, layers, rank], "dtype": "int32"}}
 *
 * base64 is of little-endian int32, [token][layer][rank]; where no shape is given, it needs --layers or --top-k and the counts of
 * tokens, or both. Every choice of an answer is a request. The last token that was sampled is never routed, so a request has prompt +
 * generated - 1 rows; fewer begin later (routed_experts_start_len). -1 is no expert. SGLang counts all layers of a model: one whose
 * rows all list one expert over and over has none, and is left out. There are no weights. An answer is held until it is read. */
#include "traces/json_hold.h"

#include <stdlib.h>
#include <string.h>

typedef struct routed_experts { es_row_stream *stream; } routed_experts;

enum { ROUTED_UNKNOWN = UINT32_MAX, ROUTED_CHOICES = 4096 };

typedef struct routed_choice {
    es_json_hold hold;
    bool flat;                          /* numbers without a shape so far */
    uint32_t tokens, layers, top_k;     /* the shape, where it is given */
    uint32_t prompt, completion;        /* tokens, or ROUTED_UNKNOWN */
} routed_choice;

typedef struct routed_walker {
    es_json_import *in;
    routed_choice *choice;              /* [room], of the answer at hand; the first is the answer's own */
    uint32_t choices, room;
    es_json_hold prompt;                /* prompt_routed_experts */
    uint8_t *dense;                     /* [layers] without experts; NULL: not looked for yet */
    uint32_t layers, top_k;             /* of all answers */
    uint64_t later, cached, empty;      /* requests whose rows, and prompts, begin later; answers without routing */
} routed_walker;

static const char *const routed_names[] = { "routed_experts", "prompt_routed_experts", "prompt_tokens", "completion_tokens", "prompt_token_ids", "choices", "outputs",
    "meta_info", "sglext", "usage", "model", NULL };
enum { ROUTED_EXPERTS, ROUTED_PROMPT, ROUTED_PROMPT_TOKENS, ROUTED_COMPLETION_TOKENS, ROUTED_PROMPT_IDS, ROUTED_CHOICE_LIST, ROUTED_OUTPUTS, ROUTED_META, ROUTED_EXT,
    ROUTED_USAGE, ROUTED_MODEL };

/* --- base64 --------------------------------------------------------------------------------------------------------------------- */

enum { ROUTED_NO_DIGIT = 64 };

typedef struct routed_base64 {
    uint8_t digit[256];                 /* of a character, ROUTED_NO_DIGIT where it is none */
    uint32_t bits, held, padding, word, bytes;
    uint64_t at;                        /* characters read */
} routed_base64;

/* Both alphabets of RFC 4648. */
static void routed_base64_begin(routed_base64 *state)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    *state = (routed_base64){ .bits = 0 };
    memset(state->digit, ROUTED_NO_DIGIT, sizeof state->digit);
    for (uint8_t i = 0; i < 64; i++)
        state->digit[(unsigned char)alphabet[i]] = i;
    state->digit['-'] = 62;
    state->digit['_'] = 63;
}

/* An int32 of the text. */
static bool routed_number(es_json_import *in, es_json_hold *hold, uint32_t id)
{
    if (id != UINT32_MAX && id >= ES_NO_EXPERT)
        return es_json_scan_fault(in->scan, "number %llu of the base64 text is %d, needs an expert from 0 to 65534 (or -1)", (unsigned long long)hold->held, (int32_t)id);
    return es_json_hold_id(in, hold, id == UINT32_MAX ? ES_NO_EXPERT : (uint16_t)id);
}

/* A byte of the int32 that is being put together. */
static bool routed_byte(es_json_import *in, es_json_hold *hold, routed_base64 *state, uint32_t byte)
{
    state->word |= byte << (8 * state->bytes);
    if (++state->bytes < 4)
        return true;
    uint32_t id = state->word;
    state->word = state->bytes = 0;
    return routed_number(in, hold, id);
}

/* Sixteen characters, three numbers: false where the slow way must look at them. */
static bool routed_three(es_json_import *in, es_json_hold *hold, const routed_base64 *state, const unsigned char *text)
{
    uint32_t group[4], wrong = 0;
    for (int i = 0; i < 4; i++, text += 4) {
        const uint32_t a = state->digit[text[0]], b = state->digit[text[1]], c = state->digit[text[2]], d = state->digit[text[3]];
        wrong |= a | b | c | d;
        group[i] = __builtin_bswap32(a << 26 | b << 20 | c << 14 | d << 8);     /* three bytes, the first lowest */
    }
    const uint32_t id[3] = { group[0] | group[1] << 24, group[1] >> 8 | group[2] << 16, group[2] >> 16 | group[3] << 8 };
    if (wrong >= ROUTED_NO_DIGIT || id[0] >= ES_NO_EXPERT || id[1] >= ES_NO_EXPERT || id[2] >= ES_NO_EXPERT)
        return false;
    for (int i = 0; i < 3; i++)
        if (!es_json_hold_id(in, hold, (uint16_t)id[i]))
            return false;
    return true;
}

static bool routed_decode(es_json_import *in, es_json_hold *hold, routed_base64 *state, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++, state->at++) {
        while (state->held == 0 && state->bytes == 0 && state->padding == 0 && length - i > 16 && routed_three(in, hold, state, (const unsigned char *)text + i)) {
            i += 16;
            state->at += 16;
        }
        const uint32_t digit = state->digit[(unsigned char)text[i]];
        if (text[i] == '=' && state->padding < 2) {
            state->padding++;
            continue;
        }
        if (digit == ROUTED_NO_DIGIT || state->padding > 0)
            return es_json_scan_fault(in->scan, "character %llu of the text, with code %u, is not base64", (unsigned long long)state->at + 1, (unsigned char)text[i]);
        state->bits = state->bits << 6 | digit;
        state->held += 6;
        if (state->held >= 8) {
            state->held -= 8;
            if (!routed_byte(in, hold, state, state->bits >> state->held & 0xff))
                return false;
        }
    }
    return true;
}

static bool routed_text(es_json_import *in, routed_choice *choice)
{
    routed_base64 state;
    const char *piece;
    size_t length;
    routed_base64_begin(&state);
    choice->flat = true;
    for (bool first = true;; first = false) {
        if (!es_json_scan_piece(in->scan, first, &piece, &length))
            return false;
        if (length == 0)
            break;
        if (!routed_decode(in, &choice->hold, &state, piece, length))
            return false;
    }
    return state.bytes == 0 || es_json_scan_fault(in->scan, "the base64 text ends inside an int32: it has %llu bytes", (unsigned long long)(4 * choice->hold.held + state.bytes));
}

/* --- one answer ----------------------------------------------------------------------------------------------------------------- */

/* {"data", "shape", "dtype"} */
static bool routed_object(es_json_import *in, routed_choice *choice)
{
    static const char *const names[] = { "data", "shape", "dtype", NULL }, *const types[] = { "int32", "<i4", "torch.int32", NULL };
    uint32_t *const shape[] = { &choice->tokens, &choice->layers, &choice->top_k };
    uint32_t got = 0, n = 0;
    if (!es_json_scan_object(in->scan))
        return false;
    for (int key; (key = es_json_scan_key(in->scan, names)) >= 0; got |= 1u << key) {
        if (key == 0)
            routed_text(in, choice);
        else if (key == 2)
            es_json_import_word(in, types);
        else if (es_json_scan_array(in->scan))
            for (; es_json_scan_item(in->scan); n++)
                if (n == 3 ? !es_json_scan_fault(in->scan, "has more than three numbers, needs tokens, layers and rank") : !es_json_scan_u32(in->scan, shape[n]))
                    return false;
    }
    if (!es_json_import_need(in, got, 3, names))
        return false;
    return n == 3 || es_json_scan_fault(in->scan, "shape has %u numbers, needs tokens, layers and rank", n);
}

static bool routed_rows(es_json_import *in, routed_choice *choice)
{
    char c = es_json_scan_peek(in->scan);
    if (choice->flat || choice->hold.tokens > 0)
        return es_json_scan_fault(in->scan, "the routing of this request is there twice");
    if (c == '"')
        return routed_text(in, choice);
    return c == '{' ? routed_object(in, choice) : es_json_hold_tokens(in, &choice->hold);
}

/* How many ids a list has; they are those of tokens, not of experts. */
static bool routed_count(es_json_import *in, uint32_t *count)
{
    *count = 0;
    if (!es_json_scan_array(in->scan))
        return false;
    for (; es_json_scan_item(in->scan); ++*count)
        if (!es_json_scan_skip(in->scan))
            return false;
    return !es_json_scan_failed(in->scan);
}

static bool routed_choose(routed_walker *walker, uint32_t *which)
{
    es_json_import *in = walker->in;
    if (walker->choices == ROUTED_CHOICES)
        return es_json_scan_fault(in->scan, "an answer has more than %d choices", ROUTED_CHOICES);
    if (walker->choices == walker->room) {
        const uint32_t room = walker->room ? 2 * walker->room : 4;
        if (!ES_TRACE_RESIZE(walker->choice, room, 1))
            return es_json_scan_nomem(in->scan, "the choices of an answer");
        memset(walker->choice + walker->room, 0, (room - walker->room) * sizeof *walker->choice);
        walker->room = room;
    }
    *which = walker->choices++;
    routed_choice *choice = &walker->choice[*which];
    es_json_hold_clear(&choice->hold);
    *choice = (routed_choice){ .hold = choice->hold, .prompt = ROUTED_UNKNOWN, .completion = ROUTED_UNKNOWN };
    return true;
}

static bool routed_object_of(routed_walker *walker, uint32_t which);

static bool routed_list(routed_walker *walker)
{
    uint32_t which;
    if (!es_json_scan_array(walker->in->scan))
        return false;
    while (es_json_scan_item(walker->in->scan))
        if (!routed_choose(walker, &which) || !routed_object_of(walker, which))
            return false;
    return !es_json_scan_failed(walker->in->scan);
}

static bool routed_key(routed_walker *walker, uint32_t which, int key)
{
    es_json_import *in = walker->in;
    if (es_json_scan_null(in->scan))
        return true;
    switch (key) {
    case ROUTED_EXPERTS:
        return routed_rows(in, &walker->choice[which]);
    case ROUTED_PROMPT:
        return walker->prompt.tokens > 0 ? es_json_scan_fault(in->scan, "the routing of this prompt is there twice") : es_json_hold_tokens(in, &walker->prompt);
    case ROUTED_PROMPT_TOKENS:
        return es_json_scan_u32(in->scan, &walker->choice[which].prompt);
    case ROUTED_COMPLETION_TOKENS:
        return es_json_scan_u32(in->scan, &walker->choice[which].completion);
    case ROUTED_PROMPT_IDS:
        return routed_count(in, &walker->choice[which].prompt);
    case ROUTED_CHOICE_LIST:
    case ROUTED_OUTPUTS:
        return routed_list(walker);
    case ROUTED_MODEL:
        return es_json_import_model(in);
    default:
        return routed_object_of(walker, which);
    }
}

/* An object whose keys are about a choice: the choice itself, or one of the objects that engines put such keys into. */
static bool routed_object_of(routed_walker *walker, uint32_t which)
{
    if (!es_json_scan_object(walker->in->scan))
        return false;
    for (int key; (key = es_json_scan_key(walker->in->scan, routed_names)) >= 0;)
        if (!routed_key(walker, which, key))
            return false;
    return !es_json_scan_failed(walker->in->scan);
}

/* --- shapes --------------------------------------------------------------------------------------------------------------------- */

/* Tokens, layers and rank of numbers that came without, from what is known of them. */
static bool routed_shape(routed_walker *walker, routed_choice *choice)
{
    es_json_import *in = walker->in;
    const uint64_t held = choice->hold.held;
    const bool counted = choice->prompt != ROUTED_UNKNOWN && choice->completion != ROUTED_UNKNOWN && choice->prompt + (uint64_t)choice->completion > 1;
    const uint64_t tokens = choice->tokens ? choice->tokens : counted ? (uint64_t)choice->prompt + choice->completion - 1 : 0;
    uint64_t layers = choice->layers ? choice->layers : in->ask->layers ? in->ask->layers : walker->layers;
    uint64_t top_k = choice->top_k ? choice->top_k : in->ask->top_k ? in->ask->top_k : walker->top_k;
    if (layers == 0 && top_k > 0 && tokens > 0)
        layers = held / tokens / top_k;
    if (top_k == 0 && layers > 0 && tokens > 0)
        top_k = held / tokens / layers;
    if ((layers == 0 || top_k == 0) && (in->ask->layers == 0 || in->ask->top_k == 0))
        return es_json_scan_fault(in->scan, "%llu numbers without a shape: how many layers and experts per token they are of must be given as --layers and --top-k", (unsigned long long)held);
    if (choice->tokens > 0 && held != tokens * layers * top_k)
        return es_json_scan_fault(in->scan, "the shape is of %llu numbers, there are %llu", (unsigned long long)(tokens * layers * top_k), (unsigned long long)held);
    if (layers == 0 || top_k == 0 || layers > ES_TRACE_LAYERS_MAX || top_k > ES_TRACE_TOP_K_MAX || held % (layers * top_k) != 0)
        return es_json_scan_fault(in->scan, "%llu numbers are no whole tokens of %llu layers with %llu experts each", (unsigned long long)held, (unsigned long long)layers,
            (unsigned long long)top_k);
    choice->hold.tokens = (uint32_t)(held / (layers * top_k));
    choice->hold.layers = (uint32_t)layers;
    choice->hold.top_k = (uint32_t)top_k;
    return true;
}

/* Does a row list one expert, or none, all over? Then there is no router. */
static bool routed_same(const uint16_t *ids, uint32_t top_k)
{
    for (uint32_t i = 1; i < top_k; i++)
        if (ids[i] != ids[0])
            return false;
    return top_k > 1 || ids[0] == ES_NO_EXPERT;
}

/* Layers that route nothing in the first answer with a shape: the model's dense ones. */
static bool routed_dense(routed_walker *walker, const es_json_hold *hold)
{
    uint32_t dense = 0;
    walker->dense = calloc(hold->layers, 1);
    if (!walker->dense)
        return es_json_scan_nomem(walker->in->scan, "a trace");
    for (uint32_t layer = 0; layer < hold->layers; layer++) {
        bool same = true;
        for (uint32_t token = 0; token < hold->tokens && same; token++)
            same = routed_same(hold->ids + ((uint64_t)token * hold->layers + layer) * hold->top_k, hold->top_k);
        walker->dense[layer] = same;
        dense += same;
    }
    if (dense == hold->layers)
        memset(walker->dense, 0, hold->layers);     /* not a model: the rows' own faults say more */
    else if (dense > 0)
        es_assume(&walker->in->notes, "%u of %u layers list one expert all over, or none: they were taken as layers without experts and left out", dense, hold->layers);
    return true;
}

static bool routed_agree(routed_walker *walker, es_json_hold *hold)
{
    es_json_import *in = walker->in;
    if (walker->layers > 0 && (hold->layers != walker->layers || hold->top_k != walker->top_k))
        return es_json_scan_fault(in->scan, "tokens of %u layers with %u experts each, after such of %u layers with %u", hold->layers, hold->top_k, walker->layers, walker->top_k);
    if (!walker->dense && !routed_dense(walker, hold))
        return false;
    walker->layers = hold->layers;
    walker->top_k = hold->top_k;
    hold->skip = walker->dense;
    return true;
}

/* --- giving an answer ----------------------------------------------------------------------------------------------------------- */

static bool routed_give(routed_walker *walker, uint8_t phase, const es_json_hold *hold, uint32_t first, uint32_t end, uint32_t position)
{
    walker->in->row.phase = phase;
    return es_json_hold_give(walker->in, hold, first, end, position);
}

/* A request whose rows are of its prompt and of what was generated, as far as they reach back. */
static bool routed_both(routed_walker *walker, const routed_choice *choice)
{
    es_json_import *in = walker->in;
    const uint32_t rows = choice->hold.tokens, prompt = choice->prompt;
    uint32_t start = 0;
    if (prompt == ROUTED_UNKNOWN) {
        es_assume(&in->notes, "answers do not say how long their prompts are: every token was taken as generated");
        return routed_give(walker, ES_DECODE, &choice->hold, 0, rows, 0);
    }
    if (choice->completion != ROUTED_UNKNOWN && walker->choices <= 2) {
        const uint64_t all = (uint64_t)prompt + choice->completion;
        if (rows > all)
            return es_json_scan_fault(in->scan, "has %u rows, but %u prompt and %u generated tokens", rows, prompt, choice->completion);
        start = rows + 1 >= all ? 0 : (uint32_t)(all - 1 - rows);
        if (rows < prompt && (rows == choice->completion || rows + 1 == choice->completion))
            start = prompt;
    } else if (rows < prompt) {
        start = prompt;
    }
    walker->later += start > 0;
    const uint32_t before = start < prompt ? prompt - start : 0, split = before < rows ? before : rows;
    return routed_give(walker, ES_PREFILL, &choice->hold, 0, split, start) && routed_give(walker, ES_DECODE, &choice->hold, split, rows, start + split);
}

/* A request whose prompt's rows stand apart; they belong to the first choice. */
static bool routed_apart(routed_walker *walker, const routed_choice *choice, bool first)
{
    es_json_import *in = walker->in;
    const uint32_t rows = walker->prompt.tokens, prompt = choice->prompt == ROUTED_UNKNOWN ? rows : choice->prompt;
    if (rows > prompt)
        return es_json_scan_fault(in->scan, "prompt_routed_experts has %u rows, but the prompt has %u tokens", rows, prompt);
    walker->cached += rows < prompt;
    if (first && !routed_give(walker, ES_PREFILL, &walker->prompt, 0, rows, prompt - rows))
        return false;
    return routed_give(walker, ES_DECODE, &choice->hold, 0, choice->hold.tokens, prompt);
}

static bool routed_answer(routed_walker *walker)
{
    es_json_import *in = walker->in;
    uint32_t given = 0;
    if (walker->prompt.tokens > 0 && !routed_agree(walker, &walker->prompt))
        return false;
    for (uint32_t i = 0; i < walker->choices; i++) {
        routed_choice *choice = &walker->choice[i];
        if (choice->prompt == ROUTED_UNKNOWN)           /* said once, for all choices */
            choice->prompt = walker->choice[0].prompt;
        if (choice->completion == ROUTED_UNKNOWN)
            choice->completion = walker->choice[0].completion;
        if (choice->flat && !routed_shape(walker, choice))
            return false;
        if (choice->hold.tokens == 0)
            continue;
        if (!routed_agree(walker, &choice->hold) || !(walker->prompt.tokens > 0 ? routed_apart(walker, choice, given == 0) : routed_both(walker, choice)))
            return false;
        given++;
        in->row.request++;
    }
    if (given == 0 && walker->prompt.tokens > 0) {
        in->row.request++;
        return routed_give(walker, ES_PREFILL, &walker->prompt, 0, walker->prompt.tokens, 0);
    }
    walker->empty += given == 0;
    return true;
}

static bool routed_one(routed_walker *walker)
{
    uint32_t which;
    walker->choices = 0;
    es_json_hold_clear(&walker->prompt);
    return routed_choose(walker, &which) && routed_object_of(walker, which) && routed_answer(walker);
}

static void routed_notes(const routed_walker *walker)
{
    es_text *notes = &walker->in->notes;
    if (walker->later > 0)
        es_assume(notes, "%llu requests have fewer rows than tokens; they were taken as those of the last ones", (unsigned long long)walker->later);
    if (walker->cached > 0)
        es_assume(notes, "%llu prompts have fewer rows than tokens: their beginning was cached and is missing", (unsigned long long)walker->cached);
    if (walker->empty > 0)
        es_assume(notes, "%llu answers without routed_experts were left out", (unsigned long long)walker->empty);
}

static void routed_walk(es_json_import *in)
{
    routed_walker walker = { .in = in };
    bool good = true;
    in->may_lack = true;                /* rows of -1 are padding */
    in->layers = 0;                     /* --layers counts those without experts */
    es_assume(&in->notes, "every choice of an answer was taken as a request, its prompt as one step");
    es_assume(&in->notes, "layers are numbered as they stand, from 0; ids are those before any balancing of experts over devices");
    while (good && es_json_scan_more(in->scan)) {
        if (es_json_scan_peek(in->scan) != '[') {
            good = routed_one(&walker);
        } else if ((good = es_json_scan_array(in->scan)) == true) {
            while (good && es_json_scan_item(in->scan))
                good = routed_one(&walker);
        }
    }
    routed_notes(&walker);
    for (uint32_t i = 0; i < walker.room; i++)
        es_json_hold_free(&walker.choice[i].hold);
    free(walker.choice);
    free(walker.dense);
    es_json_hold_free(&walker.prompt);
}

static es_code routed_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "routed_experts", .rules = { .unit = "row" }, .walk = routed_walk };
    return es_json_import_open(&((routed_experts *)self)->stream, &format, ask, arena, err);
}

/* The text of an answer may stand before its routing and be longer than what is looked at. */
static int routed_sniff(const unsigned char *head, size_t length)
{
    static const char *const keys[][4] = { { "routed_experts" }, { "prompt_routed_experts" }, { "meta_info" }, { "sglext" }, { "choices", "object" }, { "text", "output_ids" } };
    static const int score[] = { 90, 90, 40, 40, 30, 20 };
    int most = 0;
    for (size_t i = 0; i < sizeof score / sizeof *score; i++)
        if (es_json_import_sniff(head, length, 1, keys[i]) && score[i] > most)
            most = score[i];
    return most;
}

const es_source es_source_routed_experts = {
    .part = { .abi = ES_ABI, .name = "routed_experts", .brief = "Answers of vLLM, SGLang and LightLLM servers with routed_experts, as lists or base64.",
              .size = sizeof(routed_experts), .fini = es_stream_fini },
    .sniff = routed_sniff,
    .open = routed_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "layer numbers, how many experts there are, weights; in base64 the shape (--layers, --top-k), and without usage the phases",
};
