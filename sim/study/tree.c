/* Tree: see tree.h.
 *
 * A file goes through four steps before it is merged into the tree:
 *   1. short forms are written out (tree_expand), so that merging knows only objects;
 *   2. paths of files are moved to the current directory (tree_move);
 *   3. each "include" is loaded the same way, merged under the object that says it, and taken out (tree_include);
 *   4. the origin of what the file itself said is noted (tree_note), behind that of what it includes: later wins. */
#include "sim/study/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/study/key.h"

enum { TREE_DEPTH = 32 };

typedef struct tree_file {      /* a file being read, and those that led to it */
    const struct tree_file *by;
    const char *path;           /* as said, from the current directory */
    char *real;                 /* without links: what tells that it is the same file again */
} tree_file;

/* ---- origins ---- */

static es_code tree_origin_add(es_tree *tree, const char *key, const char *from, es_err *err)
{
    if (tree->origin_count == tree->origin_room) {
        size_t room = tree->origin_room ? 2 * tree->origin_room : 64;
        es_tree_origin *grown = realloc(tree->origins, room * sizeof *grown);
        if (!grown)
            return es_err_nomem(err, "the config");
        tree->origins = grown;
        tree->origin_room = room;
    }
    const char *kept = es_arena_text(&tree->arena, key);
    if (!kept)
        return es_err_nomem(err, "the config");
    tree->origins[tree->origin_count++] = (es_tree_origin){kept, from};
    return ES_OK;
}

/* Is `key` the same as `above` or inside it? */
static bool key_inside(const char *key, const char *above)
{
    size_t length = strlen(above);
    return strncmp(key, above, length) == 0 && (key[length] == '\0' || key[length] == '.');
}

/* Was what this origin said said anew later, by itself or as part of more? */
static bool tree_overruled(const es_tree *tree, size_t origin)
{
    for (size_t i = origin + 1; i < tree->origin_count; i++)
        if (key_inside(tree->origins[origin].key, tree->origins[i].key))
            return true;
    return false;
}

/* Who said what the error is about: this key or what it is part of; or all that is below it when one alone said it; or the config. */
static const char *tree_who(const es_tree *tree, const char *key)
{
    const char *who = NULL;
    for (size_t i = tree->origin_count; i-- > 0;)
        if (key_inside(key, tree->origins[i].key))
            return tree->origins[i].from;
    for (size_t i = 0; i < tree->origin_count; i++) {
        const es_tree_origin *origin = &tree->origins[i];
        if (!key_inside(origin->key, key) || tree_overruled(tree, i))
            continue;
        if (who && strcmp(who, origin->from) != 0)
            return tree->file;
        who = origin->from;
    }
    return who ? who : tree->file;
}

/* The key an error is about: what it begins with, and the name of an unknown option. Returns its length, 0: it names none. */
static size_t tree_key_of(const char *text, char *key)
{
    static const char unknown[] = "unknown option \"";
    size_t length = strcspn(text, " :");
    if (text[length] != ':' || length >= ES_KEY)
        length = 0;
    size_t n = 0;
    for (size_t i = 0; i < length; i++)     /* links[0].from is links.0.from */
        if (text[i] != ']')
            key[n++] = text[i] == '[' ? '.' : text[i];
    key[n] = '\0';
    const char *rest = text + length + (length ? 2 : 0);
    if (strncmp(rest, unknown, sizeof unknown - 1) == 0) {
        char name[ES_KEY];
        rest += sizeof unknown - 1;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(rest, "\""), rest);
        char above[ES_KEY];
        snprintf(above, sizeof above, "%s", key);
        es_key_join(key, above, name);
    }
    return strlen(key);
}

es_code es_tree_blame(const es_tree *tree, es_err *err)
{
    if (!err)
        return ES_OK;
    char key[ES_KEY];
    size_t length = tree_key_of(err->text, key);
    const char *who = length ? tree_who(tree, key) : tree->file;
    /* "--set tiers.cache.capacity" says the key already. */
    const char *said = strncmp(who, "--set ", 6) == 0 ? who + 6 : NULL;
    if (said && strcmp(said, key) == 0 && strncmp(err->text, key, length) == 0)
        return es_err_at(err, "--set"), err->code;
    return es_err_at(err, "%s", who), err->code;
}

/* ---- step 1: short forms ---- */

