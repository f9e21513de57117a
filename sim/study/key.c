/* Key: see key.h. */
#include "sim/study/key.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/text.h"

es_code es_key_at(es_err *err, const char *fmt, ...)
{
    if (!err)
        return ES_OK;
    char where[ES_KEY], text[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(where, sizeof where, fmt, args);
    va_end(args);
    memcpy(text, err->text, sizeof text);
    /* "latency: 3 is ..." continues the key; a sentence does not. */
    size_t word = strcspn(text, " :");
    bool key = text[word] == ':' && text[word + 1] == ' ' && word > 0 && !memchr(text, '/', word);
    snprintf(err->text, sizeof err->text, "%.400s%s%.600s", where, key ? "." : ": ", text);
    return err->code;
}

/* Does the key match a pattern in which * stands for any one name and # for a number? */
static bool key_matches(const char *key, const char *pattern)
{
    while (*pattern) {
        if (*pattern == '*' || *pattern == '#') {
            size_t length = *pattern == '*' ? strcspn(key, ".") : strspn(key, "0123456789");
            if (length == 0)
                return false;
            key += length;
            pattern++;
        } else if (*pattern++ != *key++) {
            return false;
        }
    }
    return *key == '\0';
}

static bool key_matches_any(const char *key, const char *const *patterns)
{
    for (; *patterns; patterns++)
        if (key_matches(key, *patterns))
            return true;
    return false;
}

static const char *const key_parts[] = {"policy", "predictor", "dispatcher", "router", "tuner", "tuner.#", "observers.*", "trace.source", "tiers.*.allocator",
    "tiers.*.allocation", "tiers.*.policy", "tiers.*.access", "tiers.*.moves", "channels.*.timing", "channels.*.scheduler", NULL};

bool es_key_is_part(const char *key)
{
    return key_matches_any(key, key_parts);
}

/* The last name of a key. */
static const char *key_last(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

bool es_key_is_file(const char *key, const char *value)
{
    static const char *const words[] = {"path", "file", "shape", "layer_bytes", "weights", NULL};
    if (key_matches(key, "plugins.*"))
        return true;
    if (strncmp(key, "observers.", 10) == 0)    /* what they write goes where the user stands */
        return false;
    const char *last = key_last(key);
    if (strcmp(last, "calibrate") == 0)
        return strcmp(value, "in_sample") != 0;
    if (strcmp(key, "contract.start") == 0)
        return strcmp(value, "cold") != 0;
    return key_matches_any(last, words);
}

enum { KEY_HALF = 250 };        /* of each of two that are joined so much is kept */

/* By hand, for every member of every config passes here, many times in a sweep. */
void es_key_join(char *out, const char *key, const char *name)
{
    const size_t length = strnlen(key, KEY_HALF), more = strnlen(name, KEY_HALF);
    memmove(out, key, length);
    char *at = out + length;
    if (length)
        *at++ = '.';
    memcpy(at, name, more);
    at[more] = '\0';
}

void es_key_of_child(char *out, const char *key, const es_json *parent, const es_json *child, int index)
{
    char name[16];
    if (cJSON_IsArray(parent))
        snprintf(name, sizeof name, "%d", index);
    es_key_join(out, key, cJSON_IsArray(parent) ? name : child->string);
}

/* ---- paths ---- */

/* Takes "./" and "x/.." out of a path, in place. */
static void path_tidy(char *path)
{
    char *part[ES_KEY];
    size_t count = 0;
    bool rooted = *path == '/', slash;
    for (char *p = path; *p;) {
        size_t length = strcspn(p, "/");
        slash = p[length] == '/';
        p[length] = '\0';
        bool up = strcmp(p, "..") == 0;
        if (up && count > 0 && strcmp(part[count - 1], "..") != 0)
            count--;
        else if (length > 0 && strcmp(p, ".") != 0 && !(up && rooted) && count < ES_KEY)
            part[count++] = p;
        p += length + slash;
    }
    char *to = path + rooted;
    if (rooted)
        *path = '/';                /* cut off above as the end of an empty part */
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(part[i]);
        memmove(to, part[i], length);
        to += length;
        *to++ = '/';
    }
    if (count > 0)
        to--;
    *to = '\0';
}

char *es_path_from(es_arena *arena, const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    if (*path == '/' || strcmp(path, "-") == 0 || *path == '\0')
        return es_arena_text(arena, path);
    es_text joined = {0};
    es_text_put(&joined, file, slash ? (size_t)(slash - file) + 1 : 0);
    es_text_put(&joined, path, strlen(path));
    char *plain = joined.failed ? NULL : es_arena_text(arena, joined.at);
    char *tidy = joined.failed ? NULL : es_arena_text(arena, joined.at);
    es_text_free(&joined);
    if (!plain || !tidy)
        return NULL;
    path_tidy(tidy);
    /* Behind a symbolic link "x/.." is not where one was. */
    return access(tidy, F_OK) != 0 && access(plain, F_OK) == 0 ? plain : tidy;
}
