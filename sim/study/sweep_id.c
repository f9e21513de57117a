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

static void id_add(es_text *out, char kind, const char *text)
{
    es_text_put(out, &kind, 1);
    es_text_put(out, text, strlen(text) + 1);
}

/* `hole` is where the value of that key stands in what is written, if it is met. */
typedef struct id_writer {
    es_sweep *sweep;
    es_text text;
    const char *hole;           /* NULL: none */
    size_t from, to;
} id_writer;

static bool id_add_json(id_writer *w, const es_json *value, const char *key)
{
    char text[ES_KEY];
    if (value->string)
        id_add(&w->text, ':', value->string);
    const size_t from = w->text.length;
    if (cJSON_IsString(value)) {
        const char *hex = es_key_is_file(key, value->valuestring) ? id_of_file(w->sweep, value->valuestring) : "";
        if (!hex)
            return false;
        id_add(&w->text, *hex ? 'f' : 's', *hex ? hex : value->valuestring);
        if (w->hole && strcmp(key, w->hole) == 0) {
            w->from = from;
            w->to = w->text.length;
        }
        return true;
    }
    if (cJSON_IsNumber(value)) {
        snprintf(text, sizeof text, "%.17g", value->valuedouble);
        id_add(&w->text, 'n', text);
    } else if (cJSON_IsRaw(value)) {
        id_add(&w->text, 'n', value->valuestring);
    } else {
        id_add(&w->text, cJSON_IsObject(value) ? '{' : cJSON_IsArray(value) ? '[' : cJSON_IsTrue(value) ? 't' : cJSON_IsFalse(value) ? 'F' : '0', "");
    }
    int index = 0;
    bool fine = true;
    for (const es_json *child = value->child; child && fine; child = child->next) {
        es_key_of_child(text, key, value, child, index++);
        fine = id_add_json(w, child, text);
    }
    if (value->child)
        id_add(&w->text, '}', "");
    return fine;
}

static uint64_t id_number(const es_sha256 *sha)
{
    char hex[65];
    es_sha256_hex(sha, hex);
    hex[16] = '\0';
    return strtoull(hex, NULL, 16);
}

/* Two configs with the same number here open the same source with the same wishes. */
static bool id_feed(es_sweep *sweep, const es_config *config, uint64_t *feed)
{
    const es_json *resolved = es_config_resolved(config), *trace = cJSON_GetObjectItemCaseSensitive(resolved, "trace");
    const es_json *plugins = cJSON_GetObjectItemCaseSensitive(resolved, "plugins");
    es_source_ask ask = es_config_ask(config);
    char wishes[64];
    id_writer w = {.sweep = sweep};
    es_sha256 sha;
    snprintf(wishes, sizeof wishes, "%d %d %d %u", ask.weights, ask.residency, ask.guesses, ask.experts);
    id_add(&w.text, 'a', wishes);
    bool fine = id_add_json(&w, trace, "trace") && id_add_json(&w, plugins, "plugins");
    /* Twice the same content under two names is read from each: a result says where its trace lay. */
    if (ask.path)
        id_add(&w.text, 'p', ask.path);
    fine = fine && !w.text.failed;
    if (fine) {
        es_sha256_begin(&sha);
        es_sha256_add(&sha, w.text.at, w.text.length);
        *feed = id_number(&sha);
    }
    es_text_free(&w.text);
    return fine;
}

es_code sweep_identify(es_sweep *sweep, const es_config *config, const char *hole, sweep_identity *out, es_err *err)
{
    id_writer w = {.sweep = sweep, .hole = hole};
    *out = (sweep_identity){0};
    id_add(&w.text, 'v', ES_VERSION);
    if (!id_add_json(&w, es_config_resolved(config), "") || w.text.failed || !id_feed(sweep, config, &out->feed)) {
        es_text_free(&w.text);
        return es_err_nomem(err, "the points");
    }
    out->text = w.text;
    out->from = w.to ? w.from : w.text.length;
    out->to = w.to ? w.to : w.text.length;
    es_sha256_begin(&out->before);
    es_sha256_add(&out->before, out->text.at, out->from);
    return ES_OK;
}

void sweep_identity_free(sweep_identity *identity)
{
    es_text_free(&identity->text);
}

void sweep_identity_id(const sweep_identity *identity, const char *value, char id[ES_SWEEP_ID + 1])
{
    es_sha256 sha = identity->before;
    char hex[65];
    if (value) {
        es_sha256_add(&sha, "s", 1);
        es_sha256_add(&sha, value, strlen(value) + 1);
    } else {
        es_sha256_add(&sha, identity->text.at + identity->from, identity->to - identity->from);
    }
    es_sha256_add(&sha, identity->text.at + identity->to, identity->text.length - identity->to);
    es_sha256_hex(&sha, hex);
    memcpy(id, hex, ES_SWEEP_ID);
    id[ES_SWEEP_ID] = '\0';
}

uint64_t sweep_identity_rest(const sweep_identity *identity)
{
    es_sha256 sha = identity->before;
    es_sha256_add(&sha, identity->text.at + identity->to, identity->text.length - identity->to);
    return id_number(&sha);
}
