/* Points: runs by themselves and the points of a sweep made alike, with what figures are drawn of. See figures_inside.h.
 *
 * Of a sweep of thousands no more is kept than these numbers, not the results. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plots/figures_inside.h"

enum { POINTS_TEXT = 256 * 1024 * 1024, POINTS_LOOKED = 1000 };

static figures_point *points_new(figures *all)
{
    if (all->points == all->point_room) {
        const size_t room = all->point_room ? 2 * all->point_room : 16;
        figures_point *more = ES_NEW_ARRAY(&all->arena, room, figures_point);
        if (!more)
            return NULL;
        if (all->points)
            memcpy(more, all->point, all->points * sizeof *more);
        all->point = more;
        all->point_room = room;
    }
    return &all->point[all->points];
}

/* ---- one result ---- */

static double points_ratio(double of, double all)
{
    return all > 0.0 ? of / all : (double)NAN;
}

/* Bytes of the serving tier; slots where nobody knows what an expert weighs. */
static void points_memory(figures_point *p, const es_json *result)
{
    const double bytes = figures_number(result, "capacity.population_bytes"), objects = figures_number(result, "capacity.objects");
    p->room = figures_number(result, "capacity.slots_or_bytes");
    p->in_bytes = true;
    if (p->counts && strcmp(p->counts, "bytes") == 0) {
        p->memory = p->room;
    } else if (bytes > 0.0 && objects > 0.0) {
        p->memory = p->room * bytes / objects;
    } else {
        p->memory = p->room;
        p->in_bytes = false;
    }
}

/* Of decode where there is some, else of everything. */
static void points_misses(figures_point *p, const es_json *result)
{
    const double decode = figures_number(result, "cache.decode.lookups"), lookups = figures_number(result, "cache.lookups");
    const es_json *together = es_json_at(result, "contract.prefill_counts");
    p->decode = decode > 0.0 && !(cJSON_IsString(together) && strcmp(together->valuestring, "together") == 0);
    p->miss = p->decode ? points_ratio(figures_number(result, "cache.decode.misses"), decode) : points_ratio(figures_number(result, "cache.misses"), lookups);
    p->belady_miss = 1.0 - (p->decode ? points_ratio(figures_number(result, "bounds.belady_decode_hits"), decode) : points_ratio(figures_number(result, "bounds.belady_hits"), lookups));
}

static es_code points_fill(figures *all, figures_point *p, es_json *result, es_err *err)
{
    const char *counts = figures_word(result, "capacity.counts"), *policy = figures_word(result, "provenance.config.policy.name");
    const char *plain = *policy ? policy : figures_word(result, "provenance.config.policy");
    p->counts = *counts ? es_arena_text(&all->arena, counts) : NULL;
    p->policy = es_arena_text(&all->arena, plain);
    if (!p->policy || (*counts && !p->counts))
        return es_err_nomem(err, "a point");
    p->causal = !cJSON_IsFalse(es_json_at(result, "provenance.causal"));
    points_memory(p, result);
    points_misses(p, result);
    p->speed = figures_number(result, "time.tokens_per_s");
    p->latency = figures_number(result, "time.token_latency_s.mean");
    p->p50 = figures_number(result, "time.token_latency_s.p50");
    p->p95 = figures_number(result, "time.token_latency_s.p95");
    p->p99 = figures_number(result, "time.token_latency_s.p99");
    p->total = figures_number(result, "time.total_s");
    p->stall = figures_number(result, "time.stall_s");
    p->never_cache = figures_number(result, "bounds.never_cache_s");
    p->all_resident = figures_number(result, "bounds.all_resident_s");
    p->lower_bound = figures_number(result, "bounds.lower_bound_s");
    p->clairvoyant = figures_number(result, "bounds.clairvoyant_s");
    /* the finer causes, where an observer kept them */
    p->attribution = cJSON_DetachItemFromObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(result, "attribution"), "causes");
    if (!p->attribution)
        p->attribution = cJSON_DetachItemFromObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(result, "time"), "attribution");
    return ES_OK;
}

/* ---- runs ---- */

/* Several runs of one policy at different capacities are a curve; otherwise each run is one by itself. */
static bool points_are_curves(const figures *all)
{
    for (size_t i = 0; i < all->points; i++)
        for (size_t k = i + 1; k < all->points; k++)
            if (strcmp(all->point[i].policy, all->point[k].policy) == 0 && all->point[i].memory != all->point[k].memory)
                return true;
    return false;
}

static es_code points_run(figures *all, figures_source *source, es_err *err)
{
    figures_point *p = points_new(all);
    es_json *copy = cJSON_Duplicate(source->json, true);
    if (!p || !copy) {
        cJSON_Delete(copy);
        return es_err_nomem(err, "a run");
    }
    *p = (figures_point){.label = source->label, .h5 = source->h5, .combination = (int64_t)all->points};
    es_code code = points_fill(all, p, copy, err);
    all->points += code == ES_OK;
    cJSON_Delete(copy);
    return code;
}

