/* Ids of points: SHA-256 over the version, the resolved config in its own order, and in place of each file's path what the file holds.
 * So an id follows neither where files lie nor what they are called. See sweep_inside.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/h5.h"
#include "sim/base/sha256.h"
#include "sim/study/key.h"
#include "sim/study/result.h"
#include "sim/study/sweep_inside.h"

/* ---- files ---- */

/* A native trace says the digest of its content itself: the same routing written anew is the same trace. Any other file: *hex is empty. */
static es_code id_of_trace(const char *path, char hex[65], es_err *err)
{
    es_h5 *file = NULL;
    char *format = NULL, *sha256 = NULL;
    *hex = '\0';
    if (!es_h5_is(path))
        return ES_OK;
    es_code code = es_h5_open(&file, path, false, err);
    if (code == ES_OK && es_h5_has_attr(file, "/", "format") && es_h5_has_attr(file, "/", "sha256")) {
        code = es_h5_get_text(file, "/", "format", &format, err);
        if (code == ES_OK)
            code = es_h5_get_text(file, "/", "sha256", &sha256, err);
        if (code == ES_OK && strcmp(format, "expertsim-trace") == 0 && strlen(sha256) == 64)
            memcpy(hex, sha256, 65);
    }
    free(format);
    free(sha256);
    es_h5_close(file, NULL);
    return code == ES_EINTERNAL ? code : ES_OK;     /* what is wrong with a file the run will say */
}

/* *hex is empty when it cannot be read, which the run will say. */
static void id_of_bytes(const char *path, char hex[65])
{
    unsigned char buffer[65536];
    FILE *file = fopen(path, "rb");
    *hex = '\0';
    if (!file)
        return;
    es_sha256 sha;
    es_sha256_begin(&sha);
    for (size_t got; (got = fread(buffer, 1, sizeof buffer, file)) > 0;)
        es_sha256_add(&sha, buffer, got);
    if (!ferror(file))
        es_sha256_hex(&sha, hex);
    fclose(file);
}

/* The digest of a file, found once; an empty one when it cannot be read. NULL: no memory. */
static const char *id_of_file(es_sweep *sweep, const char *path)
{
    for (size_t i = 0; i < sweep->digests; i++)
        if (strcmp(sweep->digest[i].path, path) == 0)
            return sweep->digest[i].hex;
    sweep_digest *grown = realloc(sweep->digest, (sweep->digests + 1) * sizeof *grown);
    sweep_digest digest = {.path = es_arena_text(&sweep->arena, path)};
    if (grown)
        sweep->digest = grown;
    if (!grown || !digest.path || id_of_trace(path, digest.hex, NULL) != ES_OK)
        return NULL;
    if (!*digest.hex)
        id_of_bytes(path, digest.hex);
    grown[sweep->digests] = digest;
    return grown[sweep->digests++].hex;
}

/* ---- configs ---- */

static void id_add(es_sha256 *sha, char kind, const char *text)
{
    es_sha256_add(sha, &kind, 1);
    es_sha256_add(sha, text, strlen(text) + 1);
}

static bool id_add_json(es_sweep *sweep, es_sha256 *sha, const es_json *value, const char *key)
{
    char text[ES_KEY];
    if (value->string)
        id_add(sha, ':', value->string);
    if (cJSON_IsString(value)) {
        const char *hex = es_key_is_file(key, value->valuestring) ? id_of_file(sweep, value->valuestring) : "";
        if (hex)
            id_add(sha, *hex ? 'f' : 's', *hex ? hex : value->valuestring);
        return hex != NULL;
    }
    if (cJSON_IsNumber(value)) {
        snprintf(text, sizeof text, "%.17g", value->valuedouble);
        id_add(sha, 'n', text);
    } else if (cJSON_IsRaw(value)) {
        id_add(sha, 'n', value->valuestring);
    } else {
        id_add(sha, cJSON_IsObject(value) ? '{' : cJSON_IsArray(value) ? '[' : cJSON_IsTrue(value) ? 't' : cJSON_IsFalse(value) ? 'F' : '0', "");
    }
    int index = 0;
    bool fine = true;
    for (const es_json *child = value->child; child && fine; child = child->next) {
        es_key_of_child(text, key, value, child, index++);
        fine = id_add_json(sweep, sha, child, text);
    }
    if (value->child)
        id_add(sha, '}', "");
    return fine;
}

/* Two configs with the same number here open the same source with the same wishes. */
static bool id_feed(es_sweep *sweep, const es_config *config, uint64_t *feed)
{
    const es_json *resolved = es_config_resolved(config), *trace = cJSON_GetObjectItemCaseSensitive(resolved, "trace");
    const es_json *plugins = cJSON_GetObjectItemCaseSensitive(resolved, "plugins");
    es_source_ask ask = es_config_ask(config);
    char hex[65], wishes[64];
    es_sha256 sha;
    es_sha256_begin(&sha);
    snprintf(wishes, sizeof wishes, "%d %d %d %u", ask.weights, ask.residency, ask.guesses, ask.experts);
    id_add(&sha, 'a', wishes);
    bool fine = id_add_json(sweep, &sha, trace, "trace") && id_add_json(sweep, &sha, plugins, "plugins");
    /* Twice the same content under two names is read from each: a result says where its trace lay. */
    if (ask.path)
        id_add(&sha, 'p', ask.path);
    es_sha256_hex(&sha, hex);
    hex[16] = '\0';
    *feed = strtoull(hex, NULL, 16);
    return fine;
}

es_code sweep_identify(es_sweep *sweep, const es_config *config, char id[ES_SWEEP_ID + 1], uint64_t *feed, es_err *err)
{
    char hex[65];
    es_sha256 sha;
    es_sha256_begin(&sha);
    id_add(&sha, 'v', ES_VERSION);
    if (!id_add_json(sweep, &sha, es_config_resolved(config), "") || !id_feed(sweep, config, feed))
        return es_err_nomem(err, "the points");
    es_sha256_hex(&sha, hex);
    memcpy(id, hex, ES_SWEEP_ID);
    id[ES_SWEEP_ID] = '\0';
    return ES_OK;
}
