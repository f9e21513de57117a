/* Lives: see lives.h. Ids are looked up in a hash table that forgets none, so that a message can say where a buffer was released; lives
 * that end by themselves wait in a heap by (step, order of asking). */
#include "traces/lives.h"

#include <stdlib.h>

#include "traces/trace.h"

#define LIVES_NONE UINT32_MAX

typedef struct lives_buffer {   /* one id */
    uint64_t id;
    uint64_t turn;              /* number of its last request; an end that waits for another one is void */
    uint64_t record, released;  /* lines */
    int64_t bytes;
    uint32_t slot;
    uint32_t waiting, last;     /* ids that end when this one is asked for, in order; LIVES_NONE: none */
    uint32_t next;              /* in such a list */
    uint32_t until;             /* the one that it waits for */
    bool known, lives;          /* was asked for; has not ended */
} lives_buffer;

typedef struct lives_end {
    uint64_t step, turn;
    uint32_t buffer;
} lives_end;

struct es_lives {
    bool again;
    es_trace_info info;
    es_buffer_op *op;
    uint64_t ops, op_room;
    uint64_t *step_end;
    uint32_t *step_tokens;
    uint64_t steps, step_room;
    lives_buffer *buffer;
    uint64_t buffers, buffer_room;
    uint32_t *hash;             /* [hashes] place in buffer + 1 */
    uint64_t hashes;
    lives_end *end;             /* [ends] earliest first: a binary heap */
    uint64_t ends, end_room;
    uint32_t *vacant;           /* slots */
    uint64_t vacants, vacant_room;
    uint64_t turns;
};

/* ---- memory ---- */

es_code es_lives_new(es_lives **out, bool again, es_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return es_err_nomem(err, "a trace");
    (*out)->again = again;
    return ES_OK;
}

void es_lives_free(es_lives *lives)
{
    if (!lives)
        return;
    free(lives->op);
    free(lives->step_end);
    free(lives->step_tokens);
    free(lives->buffer);
    free(lives->hash);
    free(lives->end);
    free(lives->vacant);
    free(lives);
}

/* Room for one more in an array that doubles. */
#define LIVES_ROOM(array, count, room) ((count) < (room) || (ES_TRACE_RESIZE(array, (room) ? 2 * (room) : 64, 1) && ((room) = (room) ? 2 * (room) : 64)))

static uint64_t lives_place(const es_lives *lives, uint64_t id)
{
    uint64_t at = es_mix(id) & (lives->hashes - 1);
    while (lives->hash[at] && lives->buffer[lives->hash[at] - 1].id != id)
        at = (at + 1) & (lives->hashes - 1);
    return at;
}

static bool lives_rehash(es_lives *lives)
{
    if (lives->hashes > 2 * lives->buffers)
        return true;
    const uint64_t hashes = lives->hashes ? 2 * lives->hashes : 1024;
    uint32_t *hash = calloc(hashes, sizeof *hash);
    if (!hash)
        return false;
    free(lives->hash);
    lives->hash = hash;
    lives->hashes = hashes;
    for (uint64_t i = 0; i < lives->buffers; i++)
        hash[lives_place(lives, lives->buffer[i].id)] = (uint32_t)i + 1;
    return true;
}

/* The entry of an id, made when it is met for the first time. */
static es_code lives_find(es_lives *lives, uint64_t id, uint32_t *found, es_err *err)
{
    if (!lives_rehash(lives) || !LIVES_ROOM(lives->buffer, lives->buffers, lives->buffer_room) || lives->buffers >= LIVES_NONE - 1)
        return es_err_nomem(err, "the buffers of a trace");
    uint32_t *place = &lives->hash[lives_place(lives, id)];
    if (!*place) {
        lives->buffer[lives->buffers] = (lives_buffer){.id = id, .waiting = LIVES_NONE, .last = LIVES_NONE, .next = LIVES_NONE, .until = LIVES_NONE};
        *place = (uint32_t)++lives->buffers;
    }
    *found = *place - 1;
    return ES_OK;
}

static es_code lives_add(es_lives *lives, es_buffer_kind kind, const lives_buffer *b, es_err *err)
{
    if (!LIVES_ROOM(lives->op, lives->ops, lives->op_room))
        return es_err_nomem(err, "a trace");
    lives->op[lives->ops++] = (es_buffer_op){.kind = (uint8_t)kind, .slot = b->slot, .id = b->id, .bytes = b->bytes, .record = b->record};
    return ES_OK;
}

/* ---- ends ---- */