/* Replaces the text by an object in which it stands under `name`. */
static es_code tree_wrap(es_json *parent, es_json *text, const char *name, es_err *err)
{
    es_json *object = cJSON_CreateObject();
    es_json *copy = object ? cJSON_AddStringToObject(object, name, text->valuestring) : NULL;
    char *key = NULL;
    if (copy && text->string && !(key = cJSON_malloc(strlen(text->string) + 1)))
        copy = NULL;
    if (!copy) {
        cJSON_Delete(object);
        return es_err_nomem(err, "the config");
    }
    if (key)
        object->string = strcpy(key, text->string);
    cJSON_ReplaceItemViaPointer(parent, text, object);
    return ES_OK;
}

static es_code tree_expand(es_json *object, const char *key, es_err *err)
{
    es_code code = ES_OK;
    int index = 0;
    for (es_json *child = object->child, *next; child && code == ES_OK; child = next) {
        next = child->next;
        char path[ES_KEY];
        es_key_of_child(path, key, object, child, index++);
        if (cJSON_IsObject(child) || cJSON_IsArray(child))
            code = tree_expand(child, path, err);
        else if (cJSON_IsString(child) && es_key_is_part(path))
            code = tree_wrap(object, child, "name", err);
        else if (cJSON_IsString(child) && strcmp(path, "contract") == 0)
            code = tree_wrap(object, child, "preset", err);
        else if (cJSON_IsString(child) && strcmp(path, "trace") == 0)
            code = tree_wrap(object, child, "path", err);
    }
    return code;
}

/* ---- step 2: paths ---- */

static es_code tree_move(es_arena *arena, es_json *value, const char *key, const char *file, es_err *err)
{
    if (cJSON_IsString(value) && es_key_is_file(key, value->valuestring)) {
        const char *path = es_path_from(arena, file, value->valuestring);
        if (!path || !cJSON_SetValuestring(value, path))
            return es_err_nomem(err, "the config");
    }
    es_code code = ES_OK;
    int index = 0;
    for (es_json *child = value->child; child && code == ES_OK; child = child->next) {
        char path[ES_KEY];
        es_key_of_child(path, key, value, child, index++);
        code = tree_move(arena, child, path, file, err);
    }
    return code;
}

/* ---- step 4: who says it ---- */

static es_code tree_note(es_tree *tree, const es_json *value, const char *key, const char *from, es_err *err)
{
    if (!cJSON_IsObject(value) && !(cJSON_IsArray(value) && value->child))      /* an empty list says something, an empty object nothing */
        return tree_origin_add(tree, key, from, err);
    es_code code = ES_OK;
    int index = 0;
    for (const es_json *child = value->child; child && code == ES_OK; child = child->next) {
        char path[ES_KEY];
        es_key_of_child(path, key, value, child, index++);
        code = tree_note(tree, child, path, from, err);
    }
    return code;
}

/* ---- merging ---- */

static const char *tree_text(const es_json *object, const char *name)
{
    const es_json *member = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(member) ? member->valuestring : NULL;
}

/* Takes away what belongs to the part or trace that `over` replaces by another. */
static void tree_drop(es_json *base, const es_json *over, const char *key)
{
    if (es_key_is_part(key)) {
        const char *old = tree_text(base, "name"), *other = tree_text(over, "name");
        bool replaced = old && other && strcmp(old, other) != 0;
        while (replaced && base->child)
            cJSON_Delete(cJSON_DetachItemViaPointer(base, base->child));
    }
    if (strcmp(key, "trace") == 0) {
        bool path = tree_text(over, "path"), source = cJSON_GetObjectItemCaseSensitive(over, "source");
        static const char *const of_file[] = {"format", "layers", "top_k", "axes", "lenient"};
        for (size_t i = 0; (path || source) && i < sizeof of_file / sizeof *of_file; i++)
            cJSON_DeleteItemFromObjectCaseSensitive(base, of_file[i]);
        if (path)
            cJSON_DeleteItemFromObjectCaseSensitive(base, "source");
        if (source)
            cJSON_DeleteItemFromObjectCaseSensitive(base, "path");
    }
}

static es_code tree_merge(es_json *base, const es_json *over, const char *key, es_err *err)
{
    tree_drop(base, over, key);
    const es_json *member;
    cJSON_ArrayForEach(member, over) {
        char path[ES_KEY];
        es_key_join(path, key, member->string);
        es_json *old = cJSON_GetObjectItemCaseSensitive(base, member->string);
        es_code code = ES_OK;
        if (cJSON_IsObject(old) && cJSON_IsObject(member)) {
            code = tree_merge(old, member, path, err);
        } else {
            es_json *copy = cJSON_Duplicate(member, true);
            if (!copy || !(old ? cJSON_ReplaceItemInObjectCaseSensitive(base, member->string, copy) : cJSON_AddItemToObject(base, member->string, copy)))
                code = es_err_nomem(err, "the config");
        }
        if (code)
            return code;
    }
    return ES_OK;
}

