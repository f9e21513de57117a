/* expertsim schema: a JSON Schema of configs, or of sweep files, for editors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/cli/cmd.h"
#include "sim/expertsim.h"
#include "sim/study/sweep.h"

static es_code schema_sweep(char **text, es_err *err)
{
    es_json *schema = es_sweep_schema();
    *text = schema ? es_json_text(schema) : NULL;
    cJSON_Delete(schema);
    return *text ? ES_OK : es_err_nomem(err, "the schema");
}

static es_code schema_exec(int count, char **args, es_err *err)
{
    char *json = NULL;
    const bool sweep = count == 1 && strcmp(args[0], "sweep") == 0;
    if (count > 0 && !sweep)
        return cmd_misused(&cmd_schema, err, "of configs without a word, or of a sweep");
    es_code code = sweep ? schema_sweep(&json, err) : es_schema(&json, err);
    if (code == ES_OK)
        fputs(json, stdout);
    es_free(json);
    return code;
}

const cmd_entry cmd_schema = {
    .name = "schema",
    .usage = "[sweep]",
    .brief = "Print a JSON Schema of configs or sweeps, for an editor that completes and checks.",
    .help = "For example: expertsim schema > expertsim.schema.json, and \"$schema\" in the editor's settings. `schema sweep` is that of sweep files.\n",
    .exec = schema_exec,
};
