/* Arguments: see cmd.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/cli/cmd.h"

static const cmd_flag *args_flag(const cmd_flag *flags, const char *arg, size_t length)
{
    for (; flags->name; flags++) {
        if (strlen(flags->name) == length && strncmp(flags->name, arg, length) == 0)
            return flags;
        if (flags->letter && strcmp(flags->letter, arg) == 0)
            return flags;
    }
    return NULL;
}

static es_code args_unknown(const cmd_flag *flags, const char *arg, es_err *err)
{
    const char *names[32];
    size_t count = 0;
    es_text all = {0};
    for (; flags->name && count < 32; flags++) {
        names[count++] = flags->name;
        es_text_add(&all, "%s%s", all.length ? ", " : "", flags->name);
    }
    const char *nearest = es_text_nearest(arg, names, count);
    es_code code = nearest ? es_err_set(err, ES_EINPUT, "there is no option %s; did you mean %s?", arg, nearest)
                           : es_err_set(err, ES_EINPUT, "there is no option %s; there are %s", arg, all.at ? all.at : "none");
    es_text_free(&all);
    return code;
}

/* Takes a flag at args[i]; returns how many arguments it used, 0: an error. */
static int args_take(const cmd_flag *flags, int i, int count, char **args, es_err *err)
{
    size_t length = strcspn(args[i], "=");
    const cmd_flag *flag = args_flag(flags, args[i], length);
    const char *value = args[i][length] == '=' ? args[i] + length + 1 : NULL;
    if (!flag)
        return args_unknown(flags, args[i], err), 0;
    if (flag->on) {
        *flag->on = true;
        return value ? (es_err_set(err, ES_EINPUT, "%s takes no value", flag->name), 0) : 1;
    }
    int used = value ? 1 : 2;
    if (!value && i + 1 == count)
        return es_err_set(err, ES_EINPUT, "%s needs a value", flag->name), 0;
    value = value ? value : args[i + 1];
    if (flag->value)
        *flag->value = value;
    else
        flag->values->at[flag->values->count++] = value;
    return used;
}

es_code cmd_parse(const cmd_flag *flags, int count, char **args, cmd_words *rest, es_err *err)
{
    size_t room = (size_t)count + 1;
    bool failed = !(rest->at = calloc(room, sizeof *rest->at));
    for (const cmd_flag *flag = flags; flag->name; flag++)
        if (flag->values && !(flag->values->at = calloc(room, sizeof *flag->values->at)))
            failed = true;
    if (failed)
        return es_err_nomem(err, "the command line");
    bool only_words = false;
    for (int i = 0; i < count;) {
        if (!only_words && strcmp(args[i], "--") == 0) {
            only_words = true;
            i++;
        } else if (only_words || args[i][0] != '-' || args[i][1] == '\0') {
            rest->at[rest->count++] = args[i++];
        } else {
            int used = args_take(flags, i, count, args, err);
            if (used == 0)
                return ES_EINPUT;
            i += used;
        }
    }
    return ES_OK;
}

es_code cmd_misused(const cmd_entry *cmd, es_err *err, const char *fmt, ...)
{
    char what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return es_err_set(err, ES_EINPUT, "%s: %s; usage: expertsim %s%s%s", cmd->name, what, cmd->name, *cmd->usage ? " " : "", cmd->usage);
}

es_code cmd_plugins(es_plugins *set, const cmd_words *files, es_err *err)
{
    es_code code = ES_OK;
    for (size_t i = 0; i < files->count && code == ES_OK; i++)
        if ((code = es_plugins_load(set, files->at[i], err)) != ES_OK)
            es_err_at(err, "--plugin");
    return code;
}

es_code cmd_print(es_code code, es_text *text, es_err *err)
{
    if (code == ES_OK && text->failed)
        code = es_err_nomem(err, "the text");
    if (code == ES_OK && text->at)
        fputs(text->at, stdout);
    es_text_free(text);
    return code;
}
