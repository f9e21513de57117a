/* Fuzzes the JSON reader and writer (sim/base/json.c): what was read is written, read again and must be written the same. */
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "tests/fuzz/fuzz.h"

/* A path with all that may go wrong in one: names, numbers, nothing between dots. */
static void json_walk(const es_json *root, const uint8_t *data, size_t size)
{
    char path[32];
    size_t length = size < sizeof path - 1 ? size : sizeof path - 1;
    memcpy(path, data, length);
    path[length] = '\0';
    es_json_at(root, path);
    es_json *copy = cJSON_Duplicate(root, true);
    es_json_put(copy, path, cJSON_CreateNumber(1), NULL);
    if (es_json_merge(copy, root, NULL) == ES_OK)
        FUZZ_HOLDS(cJSON_IsObject(copy));
    cJSON_Delete(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    es_json *root = NULL, *again = NULL;
    es_err err = { 0 };
    es_code code = es_json_parse(&root, (const char *)data, size, &err);
    if (code) {
        FUZZ_HOLDS(root == NULL && err.code == code && err.text[0] != '\0');
        return 0;
    }
    char *text = es_json_text(root);
    FUZZ_HOLDS(text != NULL);
    FUZZ_HOLDS(es_json_parse(&again, text, strlen(text), NULL) == ES_OK);
    char *same = es_json_text(again);
    FUZZ_HOLDS(same && strcmp(text, same) == 0);
    json_walk(root, data, size);
    free(text);
    free(same);
    cJSON_Delete(root);
    cJSON_Delete(again);
    return 0;
}