static void points_run_axis(figures *all)
{
    const bool curves = points_are_curves(all);
    all->axis[0] = curves ? "policy" : "run";
    all->axes = 1;
    for (size_t i = 0; i < all->points; i++) {
        figures_point *p = &all->point[i];
        if (all->points == 1 && *p->policy && isfinite(p->miss))        /* a trace of buffers has no use for the policy */
            p->label = p->policy;
        p->cell[0] = curves ? p->policy : p->label;
        p->number[0] = (double)NAN;
    }
}

static es_code points_run_note(figures *all, const es_json *result, es_err *err)
{
    es_text note = {0};
    const char *trace = figures_word(result, "provenance.trace.path"), *slash = strrchr(trace, '/');
    es_text_add(&note, "%s; trace %s", figures_word(result, "name"), slash ? slash + 1 : *trace ? trace : "generated");
    if (*figures_word(result, "contract.label"))
        es_text_add(&note, ", contract %s", figures_word(result, "contract.label"));
    es_text_add(&note, ", clock %s", figures_word(result, "clock"));
    all->note = figures_keep(all, &note);
    return *all->note ? ES_OK : es_err_nomem(err, "a note");
}

/* ---- a sweep ---- */

/* Which replication a point is, or which trace it reads, differs within a combination: that is no axis to draw by. */
static void points_repeats(figures *all)
{
    for (size_t i = 1; i < all->points; i++)
        for (size_t a = 0; a < all->axes && all->point[i].combination == all->point[i - 1].combination; a++)
            all->repeats[a] = all->repeats[a] || strcmp(all->point[i].cell[a], all->point[i - 1].cell[a]) != 0;
}

/* Do two axes go together, so that the value of one tells that of the other? Then one of them is enough. */
static bool points_alike(const figures *all, size_t a, size_t b)
{
    const size_t looked = all->points < POINTS_LOOKED ? all->points : POINTS_LOOKED;
    for (size_t i = 1; i < looked; i++)
        for (size_t k = 0; k < i; k++)
            if ((strcmp(all->point[i].cell[a], all->point[k].cell[a]) == 0) != (strcmp(all->point[i].cell[b], all->point[k].cell[b]) == 0))
                return false;
    return true;
}

static bool points_longer(const figures *all, size_t a, size_t b)
{
    const size_t one = strlen(all->point[0].cell[a]), other = strlen(all->point[0].cell[b]);
    return one > other || (one == other && a > b);
}

/* An axis with labels has them as a column beside what they stand for, and keys that move together are columns of their own: the longer one, or of two
 * alike the second, is not drawn by. */
static void points_labelled(figures *all)
{
    for (size_t a = 0; a < all->axes; a++)
        for (size_t b = 0; b < all->axes && !all->repeats[a] && all->points > 0; b++)
            if (a != b && !all->repeats[b] && points_longer(all, a, b) && points_alike(all, a, b) &&
                strcmp(all->point[0].cell[a], all->point[all->points - 1].cell[a]) != 0)
                all->repeats[a] = true;
}

/* {"name":"noisy_oracle","accuracy":0.8} is "noisy_oracle accuracy=0.8": a part with its options. Others stand as they are. */
static const char *points_plain(figures *all, const char *cell)
{
    es_json *json = NULL;
    const es_json *one;
    es_text text = {0};
    if (cell[0] != '{' || es_json_parse(&json, cell, strlen(cell), NULL) != ES_OK)
        return cell;
    es_text_add(&text, "%s", figures_word(json, "name"));
    cJSON_ArrayForEach(one, json) {
        char *value = strcmp(one->string, "name") == 0 ? NULL : cJSON_IsString(one) ? strdup(one->valuestring) : cJSON_PrintUnformatted(one);
        if (value)
            es_text_add(&text, "%s%s=%s", text.length ? " " : "", one->string, value);
        free(value);
    }
    cJSON_Delete(json);
    const char *plain = figures_keep(all, &text);
    return *plain ? plain : cell;
}

/* What tells points apart, but not replications. */
static es_code points_labels(figures *all, es_err *err)
{
    points_repeats(all);
    points_labelled(all);
    for (size_t i = 0; i < all->points; i++) {
        for (size_t a = 0; a < all->axes; a++)
            all->point[i].cell[a] = points_plain(all, all->point[i].cell[a]);
        es_text label = {0};
        for (size_t a = 0; a < all->axes; a++)
            if (!all->repeats[a])
                es_text_add(&label, "%s%s", label.length ? ", " : "", all->point[i].cell[a]);
        if (label.length == 0)
            es_text_add(&label, "%s", *all->point[i].policy ? all->point[i].policy : "run");
        if (label.failed)
            return es_err_nomem(err, "a point");
        all->point[i].label = figures_keep(all, &label);
    }
    return ES_OK;
}

