/* Key: the place of a value in a config, "channels.pcie.timing", and what is known of it by its name alone. */
#ifndef ES_STUDY_KEY_H
#define ES_STUDY_KEY_H

#include <stdbool.h>

#include "sim/base/arena.h"
#include "sim/base/json.h"

enum { ES_KEY = 512 };          /* room for a key; longer ones are cut, they only end up in errors */

/* "a.b: text" from the error "text" or "b: text", for keys that are put together from the inside out. Returns the code. */
es_code es_key_at(es_err *err, const char *fmt, ...) ES_PRINTF(2, 3);
void es_key_join(char *out, const char *key, const char *name);
/* The key of a member of an object, or of an entry of a list. */
void es_key_of_child(char *out, const char *key, const es_json *parent, const es_json *child, int index);

/* Does a part stand here? Then a text is short for an object with its name. */
bool es_key_is_part(const char *key);
/* Is the text here the path of a file? */
bool es_key_is_file(const char *key, const char *value);

/* `path` as said by `file`, seen from the current directory. NULL: no memory. */
char *es_path_from(es_arena *arena, const char *file, const char *path);

#endif
