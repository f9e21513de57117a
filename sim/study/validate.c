/* Validate: see validate.h. Freezes, performs, times; what it all comes to is validate_score.c's. */
#include "sim/study/validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/core/run.h"
#include "sim/study/config.h"
#include "sim/study/retime.h"
#include "sim/study/validate_inside.h"

typedef struct validate {
    const es_validate_ask *ask;
    validate_candidate candidate[ES_VALIDATE_POLICIES];
    size_t count;
    es_perfetto *timeline;
    uint32_t modes;             /* drawn so far */
} validate;

/* ---- freezing ---- */

/* The name of its log: of a policy that is an object, only what a file may be called. */
static void log_path(const es_validate_ask *ask, size_t number, const char *policy, es_text *out)
{
    es_text_add(out, "%s/%zu-", ask->folder, number + 1);
    for (const char *c = policy; *c && c - policy < 40; c++)
        es_text_add(out, "%c", strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *c) ? *c : '_');
    es_text_add(out, ".jsonl");
}

static es_code observers_set(const char *path, es_text *out, es_err *err)
{
    es_json *list = cJSON_CreateArray(), *one = cJSON_CreateObject();
    cJSON_AddItemToArray(list, one);
    es_json_add_text(one, "name", "actions");
    es_json_add_text(one, "path", path);
    char *text = cJSON_PrintUnformatted(list);
    if (text)
        es_text_add(out, "observers=%s", text);
    cJSON_free(text);
    cJSON_Delete(list);
    return text && !out->failed ? ES_OK : es_err_nomem(err, "a setting");
}

static es_code candidate_config(validate_candidate *c, const es_validate_ask *ask, const char *policy, const char *path, es_err *err)
{
    es_text observers = {0}, chosen = {0};
    const char **sets = calloc(ask->set_count + 4, sizeof *sets);
    size_t count = 0;
    es_code code = sets ? observers_set(path, &observers, err) : es_err_nomem(err, "the settings");
    if (code == ES_OK) {
        for (; count < ask->set_count; count++)
            sets[count] = ask->sets[count];
        if (policy) {
            es_text_add(&chosen, "policy=%s", policy);
            sets[count++] = chosen.at;
        }
        sets[count++] = "clock=none";
        sets[count++] = observers.at;
        code = chosen.failed ? es_err_nomem(err, "a setting") : es_config_load(&c->config, ask->config, sets, count, err);
    }
    if (code == ES_OK && es_config_noise_known(c->config)) {
        sets[count++] = "noise=true";
        code = es_config_load(&c->noisy, ask->config, sets, count, err);
    }
    free(sets);
    es_text_free(&observers);
    es_text_free(&chosen);
    return code;
}

static es_code candidate_decide(validate_candidate *c, es_err *err)
{
    es_run *run = NULL;
    es_code code = es_config_plan(c->config, &c->plan, err);
    if (code == ES_OK && !es_config_bytes_known(c->config))
        return es_err_set(err, ES_EINPUT, "model: a machine has to know how many bytes an expert has, and the config does not say; give shape or expert_bytes");
    if (code == ES_OK)
        code = es_run_new(&run, c->plan, err);
    if (code == ES_OK)
        code = es_run_go(run, NULL, err);
    if (code == ES_OK) {
        es_json *report = cJSON_CreateObject();
        code = report ? es_run_report(run, report, err) : es_err_nomem(err, "a report");
        cJSON_Delete(report);
    }
    es_run_free(run);               /* closes the log */
    if (code == ES_OK && c->noisy)
        code = es_config_plan(c->noisy, &c->noisy_plan, err);
    return code ? es_config_blame(c->config, err), code : ES_OK;
}

static es_code candidate_room(validate_candidate *c, size_t repeat, es_err *err)
{
    const size_t rows = c->log.count, steps = (size_t)c->log.steps;
    c->runs = repeat;
    c->row = calloc((repeat + 1) * rows, sizeof *c->row);
    c->step_ns = calloc((repeat + 1) * steps + 1, sizeof *c->step_ns);
    c->host_ns = calloc(steps + 1, sizeof *c->host_ns);
    if (c->noisy) {
        c->drawn_row = calloc(repeat * rows + 1, sizeof *c->drawn_row);
        c->drawn_ns = calloc(repeat * steps + 1, sizeof *c->drawn_ns);
    }
    if (!c->row || !c->step_ns || !c->host_ns || (c->noisy && (!c->drawn_row || !c->drawn_ns)))
        return es_err_nomem(err, "the times of a log");
    return steps > 0 ? ES_OK : es_err_set(err, ES_EINPUT, "trace: the log has no step that could be performed");
}

