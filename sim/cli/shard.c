/* Shard: see shard.h. */
#include "sim/cli/shard.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

bool shard_has(const shard *s, size_t entry)
{
    return entry % s->count == s->index;
}

/* Digits and nothing else; `end` NULL: up to the end of the text. */
static bool shard_number(const char *text, unsigned long long *value, char **end)
{
    char *behind;
    if (!text || !isdigit((unsigned char)*text))
        return false;
    *value = strtoull(text, &behind, 10);
    if (end)
        *end = behind;
    return (end || *behind == '\0') && *value <= 1000000000;
}

static es_code shard_given(shard *out, const char *given, es_err *err)
{
    unsigned long long index, count;
    char *slash;
    if (!shard_number(given, &index, &slash) || *slash != '/' || !shard_number(slash + 1, &count, NULL) || count == 0)
        return es_err_set(err, ES_EINPUT, "--shard: \"%s\" is no part of a whole; write for example 0/4, the first of four", given);
    if (index >= count)
        return es_err_set(err, ES_EINPUT, "--shard: %llu/%llu is none; parts of %llu are 0/%llu to %llu/%llu", index, count, count, count, count - 1, count);
    *out = (shard){(size_t)index, (size_t)count, "--shard"};
    return ES_OK;
}

/* A variable of the environment; `def` when it is not there. */
static es_code shard_variable(const char *name, unsigned long long def, unsigned long long *value, es_err *err)
{
    const char *text = getenv(name);
    *value = def;
    if (text && !shard_number(text, value, NULL))
        return es_err_set(err, ES_EINPUT, "%s is \"%s\", which is no number; say which part this is with --shard", name, text);
    return ES_OK;
}

/* A task of a job array. Where tasks are missing (some are run again) the number does not say which part of how many it is. */
static es_code shard_array(shard *out, es_err *err)
{
    unsigned long long id, count, least, most, step;
    es_code code = shard_variable("SLURM_ARRAY_TASK_ID", 0, &id, err);
    if (code == ES_OK)
        code = shard_variable("SLURM_ARRAY_TASK_COUNT", 0, &count, err);
    if (code == ES_OK)
        code = shard_variable("SLURM_ARRAY_TASK_MIN", 0, &least, err);
    if (code == ES_OK)
        code = shard_variable("SLURM_ARRAY_TASK_STEP", 1, &step, err);
    if (code == ES_OK)
        code = shard_variable("SLURM_ARRAY_TASK_MAX", least + (count ? count - 1 : 0) * step, &most, err);
    if (code)
        return code;
    if (count == 0 || step == 0 || most < least || (most - least) / step + 1 != count || id < least || id > most || (id - least) % step != 0)
        return es_err_set(err, ES_EINPUT, "SLURM_ARRAY_TASK_ID is %llu, but the array's %llu tasks do not go from %llu to %llu without gaps; say which part this is with --shard",
            id, count, least, most);
    *out = (shard){(size_t)((id - least) / step), (size_t)count, "SLURM_ARRAY_TASK_ID"};
    return ES_OK;
}

/* The script of a batch job has SLURM_PROCID too, though it is no process of a step: there it says nothing. */
static bool shard_in_step(void)
{
    unsigned long long step;
    return !getenv("SLURM_JOB_ID") || (shard_number(getenv("SLURM_STEP_ID"), &step, NULL) && step < 0xfffffff0);
}

static es_code shard_process(shard *out, es_err *err)
{
    static const struct { const char *rank, *size, *also; bool slurm; } kinds[] = {
        {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", false},
        {"PMI_RANK", "PMI_SIZE", "PMI_SIZE", false},
        {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", true},
    };
    *out = (shard){0, 1, NULL};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        unsigned long long rank = 0, size = 1;
        const char *of = getenv(kinds[i].size) ? kinds[i].size : kinds[i].also;
        if (!getenv(kinds[i].rank) || !getenv(of) || (kinds[i].slurm && !shard_in_step()))
            continue;
        es_code code = shard_variable(kinds[i].rank, 0, &rank, err);
        if (code == ES_OK)
            code = shard_variable(of, 1, &size, err);
        if (code == ES_OK && rank >= size)
            code = es_err_set(err, ES_EINPUT, "%s is %llu, but %s is %llu; say which part this is with --shard", kinds[i].rank, rank, of, size);
        *out = (shard){(size_t)rank, (size_t)size, kinds[i].rank};
        return code;
    }
    return ES_OK;
}

es_code shard_find(shard *out, const char *given, es_err *err)
{
    shard task = {0, 1, NULL}, process = {0, 1, NULL};
    *out = task;
    if (given)
        return shard_given(out, given, err);
    es_code code = getenv("SLURM_ARRAY_TASK_ID") ? shard_array(&task, err) : ES_OK;
    if (code == ES_OK)
        code = shard_process(&process, err);
    *out = (shard){task.index * process.count + process.index, task.count * process.count, task.from ? task.from : process.from};
    return code;
}
