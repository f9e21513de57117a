/* expertsim sweep script: a batch file that runs a sweep in parts, on a cluster with Slurm or on some machines with GNU parallel.
 *
 * Both leave the work to `sweep run --shard`; a part has many points, so that a task is worth starting. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/cli/sweep.h"

enum { SCRIPT_PARTS = 16, SCRIPT_AT_ONCE = 8, SCRIPT_JOBS = 4 };        /* unless the user says otherwise */

typedef struct script {
    const char *file;
    const sweep_args *args;
    size_t points;
    long parts, at_once, jobs;
    es_text name;               /* of a job: letters and digits */
} script;

/* 'a b' for the shell, whatever stands in it. */
static void script_quoted(es_text *out, const char *word)
{
    bool plain = *word != '\0' && *word != '-';
    for (const char *c = word; *c; c++)
        plain = plain && (isalnum((unsigned char)*c) || strchr("_./,:@+=-", *c));
    if (plain) {
        es_text_add(out, "%s", word);
        return;
    }
    es_text_add(out, "'");
    for (const char *c = word; *c; c++)
        es_text_add(out, *c == '\'' ? "'\\''" : "%c", *c);
    es_text_add(out, "'");
}

static void script_head(const script *s, es_text *out)
{
    es_text_add(out, "# %s: %zu points in %ld parts of up to %ld. Made by `expertsim sweep script`; run it where the sweep file is.\n"
                     "# The folder must be one for all machines. What is done is not done again, so after a failure run this file again.\n",
        s->name.at, s->points, s->parts, ((long)s->points + s->parts - 1) / s->parts);
}

/* expertsim sweep run FILE -o DIR ... */
static void script_run(const script *s, const char *shard, const char *jobs, es_text *out)
{
    es_text_add(out, "\"$tool\" sweep run ");
    script_quoted(out, s->file);
    es_text_add(out, " --out ");
    script_quoted(out, s->args->out);
    es_text_add(out, " --shard %s/%ld --jobs %s --quiet", shard, s->parts, jobs);
    if (s->args->time) {
        es_text_add(out, " --time ");
        script_quoted(out, s->args->time);
    }
    if (s->args->memory) {
        es_text_add(out, " --memory ");
        script_quoted(out, s->args->memory);
    }
}

/* ---- Slurm ---- */

/* Run by sh it submits itself as an array of tasks, and a job that collects when they have ended; sbatch runs one of them. */
static void script_slurm(const script *s, es_text *out)
{
    es_text_add(out, "#!/bin/sh\n#SBATCH --job-name=%s\n#SBATCH --array=0-%ld%%%ld\n#SBATCH --ntasks=1\n#SBATCH --cpus-per-task=%ld\n", s->name.at, s->parts - 1, s->at_once, s->jobs);
    script_head(s, out);
    es_text_add(out, "set -eu\ntool=${EXPERTSIM:-expertsim}\ndir=");
    script_quoted(out, s->args->out);
    es_text_add(out, "\nif [ -z \"${SLURM_ARRAY_TASK_ID-}\" ]; then\n"
                     "    mkdir -p \"$dir\"\n"
                     "    array=$(sbatch --parsable --output=\"$dir/part-%%a.log\" \"$0\")\n"
                     "    # afterany: what failed is told by the collecting job too, and nothing is left waiting for ever\n"
                     "    sbatch --job-name=%s-collect --dependency=\"afterany:${array%%%%;*}\" --output=\"$dir/collect.log\" \\\n"
                     "        --wrap \"'$tool' sweep status '$dir'; '$tool' sweep collect '$dir'\"\n"
                     "    exit\nfi\nexec ", s->name.at);
    script_run(s, "\"$SLURM_ARRAY_TASK_ID\"", "\"${SLURM_CPUS_PER_TASK:-1}\"", out);
    es_text_add(out, "\n");
}

/* ---- GNU parallel ---- */