static es_code candidate_open(validate *v, size_t i, es_err *err)
{
    const es_validate_ask *ask = v->ask;
    validate_candidate *c = &v->candidate[i];
    const char *policy = ask->policy_count ? ask->policies[i] : NULL;
    es_text path = {0};
    log_path(ask, i, policy ? policy : "own", &path);
    v->count = i + 1;
    es_code code = path.failed ? es_err_nomem(err, "a path") : candidate_config(c, ask, policy, path.at, err);
    if (code == ES_OK)
        code = candidate_decide(c, err);
    if (code == ES_OK)
        code = es_actions_load(&c->log, path.at, err);
    if (code == ES_OK) {
        const es_json *named = es_json_at(es_config_resolved(c->config), "policy.name");
        c->policy = policy ? policy : cJSON_IsString(named) ? named->valuestring : "own";
        es_actions_scale(&c->log, ask->scale > 0.0 ? ask->scale : 1.0);
        code = candidate_room(c, ask->repeat, err);
    }
    es_text_free(&path);
    return code;
}

static void validate_close(validate *v)
{
    for (size_t i = 0; i < v->count; i++) {
        validate_candidate *c = &v->candidate[i];
        es_actions_free(&c->log);
        es_config_free(c->config);
        es_config_free(c->noisy);
        free(c->row);
        free(c->step_ns);
        free(c->drawn_row);
        free(c->drawn_ns);
        free(c->host_ns);
    }
}

/* ---- performing and timing ---- */

/* Run 0 is the model's place: the rehearsal is put there, and then what the model says. */
static es_action_run candidate_run(validate_candidate *c, size_t run)
{
    return (es_action_run){c->row + run * c->log.count, c->step_ns + run * (size_t)c->log.steps, c->host_ns};
}

/* Before each round a recalibration, and one after the last; the first of all is a rehearsal, too. */
static es_code mode_perform(validate *v, validate_drift *drift, const char *mode, es_err *err)
{
    const es_validate_machine *m = v->ask->machine;
    es_code code = ES_OK;
    for (size_t r = 0; r <= v->ask->repeat + 1 && code == ES_OK; r++) {
        es_action_run recalibration = validate_drift_run(drift, r);
        code = m->run(m->self, v->count, &recalibration, err);
        for (size_t i = 0; r <= v->ask->repeat && i < v->count && code == ES_OK; i++) {
            if (v->ask->tell)
                v->ask->tell(v->ask->tell_self, mode, r * v->count + i, (v->ask->repeat + 1) * v->count);
            es_action_run run = candidate_run(&v->candidate[i], r);
            memset(run.row, 0, v->candidate[i].log.count * sizeof *run.row);
            code = m->run(m->self, i, &run, err);
        }
    }
    return code;
}

static es_code candidate_retime(validate_candidate *c, const es_plan *plan, uint64_t replication, const es_retime_ask *ask, es_action_run run, es_err *err)
{
    es_retime *model = NULL;
    memset(run.step_ns, 0, (size_t)c->log.steps * sizeof *run.step_ns);
    es_code code = es_retime_open(&model, plan, replication, err);
    if (code == ES_OK)
        code = es_retime_run(model, &c->log, ask, &run, err);
    es_retime_free(model);
    return code;
}

/* What the model says, and, where the noise is known, what it says with other draws for each performance. */
static es_code candidate_time(validate_candidate *c, bool overlapped, bool computes, es_err *err)
{
    const es_retime_ask ask = {.overlapped = overlapped, .computes = computes};
    es_code code = candidate_retime(c, c->plan, 0, &ask, candidate_run(c, 0), err);
    for (size_t r = 0; r < c->runs && c->noisy && code == ES_OK; r++) {
        const es_action_run drawn = {c->drawn_row + r * c->log.count, c->drawn_ns + r * (size_t)c->log.steps, c->host_ns};
        code = candidate_retime(c, c->noisy_plan, r, &ask, drawn, err);
    }
    return code;
}

