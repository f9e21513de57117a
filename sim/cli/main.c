/* expertsim: a trace-driven simulator of expert caching in Mixture-of-Experts models. The table of commands, help, exit codes. */
#include <stdio.h>
#include <string.h>

#include "sim/cli/cmd.h"
#include "sim/expertsim.h"

const cmd_entry *const cmd_table[] = {&cmd_run, &cmd_rerun, &cmd_list, &cmd_describe, &cmd_trace, &cmd_mrc, &cmd_explain, &cmd_verdict, &cmd_sweep, &cmd_compare, &cmd_search,
    &cmd_reproduce, &cmd_selftest, &cmd_calibrate, &cmd_validate, &cmd_plot, &cmd_report, &cmd_schema, &cmd_options, &cmd_man, NULL};

const char *const cmd_exits[] = {"fine", "a fault of ours", "wrong input", "a device or library is absent", "the simulation cannot go on", "a check failed", NULL};

const char cmd_purpose[] =
    "expertsim answers: how fast would this Mixture-of-Experts model run in this much memory, with which policy, and why\n"
    "not faster? It replays a trace of which experts were used through a described machine.\n";

enum { MAIN_COMMANDS = sizeof cmd_table / sizeof *cmd_table - 1 };

static const cmd_entry *main_find(const char *name)
{
    for (size_t i = 0; i < MAIN_COMMANDS; i++)
        if (strcmp(cmd_table[i]->name, name) == 0)
            return cmd_table[i];
    return NULL;
}

static es_code main_unknown(const char *name, es_err *err)
{
    const char *names[MAIN_COMMANDS];
    size_t count = 0;
    for (size_t i = 0; i < MAIN_COMMANDS; i++)
        if (!cmd_table[i]->hidden)
            names[count++] = cmd_table[i]->name;
    const char *nearest = es_text_nearest(name, names, count);
    if (nearest)
        return es_err_set(err, ES_EINPUT, "there is no command \"%s\"; did you mean \"%s\"?", name, nearest);
    return es_err_set(err, ES_EINPUT, "there is no command \"%s\"; `expertsim help` lists them", name);
}

static void main_help(FILE *to)
{
    fprintf(to, "%s\n  expertsim run configs/quickstart.json     a first run; the summary says what it found\n\nCommands:\n", cmd_purpose);
    for (size_t i = 0; i < MAIN_COMMANDS; i++)
        if (!cmd_table[i]->hidden)
            fprintf(to, "  %-9s %s\n", cmd_table[i]->name, cmd_table[i]->brief);
    fputs("  help      Say more about one of these: expertsim help run\n\nExit codes: ", to);
    for (int i = 0; cmd_exits[i]; i++)
        fprintf(to, "%s%d %s", i ? ", " : "", i, cmd_exits[i]);
    fputs(".\n", to);
}

static es_code main_help_on(const char *name, es_err *err)
{
    const cmd_entry *cmd = main_find(name);
    if (!cmd)
        return main_unknown(name, err);
    printf("expertsim %s %s\n\n%s\n", cmd->name, cmd->usage, cmd->brief);
    if (cmd->help)
        printf("\n%s", cmd->help);
    return ES_OK;
}

static bool main_asks_help(int count, char **args)
{
    for (int i = 0; i < count && strcmp(args[i], "--") != 0; i++)
        if (strcmp(args[i], "--help") == 0 || strcmp(args[i], "-h") == 0)
            return true;
    return false;
}

static es_code main_go(int count, char **args, es_err *err)
{
    const char *name = count > 0 ? args[0] : "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("expertsim %s\n", es_version());
        return ES_OK;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        if (count > 1)
            return main_help_on(args[1], err);
        main_help(stdout);
        return ES_OK;
    }
    const cmd_entry *cmd = main_find(name);
    if (!cmd)
        return main_unknown(name, err);
    if (main_asks_help(count - 1, args + 1))
        return main_help_on(name, err);
    return cmd->exec(count - 1, args + 1, err);
}

int main(int argc, char **argv)
{
    es_err err = {0};
    es_code code = main_go(argc - 1, argv + 1, &err);
    bool lost = fflush(stdout) != 0 || ferror(stdout);      /* a full disk: what was printed is not what came out */
    if (lost && !code)
        code = es_err_set(&err, ES_EINPUT, "standard output: cannot be written");
    if (code)
        fprintf(stderr, "expertsim: %s\n", err.text);
    return (int)code;
}