/* ---- step 3: files and what they include ---- */

static es_code tree_read(es_tree *tree, const tree_file *by, const char *path, const char *key, es_json **out, es_err *err);

/* Merges one file under `into`. */
static es_code tree_include_file(es_tree *tree, const tree_file *file, const es_json *name, const char *key, es_json *into, es_err *err)
{
    if (!cJSON_IsString(name))
        return es_err_set(err, ES_EINPUT, "found %s, needs the path of a file or a list of them", es_json_kind(name));
    const char *path = es_path_from(&tree->arena, file->path, name->valuestring);
    if (!path)
        return es_err_nomem(err, "the config");
    es_json *included = NULL;
    es_code code = tree_read(tree, file, path, key, &included, err);
    if (code == ES_OK)
        code = tree_merge(into, included, key, err);
    cJSON_Delete(included);
    return code;
}

static es_code tree_include(es_tree *tree, const tree_file *file, es_json *object, const char *key, es_err *err);

static es_code tree_include_below(es_tree *tree, const tree_file *file, es_json *object, const char *key, es_err *err)
{
    es_code code = ES_OK;
    int index = 0;
    for (es_json *child = object->child; child && code == ES_OK; child = child->next) {
        char path[ES_KEY];
        es_key_of_child(path, key, object, child, index++);
        if (cJSON_IsObject(child) || cJSON_IsArray(child))
            code = tree_include(tree, file, child, path, err);
    }
    return code;
}

/* Replaces object by: what its "include" names, in order, then what it says itself. */
static es_code tree_include(es_tree *tree, const tree_file *file, es_json *object, const char *key, es_err *err)
{
    es_code code = tree_include_below(tree, file, object, key, err);
    es_json *include = cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, "include") : NULL;
    if (code || !include)
        return code;
    cJSON_DetachItemViaPointer(object, include);
    es_json *merged = cJSON_CreateObject(), *name;
    if (!merged)
        code = es_err_nomem(err, "the config");
    if (code == ES_OK && !cJSON_IsArray(include))
        code = tree_include_file(tree, file, include, key, merged, err);
    else
        cJSON_ArrayForEach(name, include) if (code == ES_OK) code = tree_include_file(tree, file, name, key, merged, err);
    if (code)
        es_err_at(err, "%s%sinclude", key, *key ? "." : "");
    if (code == ES_OK)
        code = tree_merge(merged, object, key, err);
    if (code == ES_OK) {        /* the object stays where it is and takes the merged members */
        es_json *own = object->child;
        object->child = merged->child;
        merged->child = own;
    }
    cJSON_Delete(merged);
    cJSON_Delete(include);
    return code;
}

static es_code tree_cycle(const tree_file *file, const tree_file *first, es_err *err)
{
    es_text chain = {0};
    const tree_file *stack[TREE_DEPTH];
    size_t count = 0;
    for (const tree_file *f = file; f && count < TREE_DEPTH; f = f == first ? NULL : f->by)
        stack[count++] = f;
    while (count-- > 0)
        es_text_add(&chain, "%s%s", stack[count]->path, count > 0 ? " -> " : "");
    es_code code = es_err_set(err, ES_EINPUT, "the files include each other: %s", chain.at ? chain.at : "");
    es_text_free(&chain);
    return code;
}

/* Opens the chain by one file; refuses one that is in it already. */
static es_code tree_file_open(tree_file *file, es_err *err)
{
    file->real = realpath(file->path, NULL);
    if (!file->real)
        return es_err_set(err, ES_EINPUT, "%s: cannot open: %s", file->path, strerror(errno));
    int depth = 1;
    for (const tree_file *f = file->by; f; f = f->by, depth++)
        if (strcmp(f->real, file->real) == 0)
            return tree_cycle(file, f, err);
    if (depth > TREE_DEPTH)
        return es_err_set(err, ES_EINPUT, "%s: included %d deep, more than %d", file->path, depth, TREE_DEPTH);
    return ES_OK;
}

/* ---- what the user wrote ---- */

static es_code tree_keep_open(es_tree *tree, es_err *err)
{
    tree->input = cJSON_CreateObject();
    return es_json_add_array(tree->input, "files") && es_json_add_array(tree->input, "sets") ? ES_OK : es_err_nomem(err, "the config");
}