/* Cells of a row of the plan, behind its id and number. */
static es_code points_cells(figures *all, figures_point *p, const es_json *row, es_err *err)
{
    const es_json *cell = row->child->next->next;
    for (size_t a = 0; a < all->axes && cell; a++, cell = cell->next) {
        char text[64];
        snprintf(text, sizeof text, "%.10g", cJSON_IsNumber(cell) ? cell->valuedouble : 0.0);
        p->number[a] = cJSON_IsNumber(cell) ? cell->valuedouble : (double)NAN;
        p->cell[a] = es_arena_text(&all->arena, cJSON_IsString(cell) ? cell->valuestring : text);
        if (!p->cell[a])
            return es_err_nomem(err, "a point");
    }
    for (size_t a = 0; a < all->axes; a++)
        p->cell[a] = p->cell[a] ? p->cell[a] : "";
    return ES_OK;
}

/* A share or a size of an axis has a unit, "20%" or "4GiB", and is a number all the same; one unit for all of the axis. */
static void points_units(figures *all)
{
    for (size_t a = 0; a < all->axes; a++) {
        const char *unit = NULL;
        bool alike = true;
        for (size_t i = 0; i < all->points && alike; i++) {
            const char *cell = all->point[i].cell[a];
            char *end = (char *)cell;
            strtod(cell, &end);
            alike = end != cell && (!unit || strcmp(unit, end) == 0);
            unit = end;
        }
        for (size_t i = 0; i < all->points && alike; i++)
            all->point[i].number[a] = strtod(all->point[i].cell[a], NULL);
    }
}

static es_code points_point(figures *all, const char *folder, const es_json *row, es_err *err)
{
    es_text path = {0};
    es_h5 *file = NULL;
    es_json *result = NULL;
    char *text = NULL;
    uint64_t length;
    es_text_add(&path, "%s/points/%s.h5", folder, row->child->valuestring);
    const char *kept = figures_keep(all, &path);
    if (!es_h5_is(kept))
        return ES_OK;
    figures_point *p = points_new(all);
    es_code code = p ? es_h5_open(&file, kept, false, err) : es_err_nomem(err, "a point");
    if (code)
        return code;
    *p = (figures_point){.h5 = kept, .combination = (int64_t)row->child->next->valuedouble};
    code = es_h5_load_text(file, "/summary", POINTS_TEXT, &text, &length, err);
    if (code == ES_OK)
        code = es_json_parse(&result, text, length, err) ? es_err_at(err, "%s: /summary", kept) : ES_OK;
    if (code == ES_OK)
        code = points_cells(all, p, row, err);
    if (code == ES_OK)
        code = points_fill(all, p, result, err);
    all->points += code == ES_OK;
    cJSON_Delete(result);
    free(text);
    es_h5_close(file, NULL);
    return code;
}

static bool points_row_fits(const es_json *row)
{
    return cJSON_IsArray(row) && cJSON_IsString(row->child) && !strpbrk(row->child->valuestring, "/.") && cJSON_IsNumber(row->child->next);
}

static es_code points_sweep(figures *all, const figures_source *source, es_err *err)
{
    const es_json *column, *row, *plan = source->json;
    const char *slash = strrchr(source->path, '/');
    es_text folder = {0}, note = {0};
    cJSON_ArrayForEach(column, cJSON_GetObjectItemCaseSensitive(plan, "columns"))
        if (all->axes < FIGURES_AXES)
            all->axis[all->axes++] = figures_word(column, "name");
    es_text_put(&folder, slash ? source->path : ".", slash ? (size_t)(slash - source->path) : 1);
    const char *dir = figures_keep(all, &folder);
    es_code code = ES_OK;
    size_t planned = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(plan, "points")) {
        planned++;
        if (code == ES_OK && !points_row_fits(row))
            code = es_err_set(err, ES_EINPUT, "%s: is no plan as `expertsim sweep run` writes it", source->path);
        if (code == ES_OK)
            code = points_point(all, dir, row, err);
    }
    if (code == ES_OK && all->points == 0)
        code = es_err_set(err, ES_EINPUT, "%s: none of its points is there; `expertsim sweep run` makes them", dir);
    es_text_add(&note, "sweep %s; %zu of %zu points", figures_word(plan, "name"), all->points, planned);
    all->note = figures_keep(all, &note);
    points_units(all);
    return code ? code : points_labels(all, err);
}

/* ---- all of them ---- */

es_code figures_points(figures *all, es_err *err)
{
    es_code code = ES_OK;
    for (size_t i = 0; i < all->sources && code == ES_OK; i++) {
        if (all->source[i].form == FORM_SWEEP)
            return points_sweep(all, &all->source[i], err);
        if (all->source[i].form == FORM_TABLE) {
            code = figures_table(all, &all->source[i], err);
            points_units(all);
            return code ? code : points_labels(all, err);
        }
        if (all->source[i].form == FORM_RUN)
            code = points_run(all, &all->source[i], err);
    }
    if (code || all->points == 0)
        return code;
    points_run_axis(all);
    return points_run_note(all, all->source[0].json, err);
}
