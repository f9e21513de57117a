/* Store of a search: see search_store.h. */
#include "sim/cli/search_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/file.h"

static void store_key(const char *const *sets, size_t count, double share, es_text *key)
{
    es_text_add(key, "%.17g", share);
    for (size_t i = 0; i < count; i++)
        es_text_add(key, "\n%s", sets[i]);
}

/* Where the point is; `count` when it is not expected. */
static size_t store_find(const search_store *store, const char *const *sets, size_t count, double share)
{
    es_text key = {0};
    size_t i = 0;
    store_key(sets, count, share, &key);
    while (i < store->count && (key.failed || !store->key[i] || strcmp(store->key[i], key.at) != 0))
        i++;
    es_text_free(&key);
    return i;
}

static void store_path(const search_store *store, size_t i, es_text *path)
{
    es_text_add(path, "%s/%zu.json", store->dir.at, i);
}

es_code search_store_expect(search_store *store, const char *const *sets, size_t count, double share, bool *fresh, es_err *err)
{
    *fresh = store_find(store, sets, count, share) == store->count;
    if (!*fresh)
        return ES_OK;
    es_code code = store->dir.at ? ES_OK : es_file_make_scratch("search", &store->dir, err);
    char **grown = code == ES_OK ? realloc(store->key, (store->count + 1) * sizeof *grown) : NULL;
    es_text key = {0};
    if (grown) {
        store->key = grown;
        store_key(sets, count, share, &key);
        if (!key.failed)
            grown[store->count++] = key.at;
    }
    *fresh = code == ES_OK && grown && !key.failed;
    return code || *fresh ? code : es_err_nomem(err, "the points");
}

/* Not to the disk: it is read in a moment, by whoever started us. */
static es_code store_write(const char *path, const char *text, es_err *err)
{
    FILE *file = fopen(path, "w");
    bool fine = file && fputs(text, file) >= 0;
    fine = file && fclose(file) == 0 && fine;
    return fine ? ES_OK : es_err_set(err, ES_EINPUT, "%s: cannot be written: %s", path, strerror(errno));
}

es_code search_store_put(const search_store *store, const char *const *sets, size_t count, double share, const es_json *result, es_code code, const es_err *said, es_err *err)
{
    es_json *kept = result ? NULL : cJSON_CreateObject();
    es_text path = {0};
    if (kept) {
        es_json_add_int(kept, "code", code);
        es_json_add_text(kept, "said", said->text);
    }
    char *text = es_json_text(result ? result : kept);
    store_path(store, store_find(store, sets, count, share), &path);
    es_code saved = text && !path.failed ? store_write(path.at, text, err) : es_err_nomem(err, "the results");
    es_text_free(&path);
    free(text);
    cJSON_Delete(kept);
    return saved;
}

bool search_store_take(search_store *store, const char *const *sets, size_t count, double share, es_json **result, es_code *code, es_err *err)
{
    const size_t i = store_find(store, sets, count, share);
    es_text path = {0};
    *result = NULL;
    if (i == store->count)
        return false;
    store_path(store, i, &path);
    *code = path.failed ? es_err_nomem(err, "the results") : es_json_load(result, path.at, err);
    const es_json *said = *code == ES_OK ? cJSON_GetObjectItemCaseSensitive(*result, "said") : NULL;
    if (said) {
        *code = es_err_set(err, (es_code)cJSON_GetObjectItemCaseSensitive(*result, "code")->valueint, "%s", said->valuestring);
        cJSON_Delete(*result);
        *result = NULL;
    }
    unlink(path.at ? path.at : "");
    es_text_free(&path);
    free(store->key[i]);
    store->key[i] = NULL;
    return true;
}

void search_store_free(search_store *store)
{
    for (size_t i = 0; i < store->count; i++) {
        es_text path = {0};
        store_path(store, i, &path);
        if (store->key[i] && path.at)
            unlink(path.at);            /* was run and is not needed */
        es_text_free(&path);
        free(store->key[i]);
    }
    if (store->dir.at)
        rmdir(store->dir.at);
    free(store->key);
    es_text_free(&store->dir);
}
