/* routed_experts: what servers answer when they are asked for their routing, as JSON or JSONL, one answer or a list of them.
 *
 *     vLLM       {"choices": [{"routed_experts": ARRAY}], "prompt_routed_experts": ARRAY, "usage": {...}}
 *                (where prompt_routed_experts is absent, as before v0.21, offline in "outputs" and in base64, routed_experts has the prompt too)
 *     SGLang     {"meta_info": {"prompt_tokens": 6, "completion_tokens": 7, "routed_experts": ARRAY}}, or in "sglext"
 *     LightLLM, Dynamo   {"routed_experts": ARRAY}
 *
 * ARRAY is [token][layer][rank], as lists or in base64 (routed_array.h); where that has no shape, it needs --layers or --top-k and the
 * counts of tokens, or both. Every choice of an answer is a request. The last token that was sampled is never routed, so a request has
 * prompt + generated - 1 rows; fewer begin later (routed_experts_start_len). -1 is no expert. SGLang counts all layers of a model: one
 * whose rows all list one expert over and over has none, and is left out. There are no weights. An answer is held until it is read. */
#include "traces/routed_array.h"

#include <stdlib.h>
#include <string.h>

typedef struct routed_experts { es_row_stream *stream; } routed_experts;

enum { ROUTED_UNKNOWN = UINT32_MAX, ROUTED_CHOICES = 4096 };

typedef struct routed_choice {
    es_routed_array array;
    uint32_t prompt, completion;        /* tokens, or ROUTED_UNKNOWN */
} routed_choice;

typedef struct routed_walker {
    es_json_import *in;
    routed_choice *choice;              /* [room], of the answer at hand; the first is the answer's own */
    uint32_t choices, room;
    es_routed_array prompt;             /* prompt_routed_experts */
    uint8_t *dense;                     /* [layers] without experts; NULL: not looked for yet */
    uint32_t layers, top_k;             /* of all answers */
    uint64_t later, cached, empty;      /* requests whose rows, and prompts, begin later; answers without routing */
} routed_walker;

static const char *const routed_names[] = { "routed_experts", "prompt_routed_experts", "prompt_tokens", "completion_tokens", "prompt_token_ids", "choices", "outputs",
    "meta_info", "sglext", "usage", "model", NULL };
enum { ROUTED_EXPERTS, ROUTED_PROMPT, ROUTED_PROMPT_TOKENS, ROUTED_COMPLETION_TOKENS, ROUTED_PROMPT_IDS, ROUTED_CHOICE_LIST, ROUTED_OUTPUTS, ROUTED_META, ROUTED_EXT,
    ROUTED_USAGE, ROUTED_MODEL };

/* --- one answer ----------------------------------------------------------------------------------------------------------------- */

static bool routed_rows(es_json_import *in, es_routed_array *array, const char *whose)
{
    if (es_routed_array_any(array))
        return es_json_scan_fault(in->scan, "the routing of this %s is there twice", whose);
    return es_routed_array_read(in, array);
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
    es_routed_array_clear(&choice->array);
    choice->prompt = choice->completion = ROUTED_UNKNOWN;
    return true;
}

static bool routed_object_of(routed_walker *walker, uint32_t which);

