/* Commands of the tool: one file each, listed in main.c. Arguments and tables, nothing else: the work is done below. */
#ifndef ES_CLI_CMD_H
#define ES_CLI_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/base/text.h"
#include "sim/part/registry.h"

typedef struct cmd_entry {
    const char *name, *usage;   /* "run", "CONFIG... [--set PATH=VALUE]..." */
    const char *brief;          /* one line in `expertsim help` */
    const char *help;           /* the rest of `expertsim help NAME` */
    es_code (*exec)(int count, char **args, es_err *err);   /* args behind the name */
    bool hidden;                /* for ourselves, not in `help` */
} cmd_entry;

extern const cmd_entry cmd_run, cmd_rerun, cmd_list, cmd_describe, cmd_trace, cmd_mrc, cmd_explain, cmd_verdict, cmd_sweep, cmd_compare, cmd_search, cmd_reproduce, cmd_selftest, cmd_calibrate,
    cmd_validate, cmd_plot, cmd_report, cmd_schema, cmd_options, cmd_man;

extern const cmd_entry *const cmd_table[];      /* all of them; ends with NULL */
extern const char *const cmd_exits[];           /* [exit code] what it means; ends with NULL */
extern const char cmd_purpose[];

/* ---- arguments ---- */

typedef struct cmd_words {      /* free() at */
    const char **at;
    size_t count;
} cmd_words;

typedef struct cmd_flag {       /* exactly one of the targets is set */
    const char *name, *letter;  /* "--out", "-o" or NULL */
    bool *on;                   /* takes no value */
    const char **value;         /* takes one */
    cmd_words *values;          /* may be repeated */
} cmd_flag;

/* Sorts arguments into flags (ends with {0}) and the rest; "--" ends flags. Unknown flags are errors that name the nearest.
 * `rest` and `values` are to be freed in any case. */
es_code cmd_parse(const cmd_flag *flags, int count, char **args, cmd_words *rest, es_err *err);
/* A way of being called that is wrong; says how it is right. */
es_code cmd_misused(const cmd_entry *cmd, es_err *err, const char *fmt, ...) ES_PRINTF(3, 4);

/* Loads the files of --plugin; es_plugins_free() in any case. */
es_code cmd_plugins(es_plugins *set, const cmd_words *files, es_err *err);

/* ---- shared by run and rerun ---- */

typedef struct cmd_run_args {
    cmd_words files, sets;
    const char *out, *timeline, *window;
    bool json, quiet, with_volatile;
} cmd_run_args;

struct es_config;
es_code cmd_run_parse(const cmd_entry *cmd, cmd_run_args *run, int count, char **args, es_err *err);
/* Runs one config and shows and saves its result; `dir` NULL: saves nothing. Owns the config. */
es_code cmd_run_one(const cmd_run_args *run, struct es_config *config, const char *dir, es_err *err);
void cmd_run_free(cmd_run_args *run);
/* The config that a result came from, with run->sets on top of it; free it. */
es_code cmd_rerun_config(const cmd_run_args *run, const char *path, struct es_config **config, es_err *err);

/* ---- for people ---- */

/* Prints and frees a text, unless there is an error; returns it, or that there was no memory for the text. */
es_code cmd_print(es_code code, es_text *text, es_err *err);

/* At most 24 lines, the most important first. `dir` NULL: nothing was saved. */
void cmd_summary(const es_json *result, const char *dir, es_text *out);

#endif
