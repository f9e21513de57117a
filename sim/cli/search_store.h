/* Results of a search's points that were run in processes of their own, until they are asked for: files of a folder that is nobody else's. */
#ifndef ES_CLI_SEARCH_STORE_H
#define ES_CLI_SEARCH_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/json.h"
#include "sim/base/text.h"

typedef struct search_store {   /* {0} is empty */
    es_text dir;
    char **key;                 /* [count] of a point, settings and share; NULL: it was taken */
    size_t count;
} search_store;

/* The point will be put; *fresh: it was not expected before. */
es_code search_store_expect(search_store *store, const char *const *sets, size_t count, double share, bool *fresh, es_err *err);
/* Keeps a result, or, with a code, what was said instead. By any process that has the store. */
es_code search_store_put(const search_store *store, const char *const *sets, size_t count, double share, const es_json *result, es_code code, const es_err *said, es_err *err);
/* False: the point is not there. Otherwise *result, or *code and the error, as they were put. */
bool search_store_take(search_store *store, const char *const *sets, size_t count, double share, es_json **result, es_code *code, es_err *err);
void search_store_free(search_store *store);

#endif