static bool routed_list(routed_walker *walker)
{
    uint32_t which = 0;
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
        return routed_rows(in, &walker->choice[which].array, "request");
    case ROUTED_PROMPT:
        return routed_rows(in, &walker->prompt, "prompt");
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

/* Tokens, layers and rank of numbers that came without, from what is known of them. `tokens`: rows that are expected, 0: not known. */
static bool routed_shape(const routed_walker *walker, es_routed_array *array, uint64_t tokens)
{
    const es_source_ask *ask = walker->in->ask;
    return es_routed_array_shape(walker->in, array, tokens, ask->layers ? ask->layers : walker->layers, ask->top_k ? ask->top_k : walker->top_k);
}

static uint64_t routed_expected(const routed_choice *choice)
{
    const bool counted = choice->prompt != ROUTED_UNKNOWN && choice->completion != ROUTED_UNKNOWN && choice->prompt + (uint64_t)choice->completion > 1;
    return counted ? (uint64_t)choice->prompt + choice->completion - 1 : 0;
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
    const es_json_hold *hold = &choice->array.hold;
    const uint32_t rows = hold->tokens, prompt = choice->prompt;
    uint32_t start = choice->array.start;
    if (prompt == ROUTED_UNKNOWN) {
        es_assume(&in->notes, "answers do not say how long their prompts are: every token was taken as generated");
        return routed_give(walker, ES_DECODE, hold, 0, rows, start);
    }
    if (start > 0) {
        if (rows > UINT32_MAX - 1 - start)
            return es_json_scan_fault(in->scan, "%u rows from %u on are beyond the last position", rows, start);
    } else if (choice->completion != ROUTED_UNKNOWN && walker->choices <= 2) {
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
    return routed_give(walker, ES_PREFILL, hold, 0, split, start) && routed_give(walker, ES_DECODE, hold, split, rows, start + split);
}

/* A request whose prompt's rows stand apart; they belong to the first choice. */
static bool routed_apart(routed_walker *walker, const routed_choice *choice, bool first)
{
    es_json_import *in = walker->in;
    const uint32_t rows = walker->prompt.hold.tokens, prompt = choice->prompt == ROUTED_UNKNOWN ? rows : choice->prompt;
    if (rows > prompt)
        return es_json_scan_fault(in->scan, "prompt_routed_experts has %u rows, but the prompt has %u tokens", rows, prompt);
    walker->cached += rows < prompt;
    if (first && !routed_give(walker, ES_PREFILL, &walker->prompt.hold, 0, rows, prompt - rows))
        return false;
    return routed_give(walker, ES_DECODE, &choice->array.hold, 0, choice->array.hold.tokens, prompt);
}

/* What is said once, for all choices. */
static void routed_common(const routed_walker *walker, routed_choice *choice)
{
    if (choice->prompt == ROUTED_UNKNOWN)
        choice->prompt = walker->choice[0].prompt;
    if (choice->completion == ROUTED_UNKNOWN)
        choice->completion = walker->choice[0].completion;
}

static bool routed_prompt(routed_walker *walker)
{
    const uint32_t prompt = walker->choice[0].prompt;
    if (!es_routed_array_any(&walker->prompt))
        return true;
    return routed_shape(walker, &walker->prompt, prompt == ROUTED_UNKNOWN ? 0 : prompt) && (walker->prompt.hold.tokens == 0 || routed_agree(walker, &walker->prompt.hold));
}

static bool routed_answer(routed_walker *walker)
{
    es_json_import *in = walker->in;
    uint32_t given = 0;
    if (!routed_prompt(walker))
        return false;
    const bool apart = walker->prompt.hold.tokens > 0;
    for (uint32_t i = 0; i < walker->choices; i++) {
        routed_choice *choice = &walker->choice[i];
        routed_common(walker, choice);
        if (!routed_shape(walker, &choice->array, apart ? 0 : routed_expected(choice)))
            return false;
        if (choice->array.hold.tokens == 0)
            continue;
        if (!routed_agree(walker, &choice->array.hold) || !(apart ? routed_apart(walker, choice, given == 0) : routed_both(walker, choice)))
            return false;
        given++;
        in->row.request++;
    }
    if (given == 0 && apart) {
        in->row.request++;
        return routed_give(walker, ES_PREFILL, &walker->prompt.hold, 0, walker->prompt.hold.tokens, 0);
    }
    walker->empty += given == 0;
    return true;
}

static bool routed_one(routed_walker *walker)
{
    uint32_t which = 0;
    walker->choices = 0;
    es_routed_array_clear(&walker->prompt);
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
    in->may_lack = in->any_count = true;    /* -1 is padding; lists are held against each other as they are read */
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
        es_routed_array_free(&walker.choice[i].array);
    free(walker.choice);
    free(walker.dense);
    es_routed_array_free(&walker.prompt);
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
