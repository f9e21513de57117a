/* Tree: the files and settings of a config made into one JSON tree.
 *
 * Later wins: what a file includes, then the file itself, then --set. Objects are merged, everything else is replaced. Where a
 * part stands ("policy", "channels.pcie.timing") a text is short for {"name": TEXT}, and another name drops the options beside
 * the old one, for they were the old part's; so does another trace with what described the old one.
 *
 * Paths of files are relative to the file that says them (in --set: to the current directory); in the tree they are as one
 * would write them from the current directory. The tree remembers who said what, for errors. */
#ifndef ES_STUDY_TREE_H
#define ES_STUDY_TREE_H

#include "sim/base/arena.h"
#include "sim/base/json.h"

typedef struct es_tree_origin {
    const char *key, *from;     /* "tiers.cache.capacity", "configs/quickstart.json" or "--set tiers.cache.capacity" */
} es_tree_origin;

typedef struct es_tree {
    es_json *root;              /* an object; NULL before loading */
    es_arena arena;
    const char *file;           /* the config itself */
    es_tree_origin *origins;    /* one per leaf and who said it, later wins */
    size_t origin_count, origin_room;
    es_json *input;             /* {"files": [{"path", "text"}...], "sets": [...]}: to the letter what the user wrote */
} es_tree;

/* Loads a file with all it includes, then applies the settings, each "PATH=VALUE". */
es_code es_tree_load(es_tree *tree, const char *file, const char *const *sets, size_t set_count, es_err *err);
/* The same of a config that stands inside another file, as its member of that name; an error when it is no object. */
es_code es_tree_load_inside(es_tree *tree, const char *file, const char *member, es_err *err);
/* A value as `file` means it at a key: short forms written out, paths of files moved. Replaces *value, which stays as it is after an error. */
es_code es_tree_said(es_arena *arena, const char *file, const char *key, es_json **value, es_err *err);
/* The same from a tree that was made before, such as the resolved config of a result. `from` names it in errors; its paths stay. */
es_code es_tree_adopt(es_tree *tree, const es_json *root, const char *from, const char *const *sets, size_t set_count, es_err *err);
/* The input of a result that is run again: its files, and its settings before those given now. */
es_code es_tree_inherit(es_tree *tree, const es_json *input, es_err *err);
/* Puts who said the key with which the error begins before it. Returns the code. */
es_code es_tree_blame(const es_tree *tree, es_err *err);
void es_tree_free(es_tree *tree);

#endif