/* A file that is included twice is kept once. */
static es_code tree_keep_file(es_tree *tree, const char *path, const char *text, es_err *err)
{
    es_json *files = cJSON_GetObjectItemCaseSensitive(tree->input, "files");
    const es_json *file;
    cJSON_ArrayForEach(file, files) if (strcmp(tree_text(file, "path"), path) == 0) return ES_OK;
    es_json *kept = cJSON_CreateObject();
    if (cJSON_AddStringToObject(kept, "path", path) && cJSON_AddStringToObject(kept, "text", text) && cJSON_AddItemToArray(files, kept))
        return ES_OK;
    cJSON_Delete(kept);
    return es_err_nomem(err, "the config");
}

static es_code tree_keep_sets(es_tree *tree, const char *const *sets, size_t count, es_err *err)
{
    es_json *kept = cJSON_GetObjectItemCaseSensitive(tree->input, "sets");
    for (size_t i = 0; i < count; i++)
        if (!cJSON_AddItemToArray(kept, cJSON_CreateString(sets[i])))
            return es_err_nomem(err, "the config");
    return ES_OK;
}

es_code es_tree_inherit(es_tree *tree, const es_json *input, es_err *err)
{
    es_json *old = cJSON_Duplicate(input, true), *sets = cJSON_GetObjectItemCaseSensitive(old, "sets");
    const es_json *set;
    bool fine = cJSON_IsArray(sets) && cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(old, "files"));
    cJSON_ArrayForEach(set, cJSON_GetObjectItemCaseSensitive(tree->input, "sets")) fine = fine && cJSON_AddItemToArray(sets, cJSON_Duplicate(set, false));
    if (!fine) {
        cJSON_Delete(old);
        return es_err_set(err, ES_EINPUT, "provenance.input: needs lists of files and sets");
    }
    cJSON_Delete(tree->input);
    tree->input = old;
    return ES_OK;
}

/* The four steps, for what a file says at `key`. */
static es_code tree_take(es_tree *tree, const tree_file *file, es_json *root, const char *key, es_err *err)
{
    es_json *own = NULL;
    es_code code = cJSON_IsObject(root) ? tree_expand(root, key, err) : es_err_set(err, ES_EINPUT, "%s: found %s, needs an object", file->path, es_json_kind(root));
    if (code == ES_OK)
        code = tree_move(&tree->arena, root, key, file->path, err);
    if (code == ES_OK && !(own = cJSON_Duplicate(root, true)))
        code = es_err_nomem(err, "the config");
    if (code == ES_OK && (code = tree_include(tree, file, root, key, err)) != ES_OK)
        es_err_at(err, "%s", file->path);
    if (code == ES_OK)
        code = tree_note(tree, own, key, file->path, err);
    cJSON_Delete(own);
    return code;
}

/* A file with all it includes, to be merged at `key`. */
static es_code tree_read(es_tree *tree, const tree_file *by, const char *path, const char *key, es_json **out, es_err *err)
{
    tree_file file = {by, path, NULL};
    es_json *root = NULL;
    char *text = NULL;
    es_code code = tree_file_open(&file, err);
    if (code == ES_OK)
        code = es_json_load_text(&root, &text, path, err);
    if (code == ES_OK)
        code = tree_keep_file(tree, path, text, err);
    if (code == ES_OK)
        code = tree_take(tree, &file, root, key, err);
    if (code == ES_OK)
        *out = root;
    else
        cJSON_Delete(root);
    free(text);
    free(file.real);
    return code;
}

/* ---- settings ---- */

/* Does the key lead through a list that is there, to be changed in place? */
static bool tree_through_list(const es_json *root, const char *key)
{
    char above[ES_KEY];
    snprintf(above, sizeof above, "%s", key);
    for (char *dot; (dot = strrchr(above, '.')) != NULL;) {
        *dot = '\0';
        if (cJSON_IsArray(es_json_at(root, above)))
            return true;
    }
    return false;
}

/* One "PATH=VALUE". The value is JSON when it parses as JSON and a text otherwise. */
static es_code tree_set(es_tree *tree, es_json *over, const char *set, es_err *err)
{
    const char *equals = strchr(set, '=');
    if (!equals || equals == set || equals - set >= ES_KEY - 16)
        return es_err_set(err, ES_EINPUT, "--set: found \"%s\", needs PATH=VALUE, such as policy.name=lfu", set);
    char key[ES_KEY], from[ES_KEY + 8];
    size_t length = 0;
    for (const char *c = set; c < equals; c++)      /* links[0].from is links.0.from, as errors say it */
        if (*c != ']')
            key[length++] = *c == '[' ? '.' : *c;
    key[length] = '\0';
    snprintf(from, sizeof from, "--set %s", key);
    es_json *value = NULL;
    if (es_json_parse(&value, equals + 1, strlen(equals + 1), NULL) != ES_OK && !(value = cJSON_CreateString(equals + 1)))
        return es_err_nomem(err, "the config");
    const char *who = es_arena_text(&tree->arena, from);
    es_code code = who ? tree_note(tree, value, key, who, err) : es_err_nomem(err, "the config");
    if (code) {
        cJSON_Delete(value);
        return code;
    }
    es_json *into = tree_through_list(tree->root, key) ? tree->root : over;
    code = es_json_put(into, key, value, err);
    if (code)
        return es_err_at(err, "--set"), code;
    return tree_expand(into, "", err);
}