static void script_parallel(const script *s, es_text *out)
{
    char jobs[32];
    snprintf(jobs, sizeof jobs, "%ld", s->jobs);
    es_text_add(out, "#!/bin/sh\n");
    script_head(s, out);
    es_text_add(out, "set -eu\ntool=${EXPERTSIM:-expertsim}\ndir=");
    script_quoted(out, s->args->out);
    es_text_add(out, "\nmkdir -p \"$dir\"\nif seq 0 %ld | parallel --will-cite --jobs %ld", s->parts - 1, s->at_once);
    if (s->args->hosts) {
        es_text_add(out, " --workdir \"$PWD\" --sshlogin ");
        script_quoted(out, s->args->hosts);
    }
    es_text command = {0};
    script_run(s, "{}", jobs, &command);
    es_text_add(out, " --joblog \"$dir/parallel.log\" \\\n    \"'$tool'");
    for (const char *c = command.at ? command.at + strlen("\"$tool\"") : ""; *c; c++)     /* within double quotes now */
        es_text_add(out, strchr("\"\\$`", *c) ? "\\%c" : "%c", *c);
    es_text_add(out, "\"; then\n    \"$tool\" sweep collect \"$dir\"\nelse\n    \"$tool\" sweep status \"$dir\"\n    exit 1\nfi\n");
    out->failed = out->failed || command.failed;
    es_text_free(&command);
}

/* ---- the command ---- */

static es_code script_number(const char *text, const char *flag, long def, long *value, es_err *err)
{
    char *end = NULL;
    *value = text ? strtol(text, &end, 10) : def;
    if (text && (end == text || *end || *value < 1 || *value > 1000000))
        return es_err_set(err, ES_EINPUT, "%s: \"%s\" is not a number from 1 to 1000000", flag, text);
    return ES_OK;
}

static es_code script_arguments(script *s, es_err *err)
{
    const sweep_args *args = s->args;
    if (args->slurm == args->parallel)
        return cmd_misused(&cmd_sweep, err, "a script for --slurm or for --parallel?");
    if (!args->out || !*args->out)
        return cmd_misused(&cmd_sweep, err, "-o DIR says where the results go");
    if (args->slurm && args->hosts)
        return es_err_set(err, ES_EINPUT, "--hosts: Slurm chooses the machines itself");
    if (strchr(args->out, '\'') || strchr(s->file, '\''))
        return es_err_set(err, ES_EINPUT, "%s: a script can name no file with a quote (') in its name", strchr(s->file, '\'') ? s->file : args->out);
    es_code code = script_number(args->shards, "--shards", (long)s->points < SCRIPT_PARTS ? (long)s->points : SCRIPT_PARTS, &s->parts, err);
    if (code == ES_OK)
        code = script_number(args->at_once, "--throttle", s->parts < SCRIPT_AT_ONCE ? s->parts : SCRIPT_AT_ONCE, &s->at_once, err);
    return code ? code : script_number(args->jobs, "--jobs", SCRIPT_JOBS, &s->jobs, err);
}

es_code sweep_script(const sweep_args *args, const char *file, es_err *err)
{
    es_sweep *sweep = NULL;
    es_text text = {0};
    es_code code = es_sweep_load(&sweep, file, args->many, err);        /* better known now than on the cluster */
    if (code)
        return code;
    script s = {.file = file, .args = args, .points = es_sweep_count(sweep)};
    code = script_arguments(&s, err);
    for (const char *c = es_sweep_name(sweep); *c; c++)
        es_text_add(&s.name, "%c", isalnum((unsigned char)*c) || strchr("-_.", *c) ? *c : '_');
    if (code == ES_OK && (!s.name.at || s.name.failed))
        code = es_err_nomem(err, "the script");
    if (code == ES_OK && args->slurm)
        script_slurm(&s, &text);
    else if (code == ES_OK)
        script_parallel(&s, &text);
    es_text_free(&s.name);
    es_sweep_free(sweep);
    return cmd_print(code, &text, err);
}
