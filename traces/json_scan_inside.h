/* What the two files of the JSON scan share: its state, and the steps that every value takes. See json_scan.h. */
#ifndef ES_TRACES_JSON_SCAN_INSIDE_H
#define ES_TRACES_JSON_SCAN_INSIDE_H

#include "sim/base/reader.h"
#include "traces/json_scan.h"

enum { JSON_SCAN_WINDOW = 256 * 1024, JSON_SCAN_NUMBER = 1024, JSON_SCAN_NAME = 40 };

typedef struct json_scan_level {        /* an object or array that is open */
    bool array, begun;                  /* begun: a comma comes before its next value */
    uint32_t hint;                      /* the name that is tried first: files write their keys in one order */
    uint64_t index;                     /* of the value, in an array */
    uint64_t seen;                      /* names of the caller met in this object, a bit each */
    const char *name;                   /* the key: one of the caller's, or `text`; NULL: one that nobody asked for */
    char text[JSON_SCAN_NAME];
} json_scan_level;

struct es_json_scan {
    const char *at, *end;               /* what is not read yet; a byte 0 stands at `end` */
    uint64_t gone;                      /* bytes of the file before the window */
    uint64_t line, line_at;             /* line feeds met, and the byte behind the last of them */
    uint32_t depth;                     /* level[1 .. depth] are open */
    bool over;                          /* the window's end is the file's */
    bool torn, closing;                 /* closing: a bracket that closes something stood last when it was torn */
    bool lenient;                       /* a compressed stream that stops early ends there */
    es_reader *reader;
    char *file;                         /* the path, to open it again */
    char *window;                       /* [JSON_SCAN_WINDOW + 1] */
    es_err err;
    json_scan_level level[ES_JSON_SCAN_DEPTH + 1];
};

/* More bytes behind those that are not read, which move to the window's front. false: there are no more, or no room. */
bool json_scan_fill(es_json_scan *scan);
/* White space and the ends of the window; json_scan_next for the rare bytes. */
char json_scan_space(es_json_scan *scan);
/* "found X, needs WANT", or that the file ends where WANT is needed. Always false. */
bool json_scan_expected(es_json_scan *scan, const char *want);
/* The same at the value `index` of an array that is read in one go, whose first byte is at `at`. */
bool json_scan_expected_at(es_json_scan *scan, uint64_t index, const char *at, const char *want);
/* Passes over a string, a number or a word. */
bool json_scan_scalar(es_json_scan *scan);
/* Passes over ids behind the one of an array that was just passed, as far as they stand plainly; what is left is another's to look at. */
void json_scan_pass(es_json_scan *scan);

/* The first byte that is no white space, left unread; 0 at the end of the file. */
static inline char json_scan_next(es_json_scan *scan)
{
    while (*scan->at == ' ')
        scan->at++;
    return (unsigned char)*scan->at > ' ' ? *scan->at : json_scan_space(scan);
}

/* Is what was read up to `p` perhaps only the beginning of it? Then there is more now, and it must be read from `at` again. */
static inline bool json_scan_cut(es_json_scan *scan, const char *p)
{
    return p == scan->end && json_scan_fill(scan);
}

#endif
