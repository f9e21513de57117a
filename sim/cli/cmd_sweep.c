/* expertsim sweep: many runs of one config. The verbs have a file each. */
#include <stdlib.h>
#include <string.h>

#include "sim/cli/sweep.h"

static const struct {
    const char *name;
    es_code (*go)(const sweep_args *args, const char *file, es_err *err);
} sweep_verbs[] = {
    {"plan", sweep_plan},
    {"run", sweep_run},
    {"status", sweep_status},
    {"collect", sweep_collect},
    {"script", sweep_script},
};

enum { SWEEP_VERBS = sizeof sweep_verbs / sizeof *sweep_verbs };

static es_code sweep_none(const char *verb, es_err *err)
{
    const char *names[SWEEP_VERBS];
    for (size_t i = 0; i < SWEEP_VERBS; i++)
        names[i] = sweep_verbs[i].name;
    const char *nearest = verb ? es_text_nearest(verb, names, SWEEP_VERBS) : NULL;
    if (nearest)
        return es_err_set(err, ES_EINPUT, "there is no sweep %s; did you mean \"sweep %s\"?", verb, nearest);
    return cmd_misused(&cmd_sweep, err, verb ? "there is no sweep %s" : "what to do with it?", verb);
}

static es_code sweep_go(const sweep_args *args, es_err *err)
{
    const char *verb = args->words.count ? args->words.at[0] : NULL;
    for (size_t i = 0; i < SWEEP_VERBS && verb; i++)
        if (strcmp(verb, sweep_verbs[i].name) == 0)
            return args->words.count == 2 ? sweep_verbs[i].go(args, args->words.at[1], err)
                                          : cmd_misused(&cmd_sweep, err, "sweep %s takes one file or folder", verb);
    return sweep_none(verb, err);
}

static es_code sweep_exec(int count, char **args, es_err *err)
{
    sweep_args sweep = {0};
    const cmd_flag flags[] = {
        {.name = "--out", .letter = "-o", .value = &sweep.out},
        {.name = "--shard", .value = &sweep.shard},
        {.name = "--jobs", .letter = "-j", .value = &sweep.jobs},
        {.name = "--time", .value = &sweep.time},
        {.name = "--memory", .value = &sweep.memory},
        {.name = "--slurm", .on = &sweep.slurm},
        {.name = "--parallel", .on = &sweep.parallel},
        {.name = "--shards", .value = &sweep.shards},
        {.name = "--throttle", .value = &sweep.at_once},
        {.name = "--hosts", .value = &sweep.hosts},
        {.name = "--json", .on = &sweep.json},
        {.name = "--partial", .on = &sweep.partial},
        {.name = "--simulate", .on = &sweep.simulate},
        {.name = "--yes", .on = &sweep.many},
        {.name = "--quiet", .letter = "-q", .on = &sweep.quiet},
        {0},
    };
    es_code code = cmd_parse(flags, count, args, &sweep.words, err);
    if (code == ES_OK)
        code = sweep_go(&sweep, err);
    free(sweep.words.at);
    return code;
}

const cmd_entry cmd_sweep = {
    .name = "sweep",
    .usage = "plan|run|status|collect|script FILE|DIR [options]",
    .brief = "Run many variants of one config: policies x capacities x machines x traces.",
    .help = "  expertsim sweep plan FILE [--json]                     what a sweep file would run\n"
            "  expertsim sweep run FILE -o DIR [-j N] [--shard i/n]   run what is not in DIR yet; the same command goes on where it was stopped\n"
            "  expertsim sweep status DIR [--json]                    what is done and left, and why points failed\n"
            "  expertsim sweep collect DIR [-o FILE.h5] [--partial]   all results in one table: FILE.h5 and FILE.csv; absent: DIR/table\n"
            "  expertsim sweep script FILE -o DIR --slurm|--parallel  print a batch file that runs it on a cluster, or on --hosts a,b,c\n"
            "\n"
            "A sweep file names a base config and axes, values for any key of it; keys: expertsim describe sweep\n"
            "\n"
            "  --jobs N        processes at once; absent: as many as there are processors (in a script: 4)\n"
            "  --shard i/n     only part i of n (0/4 to 3/4), for several machines on one folder; absent: as Slurm or MPI number this process\n"
            "  --time TIME     give a point up after this time: 90s; absent: as the file says\n"
            "  --memory BYTES  what a point may take beside the trace, which all share: 4GiB\n"
            "  --partial       collect what there is, though points are missing\n"
            "  --shards N      script: parts of the sweep; absent: 16\n"
            "  --throttle N    script: parts that run at a time, of a job array or on each host; absent: 8\n"
            "  --simulate      run every point, also those that one pass over the trace would tell\n"
            "  --yes           more than 1,000,000 points are meant\n"
            "  --quiet         print nothing but errors\n",
    .exec = sweep_exec,
};