/* Each policy has an equal part of what room there is. */
static es_code mode_draw(validate *v, const char *mode, es_json *result, es_err *err)
{
    const size_t parts = v->count * (v->ask->serial && v->ask->overlapped ? 2 : 1);
    es_json *drawn = v->timeline ? es_json_at(result, "timeline.steps") : NULL;
    es_code code = ES_OK;
    for (size_t i = 0; drawn && i < v->count && code == ES_OK; i++) {
        const uint32_t number = (uint32_t)(v->modes * v->count + i);
        int64_t steps = 0;
        code = validate_draw(v->timeline, &v->candidate[i], mode, number, v->ask->timeline_limit * (number + 1) / (int64_t)parts, &steps, err);
        es_json *one = cJSON_CreateNumber((double)steps);
        if (code == ES_OK && (!one || !cJSON_AddItemToArray(drawn, one))) {
            cJSON_Delete(one);
            code = es_err_nomem(err, "a result");
        }
    }
    v->modes++;
    return code;
}

static es_code mode_times(validate *v, validate_drift *drift, bool overlapped, bool computes, es_err *err)
{
    es_code code = ES_OK;
    for (size_t i = 0; i < v->count && code == ES_OK; i++)
        code = candidate_time(&v->candidate[i], overlapped, computes, err);
    return code ? code : validate_drift_model(drift, v->candidate[0].plan, overlapped, computes, err);
}

static es_code mode_score(validate *v, const validate_drift *drift, const char *mode, bool computes, es_json *result, es_err *err)
{
    es_json *out = cJSON_CreateObject();
    cJSON_AddItemToArray(es_json_at(result, "modes"), out);
    es_json_add_text(out, "mode", mode);
    es_json_add_bool(out, "computes", computes);
    const es_json *virtual_machine = es_json_at(result, "environment.virtual_machine");
    es_code code = validate_score(v->candidate, v->count, cJSON_IsTrue(virtual_machine), out, err);
    return code ? code : validate_drift_score(drift, v->ask->repeat + 1, out, err);
}

/* On the machine, from its opening to its closing. */
static es_code mode_machine(validate *v, validate_drift *drift, bool overlapped, bool *computes, es_json *result, es_err *err)
{
    const es_validate_machine *m = v->ask->machine;
    const es_actions *logs[ES_VALIDATE_POLICIES + 1];
    for (size_t i = 0; i < v->count; i++)
        logs[i] = &v->candidate[i].log;
    logs[v->count] = &drift->log;
    es_code code = m->open(m->self, logs, v->count + 1, overlapped, err);
    *computes = code == ES_OK && m->computes(m->self);
    if (code == ES_OK)
        code = mode_perform(v, drift, overlapped ? "overlapped" : "serial", err);
    if (code == ES_OK && !es_json_at(result, "environment"))
        m->environment(m->self, es_json_add_object(result, "environment"));
    m->close(m->self);
    return code;
}

/* What the config cannot time is known before the machine has worked for it. */
static es_code mode_go(validate *v, bool overlapped, es_json *result, es_err *err)
{
    const char *mode = overlapped ? "overlapped" : "serial";
    validate_drift drift;
    bool computes = true;
    es_code code = validate_drift_open(&drift, &v->candidate[0], v->ask->repeat + 1, err);
    if (code == ES_OK)
        code = mode_times(v, &drift, overlapped, true, err);
    if (code == ES_OK)
        code = mode_machine(v, &drift, overlapped, &computes, result, err);
    if (code == ES_OK)
        code = mode_times(v, &drift, overlapped, computes, err);
    if (code == ES_OK)
        code = mode_draw(v, mode, result, err);
    if (code == ES_OK)
        code = mode_score(v, &drift, mode, computes, result, err);
    validate_drift_close(&drift);
    return code;
}

/* ---- held out ---- */

/* A text that names what was seen, "none" where nothing was, or numbers of what was. */
static bool held_known(const es_json *said)
{
    const es_json *one;
    bool numbers = cJSON_IsArray(said) && said->child;
    cJSON_ArrayForEach(one, said)
        numbers &= cJSON_IsNumber(one);
    return cJSON_IsString(said) || cJSON_IsNumber(said) || numbers;
}

