/* Generated: see generated.h. */
#include "traces/generated.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/sha256.h"

es_code es_generated_provenance(es_trace_info *info, const es_part *part, const void *state, es_arena *arena, es_err *err)
{
    char generator[64], hex[65];
    snprintf(generator, sizeof generator, "expertsim %s 1", part->name);
    es_json *note = cJSON_CreateObject();
    es_json *options = note ? (es_json_add_text(note, "generator", generator), es_json_add_object(note, "options")) : NULL;
    if (options)
        es_options_echo(part->options, state, options);
    char *text = options ? es_json_text(note) : NULL;
    cJSON_Delete(note);
    if (!text)
        return es_err_nomem(err, "a generator");
    es_sha256 sha;
    es_sha256_begin(&sha);
    es_sha256_add(&sha, text, strlen(text));
    es_sha256_hex(&sha, hex);
    info->provenance = es_arena_text(arena, text);
    info->sha256 = es_arena_text(arena, hex);
    free(text);
    return info->provenance && info->sha256 ? ES_OK : es_err_nomem(err, "a generator");
}