static bool lives_sooner(const lives_end *a, const lives_end *b)
{
    return a->step != b->step ? a->step < b->step : a->turn < b->turn;
}

static es_code lives_wait(es_lives *lives, lives_end end, es_err *err)
{
    if (!LIVES_ROOM(lives->end, lives->ends, lives->end_room))
        return es_err_nomem(err, "a trace");
    uint64_t i = lives->ends++;
    for (; i > 0 && lives_sooner(&end, &lives->end[(i - 1) / 2]); i = (i - 1) / 2)
        lives->end[i] = lives->end[(i - 1) / 2];
    lives->end[i] = end;
    return ES_OK;
}

static lives_end lives_pop(es_lives *lives)
{
    const lives_end first = lives->end[0], last = lives->end[--lives->ends];
    uint64_t i = 0;
    for (uint64_t child; (child = 2 * i + 1) < lives->ends; i = child) {
        if (child + 1 < lives->ends && lives_sooner(&lives->end[child + 1], &lives->end[child]))
            child++;
        if (!lives_sooner(&lives->end[child], &last))
            break;
        lives->end[i] = lives->end[child];
    }
    lives->end[i] = last;
    return first;
}

/* Takes a buffer out of the list in which it waits for another. */
static void lives_unwait(es_lives *lives, uint32_t buffer)
{
    lives_buffer *b = &lives->buffer[buffer], *target = b->until == LIVES_NONE ? NULL : &lives->buffer[b->until];
    if (!target)
        return;
    uint32_t before = LIVES_NONE;
    for (uint32_t i = target->waiting; i != buffer; i = lives->buffer[i].next)
        before = i;
    *(before == LIVES_NONE ? &target->waiting : &lives->buffer[before].next) = b->next;
    if (target->last == buffer)
        target->last = before;
    b->until = b->next = LIVES_NONE;
}

static es_code lives_over(es_lives *lives, uint32_t buffer, es_buffer_kind kind, uint64_t record, es_err *err)
{
    lives_buffer *b = &lives->buffer[buffer];
    lives_unwait(lives, buffer);
    b->lives = false;
    b->released = record;
    /* where a second release may come, the slot must go on meaning this buffer */
    if (!lives->again) {
        if (!LIVES_ROOM(lives->vacant, lives->vacants, lives->vacant_room))
            return es_err_nomem(err, "a trace");
        lives->vacant[lives->vacants++] = b->slot;
    }
    return lives_add(lives, kind, b, err);
}

/* Those whose time is over with the step at hand. */
static es_code lives_expire(es_lives *lives, uint64_t step, es_err *err)
{
    es_code code = ES_OK;
    while (code == ES_OK && lives->ends > 0 && lives->end[0].step <= step) {
        const lives_end end = lives_pop(lives);
        const lives_buffer *b = &lives->buffer[end.buffer];
        if (b->lives && b->turn == end.turn)
            code = lives_over(lives, end.buffer, ES_BUFFER_EXPIRE, 0, err);
    }
    return code;
}

/* ---- rows ---- */

es_code es_lives_step(es_lives *lives, uint64_t step, uint32_t tokens, es_err *err)
{
    if (lives->steps > 0 && step == lives->steps - 1)
        return ES_OK;
    if (step != lives->steps)
        return es_err_set(err, ES_EINPUT, "step %llu follows step %lld; steps begin with 0 and rise by 1, one without buffers has a row of its own", (unsigned long long)step,
            (long long)lives->steps - 1);
    es_code code = lives->steps > 0 ? lives_expire(lives, step - 1, err) : ES_OK;
    if (code)
        return code;
    const uint64_t before = lives->step_room;
    if (!LIVES_ROOM(lives->step_end, lives->steps, lives->step_room) || (lives->step_room > before && !ES_TRACE_RESIZE(lives->step_tokens, lives->step_room, 1)))
        return es_err_nomem(err, "a trace");
    if (lives->steps > 0)
        lives->step_end[lives->steps - 1] = lives->ops;
    lives->step_tokens[lives->steps++] = tokens;
    lives->info.decode_tokens += tokens;
    return ES_OK;
}

/* Ends what waited for this buffer to be asked for. */
static es_code lives_meet(es_lives *lives, uint32_t buffer, uint64_t record, es_err *err)
{
    es_code code = ES_OK;
    while (code == ES_OK && lives->buffer[buffer].waiting != LIVES_NONE)
        code = lives_over(lives, lives->buffer[buffer].waiting, ES_BUFFER_RELEASE, record, err);
    return code;
}