/* Settings are gathered first and merged last, so that "policy.name=lfu" keeps "policy.decay=2" whatever their order. */
static es_code tree_apply(es_tree *tree, const char *const *sets, size_t set_count, es_err *err)
{
    es_json *over = cJSON_CreateObject();
    es_code code = over ? tree_keep_sets(tree, sets, set_count, err) : es_err_nomem(err, "the config");
    for (size_t i = 0; i < set_count && code == ES_OK; i++)
        code = tree_set(tree, over, sets[i], err);
    if (code == ES_OK)
        code = tree_merge(tree->root, over, "", err);
    cJSON_Delete(over);
    return code;
}

es_code es_tree_load(es_tree *tree, const char *file, const char *const *sets, size_t set_count, es_err *err)
{
    *tree = (es_tree){0};
    tree->file = es_arena_text(&tree->arena, file);
    es_code code = tree->file ? tree_keep_open(tree, err) : es_err_nomem(err, "the config");
    if (code == ES_OK)
        code = tree_read(tree, NULL, tree->file, "", &tree->root, err);
    return code ? code : tree_apply(tree, sets, set_count, err);
}

es_code es_tree_load_inside(es_tree *tree, const char *file, const char *member, es_err *err)
{
    *tree = (es_tree){0};
    tree->file = es_arena_text(&tree->arena, file);
    es_json *all = NULL;
    char *text = NULL;
    tree_file place = {NULL, tree->file, NULL};
    es_code code = tree->file ? tree_keep_open(tree, err) : es_err_nomem(err, "the config");
    if (code == ES_OK)
        code = tree_file_open(&place, err);
    if (code == ES_OK)
        code = es_json_load_text(&all, &text, tree->file, err);
    if (code == ES_OK)
        code = tree_keep_file(tree, tree->file, text, err);
    if (code == ES_OK)
        tree->root = cJSON_DetachItemFromObjectCaseSensitive(all, member);
    if (code == ES_OK)
        code = tree_take(tree, &place, tree->root, "", err);
    cJSON_Delete(all);
    free(text);
    free(place.real);
    return code;
}

es_code es_tree_said(es_arena *arena, const char *file, const char *key, es_json **value, es_err *err)
{
    char place[ES_KEY];
    es_json *around = cJSON_CreateObject();
    es_json *copy = around ? cJSON_Duplicate(*value, true) : NULL;
    es_code code = copy ? es_json_put(around, key, copy, err) : es_err_nomem(err, "the config");
    if (code == ES_OK)
        code = tree_expand(around, "", err);
    if (code == ES_OK)
        code = tree_move(arena, around, "", file, err);
    if (code == ES_OK) {
        const char *last = strrchr(key, '.');
        snprintf(place, sizeof place, "%.*s", last ? (int)(last - key) : 0, key);
        es_json *parent = last ? es_json_at(around, place) : around;
        cJSON_Delete(*value);
        *value = cJSON_DetachItemFromObjectCaseSensitive(parent, last ? last + 1 : key);
    }
    cJSON_Delete(around);
    return code;
}

es_code es_tree_adopt(es_tree *tree, const es_json *root, const char *from, const char *const *sets, size_t set_count, es_err *err)
{
    *tree = (es_tree){0};
    tree->file = es_arena_text(&tree->arena, from);
    tree->root = cJSON_Duplicate(root, true);
    if (!tree->file || !tree->root)
        return es_err_nomem(err, "the config");
    es_code code = cJSON_IsObject(tree->root) ? tree_keep_open(tree, err)
                                              : es_err_set(err, ES_EINPUT, "%s: found %s, needs an object", from, es_json_kind(root));
    if (code == ES_OK)
        code = tree_expand(tree->root, "", err);
    return code ? code : tree_apply(tree, sets, set_count, err);
}

void es_tree_free(es_tree *tree)
{
    cJSON_Delete(tree->root);
    cJSON_Delete(tree->input);
    free(tree->origins);
    es_arena_free(&tree->arena);
    *tree = (es_tree){0};
}
