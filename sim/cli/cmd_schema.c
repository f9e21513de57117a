/* expertsim schema: a JSON Schema of configs, for editors. */
#include <stdio.h>

#include "sim/cli/cmd.h"
#include "sim/expertsim.h"

static es_code schema_exec(int count, char **args, es_err *err)
{
    (void)args;
    char *json = NULL;
    if (count > 0)
        return cmd_misused(&cmd_schema, err, "it takes no arguments");
    es_code code = es_schema(&json, err);
    if (code == ES_OK)
        fputs(json, stdout);
    es_free(json);
    return code;
}

const cmd_entry cmd_schema = {
    .name = "schema",
    .usage = "",
    .brief = "Print a JSON Schema of configs, for an editor that completes and checks.",
    .help = "For example: expertsim schema > expertsim.schema.json, and \"$schema\" in the editor's settings.\n",
    .exec = schema_exec,
};