static es_code lives_until(es_lives *lives, uint32_t buffer, uint64_t until, es_err *err)
{
    uint32_t target;
    es_code code = lives_find(lives, until, &target, err);
    if (code)
        return code;
    if (target == buffer)
        return es_err_set(err, ES_EINPUT, "buffer %llu cannot live until it is asked for itself", (unsigned long long)until);
    lives_buffer *to = &lives->buffer[target];
    lives->buffer[buffer].until = target;
    if (to->last == LIVES_NONE)
        to->waiting = buffer;
    else
        lives->buffer[to->last].next = buffer;
    to->last = buffer;
    return ES_OK;
}

es_code es_lives_ask(es_lives *lives, const es_life *life, es_err *err)
{
    uint32_t buffer;
    es_code code = lives_find(lives, life->id, &buffer, err);
    if (code)
        return code;
    lives_buffer *b = &lives->buffer[buffer];
    if (b->lives)
        return es_err_set(err, ES_EINPUT, "buffer %llu is asked for while it lives, since line %llu", (unsigned long long)life->id, (unsigned long long)b->record);
    if ((code = lives_meet(lives, buffer, life->record, err)) != ES_OK)
        return code;
    b->lives = true;
    b->bytes = life->bytes;
    b->record = life->record;
    b->turn = ++lives->turns;
    if (!lives->again || !b->known)
        b->slot = lives->vacants > 0 ? lives->vacant[--lives->vacants] : lives->info.buffers++;
    b->known = true;
    lives->info.accesses++;
    const lives_buffer made = *b;
    if (life->until_given)
        code = lives_until(lives, buffer, life->until, err);
    else if (life->steps >= 0)
        code = lives_wait(lives, (lives_end){.step = life->step + (uint64_t)life->steps, .turn = made.turn, .buffer = buffer}, err);
    return code ? code : lives_add(lives, ES_BUFFER_REQUEST, &made, err);
}

es_code es_lives_release(es_lives *lives, uint64_t id, uint64_t record, es_err *err)
{
    uint32_t buffer;
    es_code code = lives_find(lives, id, &buffer, err);
    if (code)
        return code;
    const lives_buffer *b = &lives->buffer[buffer];
    if (b->lives)
        return lives_over(lives, buffer, ES_BUFFER_RELEASE, record, err);
    if (!b->known)
        return es_err_set(err, ES_EINPUT, "buffer %llu is released, but it was never asked for", (unsigned long long)id);
    if (lives->again)
        return lives_add(lives, ES_BUFFER_RELEASE_AGAIN, b, err);
    if (b->released)
        return es_err_set(err, ES_EINPUT, "buffer %llu is released, but that was done in line %llu already", (unsigned long long)id, (unsigned long long)b->released);
    return es_err_set(err, ES_EINPUT, "buffer %llu of line %llu is released, but the steps it was to live are over", (unsigned long long)id, (unsigned long long)b->record);
}

es_code es_lives_finish(es_lives *lives, es_err *err)
{
    if (lives->steps == 0)
        return es_err_set(err, ES_EINPUT, "has no steps");
    if (lives->info.accesses == 0)
        return es_err_set(err, ES_EINPUT, "asks for no buffer in any of its %llu steps", (unsigned long long)lives->steps);
    es_code code = lives_expire(lives, UINT64_MAX, err);
    if (code)
        return code;
    for (uint64_t i = 0; i < lives->buffers; i++)
        if (lives->buffer[i].until != LIVES_NONE)
            return es_err_set(err, ES_EINPUT, "line %llu: buffer %llu lives until %llu is asked for, which does not happen behind it", (unsigned long long)lives->buffer[i].record,
                (unsigned long long)lives->buffer[i].id, (unsigned long long)lives->buffer[lives->buffer[i].until].id);
    lives->step_end[lives->steps - 1] = lives->ops;
    lives->info.steps = lives->steps;
    lives->info.requests = 1;
    lives->info.counted = true;
    return ES_OK;
}

const es_trace_info *es_lives_info(const es_lives *lives)
{
    return &lives->info;
}

bool es_lives_at(const es_lives *lives, uint64_t at, es_step *step)
{
    *step = (es_step){0};
    if (at >= lives->steps)
        return false;
    const uint64_t first = at > 0 ? lives->step_end[at - 1] : 0;
    step->tokens = lives->step_tokens[at];
    step->buffer = lives->op + first;
    step->buffers = (uint32_t)(lives->step_end[at] - first);
    step->record = step->buffers > 0 ? step->buffer[0].record : 0;
    return true;
}
