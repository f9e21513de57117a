/* JSON scan: pulls the values out of JSON text while it streams by: no tree, a fixed window of memory, any length of file.
 *
 * The caller walks the text and says what it expects next. A file may be one value or many (JSONL: es_json_scan_more before each).
 * Faults stick: the first one is kept, every later call answers false, and es_json_scan_end gives it to who asks. So a walk is
 * written without a check behind every step, as long as its loops end on false:
 *
 *     while (es_json_scan_more(scan) && es_json_scan_object(scan))
 *         for (int key; (key = es_json_scan_key(scan, names)) >= 0;)
 *             if (key == NAME_LAYER) es_json_scan_u32(scan, &layer);
 *
 * Keys may stand in any order; one that the caller knows may stand once in its object; those it does not know are passed over, with
 * what they hold. The grammar is that of RFC 8259, except that NaN is a number for who takes one (Python writes it), and that text
 * which is passed over is not checked to be UTF-8.
 *
 * Every fault says where: file, line, column in bytes, and the path of keys and indices. */
#ifndef ES_TRACES_JSON_SCAN_H
#define ES_TRACES_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

enum {
    ES_JSON_SCAN_DEPTH = 64,            /* values inside one another; more are a fault */
    ES_JSON_SCAN_TEXT = 64 * 1024,      /* the longest string that is given whole */
    ES_JSON_SCAN_KEYS = 64              /* names that a caller may know of one object */
};

typedef struct es_json_scan es_json_scan;

/* lenient: a compressed file may be cut (es_reader_lenient). */
es_code es_json_scan_open(es_json_scan **out, const char *path, bool lenient, es_err *err);
/* From the file's first byte once more. */
es_code es_json_scan_rewind(es_json_scan *scan, es_err *err);
/* The file is not hashed until it is read anew: for who only looks for something. */
void es_json_scan_unhashed(es_json_scan *scan);
void es_json_scan_close(es_json_scan *scan);

/* --- structure: false is the end of what is walked, or a fault -------------------------------------------------------------------- */

/* Is there a value at the top? At the end of the file there is none. */
bool es_json_scan_more(es_json_scan *scan);
/* Enters an object or an array that must stand here. */
bool es_json_scan_object(es_json_scan *scan);
bool es_json_scan_array(es_json_scan *scan);
/* Inside an array: is there another value? Leaves the array when there is none. */
bool es_json_scan_item(es_json_scan *scan);
/* Inside an object: the next key that is one of `names` (NULL ends them), by its number; below 0 the object is left. */
int es_json_scan_key(es_json_scan *scan, const char *const *names);
/* Inside an object whose keys are data: the next key, whatever it is; of a long one the first 39 bytes, and the length of all of it.
 * Valid until the next key of this object. */
bool es_json_scan_name(es_json_scan *scan, const char **name, size_t *length);
/* What stands here: { [ " or the first byte of a number, of true, false or null; 0 at the end of the file. */
char es_json_scan_peek(es_json_scan *scan);

/* --- values ---------------------------------------------------------------------------------------------------------------------- */

bool es_json_scan_skip(es_json_scan *scan);                         /* any value */
bool es_json_scan_null(es_json_scan *scan);                         /* takes a null when one stands here; false is no fault */
bool es_json_scan_bool(es_json_scan *scan, bool *value);
bool es_json_scan_u32(es_json_scan *scan, uint32_t *value);         /* a whole number from 0 to 2^32 - 2; 33.0 and 33e0 are 33, here and in ids */
bool es_json_scan_f32(es_json_scan *scan, float *value);
/* A string with its escapes resolved, 0 behind it; valid until the next call. */
bool es_json_scan_text(es_json_scan *scan, const char **text, size_t *length);
/* The numbers of an array, at most `most` of them: expert ids, each from 0 to 65534; weights (to NULL: checked and counted only). */
bool es_json_scan_ids(es_json_scan *scan, uint16_t *to, uint32_t most, uint32_t *count);
/* The same for ids of which some may be -1, no expert: they become 65535. */
bool es_json_scan_places(es_json_scan *scan, uint16_t *to, uint32_t most, uint32_t *count);
bool es_json_scan_floats(es_json_scan *scan, float *to, uint32_t most, uint32_t *count);
/* Inside an array, where es_json_scan_item stands: its next ids, at most `most`; fewer when it ends there, and is left. */
bool es_json_scan_run(es_json_scan *scan, uint16_t *to, uint32_t most, uint32_t *count);
/* A string of any length piece by piece, without escapes (base64): `first` with the first piece; at its end *length is 0. */
bool es_json_scan_piece(es_json_scan *scan, bool first, const char **piece, size_t *length);

/* --- faults and places ----------------------------------------------------------------------------------------------------------- */

/* A fault of the caller's own: "FILE: line N, column M: PATH: " is put before it. Always false. */
bool es_json_scan_fault(es_json_scan *scan, const char *fmt, ...) ES_PRINTF(2, 3);
/* The same of what was read before: "FILE: line N: " only. */
bool es_json_scan_fault_on(es_json_scan *scan, uint64_t line, const char *fmt, ...) ES_PRINTF(3, 4);
bool es_json_scan_nomem(es_json_scan *scan, const char *what);
/* The path of keys and indices to what stands here, cut with "..." where there is no more room. */
void es_json_scan_where(const es_json_scan *scan, char *text, size_t room);
/* ES_OK, or the first fault. */
es_code es_json_scan_end(const es_json_scan *scan, es_err *err);
bool es_json_scan_failed(const es_json_scan *scan);
/* Did the first fault lie in the file's end: a value that is not finished? */
bool es_json_scan_torn(const es_json_scan *scan);
/* And does it end behind a closing bracket? Then the values inside that are whole. */
bool es_json_scan_closing(const es_json_scan *scan);
uint64_t es_json_scan_line(const es_json_scan *scan);               /* of what was read last, from 1 */
const char *es_json_scan_path(const es_json_scan *scan);            /* of the file */
bool es_json_scan_short(const es_json_scan *scan, uint64_t *bytes); /* was it, and behind how many bytes? */
/* Over the file's bytes as read so far; of all of it once es_json_scan_more was false. */
void es_json_scan_sha256(const es_json_scan *scan, char hex[65]);

#endif