static bool held_says(const es_json *said, const char *text)
{
    return text && cJSON_IsString(said) && strcmp(said->valuestring, text) == 0;
}

static bool held_counts(const es_json *said, double number)
{
    const es_json *one;
    bool counts = cJSON_IsNumber(said) && said->valuedouble == number;
    cJSON_ArrayForEach(one, said)
        counts |= one->valuedouble == number;
    return counts;
}

static bool held_seen(const validate *v, const char *key, const es_json *said)
{
    bool seen = false;
    if (strcmp(key, "trace") == 0)
        return held_says(said, es_config_trace_path(v->candidate[0].config));
    for (size_t i = 0; i < v->count; i++) {
        const validate_candidate *c = &v->candidate[i];
        if (strcmp(key, "policy") == 0)
            seen |= held_says(said, c->policy);
        else
            seen |= held_counts(said, strcmp(key, "size") == 0 ? (double)c->log.most[ES_PLACE_DEVICE] : (double)c->log.slots[ES_PLACE_DEVICE]);
    }
    return seen;
}

/* A profile may say on what it was calibrated: "environment": {"calibrated_on": {"trace": ...}}. */
static void held_out(const validate *v, es_json *result)
{
    static const char *const keys[] = {"trace", "policy", "size", "cache"};
    const es_json *machine = es_json_at(es_config_resolved(v->candidate[0].config), "machine"), *on = es_json_at(machine, "environment.calibrated_on");
    es_json *out = es_json_add_object(result, "held_out");
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const es_json *said = cJSON_GetObjectItemCaseSensitive(on, keys[k]);
        const bool known = held_known(said) && (k < 2 ? cJSON_IsString(said) : !cJSON_IsString(said) || held_says(said, "none"));
        es_json_add_text(out, keys[k], !known ? "unknown" : held_seen(v, keys[k], said) ? "no" : "yes");
    }
}

/* ---- all of it ---- */

es_code es_validate(const es_validate_ask *ask, es_json **out, es_err *err)
{
    validate *v = calloc(1, sizeof *v);
    es_json *result = cJSON_CreateObject();
    const size_t count = ask->policy_count ? ask->policy_count : 1;
    es_code code = v && result ? ES_OK : es_err_nomem(err, "a validation");
    *out = NULL;
    if (code == ES_OK && (count > ES_VALIDATE_POLICIES || ask->repeat < 2 || ask->repeat > ES_VALIDATE_REPEATS))
        code = es_err_set(err, ES_EINPUT, "found %zu policies and %zu repeats, needs at most %d policies and 2 to %d repeats", count, ask->repeat, ES_VALIDATE_POLICIES,
            ES_VALIDATE_REPEATS);
    if (code == ES_OK)
        v->ask = ask;
    for (size_t i = 0; i < count && code == ES_OK; i++)
        code = candidate_open(v, i, err);
    if (code == ES_OK) {
        es_json_add_int(result, "repeat", (int64_t)ask->repeat);
        es_json_add_real(result, "scale", ask->scale > 0.0 ? ask->scale : 1.0);
        es_json_add_bool(result, "noise", v->candidate[0].noisy != NULL);
        held_out(v, result);
        es_json_add_array(result, "modes");
    }
    if (code == ES_OK && ask->timeline && (code = es_perfetto_open(&v->timeline, ask->timeline, err)) == ES_OK) {
        es_json *timeline = es_json_add_object(result, "timeline");
        es_json_add_text(timeline, "path", ask->timeline);
        es_json_add_array(timeline, "steps");
    }
    if (code == ES_OK && ask->serial)
        code = mode_go(v, false, result, err);
    if (code == ES_OK && ask->overlapped)
        code = mode_go(v, true, result, err);
    if (v && v->timeline) {
        es_err other = {0};
        const es_code closed = es_perfetto_close(v->timeline, code == ES_OK, &other);
        if (code == ES_OK && closed) {
            *err = other;
            code = closed;
        }
    }
    if (v)
        validate_close(v);
    free(v);
    if (code == ES_OK)
        *out = result;
    else
        cJSON_Delete(result);
    return code;
}
