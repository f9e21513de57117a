/* Writing a trace of buffers: see buffers_csv.h. The source is read twice: a row says how long its buffer lives, which the end tells. */
#include "traces/buffers_csv.h"

#include <stdlib.h>

typedef struct csv_life {       /* of the n-th request */
    uint64_t step;
    int64_t steps;              /* below 0: it is released by a row, or never */
} csv_life;

typedef struct csv_lives {
    csv_life *life;             /* [requests] */
    uint64_t *request;          /* [slots] number of the request that has it */
    uint64_t step, asked;
} csv_lives;

static void csv_measure(csv_lives *l, const es_step *step)
{
    for (uint32_t i = 0; i < step->buffers; i++) {
        const es_buffer_op *op = &step->buffer[i];
        if (op->kind == ES_BUFFER_REQUEST) {
            l->request[op->slot] = l->asked;
            l->life[l->asked++] = (csv_life){l->step, -1};
        } else if (op->kind == ES_BUFFER_EXPIRE) {
            csv_life *life = &l->life[l->request[op->slot]];
            life->steps = (int64_t)(l->step - life->step);
        }
    }
    l->step++;
}

static void csv_write(csv_lives *l, const es_step *step, es_text *out)
{
    const unsigned long long now = l->step++;
    bool said = false;
    for (uint32_t i = 0; i < step->buffers && step->buffer[i].kind != ES_BUFFER_EXPIRE; i++) {
        const es_buffer_op *op = &step->buffer[i];
        said = true;
        if (op->kind != ES_BUFFER_REQUEST) {
            es_text_add(out, "%llu,%llu,release,\n", now, (unsigned long long)op->id);
            continue;
        }
        const int64_t steps = l->life[l->asked++].steps;
        es_text_add(out, "%llu,%llu,%lld,", now, (unsigned long long)op->id, (long long)op->bytes);
        if (steps >= 0)
            es_text_add(out, "%lld", (long long)steps);
        es_text_add(out, "\n");
    }
    if (!said)
        es_text_add(out, "%llu,,,\n", now);
}

static es_code csv_pass(const es_source *source, void *self, csv_lives *l, es_text *out, es_err *err)
{
    es_code code = source->rewind(self, err);
    l->step = l->asked = 0;
    for (bool more = true; code == ES_OK;) {
        es_step step = {0};
        code = source->next(self, &step, &more, err);
        if (code || !more)
            break;
        if (out)
            csv_write(l, &step, out);
        else
            csv_measure(l, &step);
    }
    return code;
}

es_code es_buffers_csv(const es_source *source, void *self, es_text *out, es_err *err)
{
    const es_trace_info *info = source->info(self);
    csv_lives l = {.life = calloc(info->accesses, sizeof *l.life), .request = calloc(info->buffers, sizeof *l.request)};
    es_code code = l.life && l.request ? csv_pass(source, self, &l, NULL, err) : es_err_nomem(err, "the lives of buffers");
    es_text_add(out, "step,id,bytes,lifetime\n");
    if (code == ES_OK)
        code = csv_pass(source, self, &l, out, err);
    free(l.life);
    free(l.request);
    return code == ES_OK && out->failed ? es_err_nomem(err, "a trace") : code;
}
