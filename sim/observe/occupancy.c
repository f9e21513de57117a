/* Occupancy: which experts stay and which are used, layer by expert. Saved as /occupancy/{resident,uses,hits} of result.h5: the share of
 * steps at whose end the expert was in a serving tier, and its lookups and their hits, as cache.lookups and cache.hits count them. Where
 * layers share their experts there is one row; matrices and precisions of an expert are one cell.
 *
 * A frozen policy is seen at once: some cells are always full and others never, whatever is used. */
#include "sim/base/h5.h"
#include "sim/observe/observe.h"

#define OCCUPANCY_STAYS 0.9     /* of the steps: there in so many or more */
#define OCCUPANCY_RARE 0.1      /* in so many or less */

typedef struct occupancy {
    const es_view *view;
    uint32_t rows;
    uint64_t steps;
    int64_t *resident;          /* [objects] steps at whose end it was there */
    int64_t *uses, *hits;       /* [rows][ids] */
} occupancy;

static es_code occupancy_init(void *self, const es_site *site, es_err *err)
{
    occupancy *s = self;
    s->view = site->view;
    s->rows = s->view->spaces;
    s->resident = ES_NEW_ARRAY(site->arena, s->view->words * (size_t)64, int64_t);
    s->uses = ES_NEW_ARRAY(site->arena, s->rows * (size_t)s->view->ids, int64_t);
    s->hits = ES_NEW_ARRAY(site->arena, s->rows * (size_t)s->view->ids, int64_t);
    return s->resident && s->uses && s->hits ? ES_OK : es_err_nomem(err, "occupancy");
}

static size_t occupancy_cell(const occupancy *s, es_oid object)
{
    return (size_t)(object / s->view->stride) * s->view->ids + es_expert_of(s->view, object);
}

static void occupancy_use(occupancy *s, const es_event *event)
{
    for (uint32_t i = 0; event->counted && i < event->count; i++) {
        const size_t cell = occupancy_cell(s, event->base + event->list[i]);
        s->uses[cell]++;
        s->hits[cell] += es_mask_has(event->hit, event->list[i]);
    }
}

static void occupancy_step_ended(occupancy *s)
{
    s->steps++;
    for (uint32_t w = 0; w < s->view->words; w++) {
        uint64_t there = 0;
        for (uint32_t t = 0; t < s->view->tiers; t++)
            there |= s->view->tier[t].serving ? s->view->tier[t].resident[w] : 0;
        for (uint64_t left = there & s->view->exists[w]; left; left &= left - 1)
            s->resident[(size_t)w * 64 + (size_t)__builtin_ctzll(left)]++;
    }
}

static void occupancy_notify(void *self, const es_fact *fact)
{
    occupancy *s = self;
    if (fact->kind == ES_FACT_USE)
        occupancy_use(s, fact->event);
    else
        occupancy_step_ended(s);
}

/* Of a cell: the mean over the matrices of the expert; of its precisions only one is there at a time. */
static double occupancy_share(const occupancy *s, uint32_t row, uint32_t expert)
{
    const uint32_t slice = s->view->slice, parts = s->view->matrices * s->view->variants;
    int64_t steps = 0;
    for (uint32_t p = 0; p < parts; p++)
        steps += s->resident[(size_t)row * s->view->stride + (size_t)p * slice + expert];
    return s->steps ? (double)steps / (double)s->view->matrices / (double)s->steps : 0.0;
}

static void occupancy_report(void *self, es_json *out)
{
    const occupancy *s = self;
    uint64_t stays = 0, rare = 0;
    for (uint32_t r = 0; r < s->rows; r++)
        for (uint32_t e = 0; e < s->view->ids; e++) {
            const double share = occupancy_share(s, r, e);
            stays += share >= OCCUPANCY_STAYS;
            rare += share <= OCCUPANCY_RARE;
        }
    es_json *members = observe_object(out, "occupancy");
    observe_count(members, "steps", s->steps);
    observe_count(members, "stays", stays);
    observe_count(members, "rare", rare);
}

/* ---- keeping it ---- */

static es_code occupancy_data(es_h5 *file, const occupancy *s, const char *path, es_h5_type type, const void *rows, const char *long_name, es_err *err)
{
    const uint64_t dims[] = {0, s->view->ids};
    es_h5_data *data = NULL;
    es_code code = es_h5_data_create(&data, file, path, type, 2, dims, s->rows, 6, err);
    if (code == ES_OK)
        code = es_h5_data_append(data, type, s->rows, rows, err);
    es_h5_data_close(data);
    if (code == ES_OK)
        code = es_h5_put_text(file, path, "units", "1", err);
    return code ? code : es_h5_put_text(file, path, "long_name", long_name, err);
}

static es_code occupancy_save(void *self, es_h5 *file, es_err *err)
{
    const occupancy *s = self;
    es_arena arena = {0};
    double *share = ES_NEW_ARRAY(&arena, s->rows * (size_t)s->view->ids, double);
    es_code code = share ? es_h5_group(file, "/occupancy", err) : es_err_nomem(err, "occupancy");
    for (uint32_t r = 0; r < s->rows && code == ES_OK; r++)
        for (uint32_t e = 0; e < s->view->ids; e++)
            share[(size_t)r * s->view->ids + e] = occupancy_share(s, r, e);
    if (code == ES_OK)
        code = occupancy_data(file, s, "/occupancy/resident", ES_H5_F64, share, "layers x experts: share of steps at whose end it is in a serving tier", err);
    if (code == ES_OK)
        code = occupancy_data(file, s, "/occupancy/uses", ES_H5_I64, s->uses, "layers x experts: lookups", err);
    if (code == ES_OK)
        code = occupancy_data(file, s, "/occupancy/hits", ES_H5_I64, s->hits, "layers x experts: of these hits", err);
    es_arena_free(&arena);
    return code;
}

const es_observer es_observer_occupancy = {
    .part = {
        .abi = ES_ABI,
        .name = "occupancy",
        .brief = "Which experts stay and which are used, layer by expert, in result.h5.",
        .size = sizeof(occupancy),
        .init = occupancy_init,
        .notify = occupancy_notify,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_STEP_END),
    },
    .report = occupancy_report,
    .save = occupancy_save,
};
