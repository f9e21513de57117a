/* Writing traces in the native format (FORMAT.md), step by step, in memory that does not depend on the length.
 *
 * The file appears under its name when the writer is closed with success, whole or not at all. The same steps make the same bytes.
 * Every step is checked (es_tally_step) before it is written, so a file that was written here is right. */
#ifndef ES_TRACES_WRITE_H
#define ES_TRACES_WRITE_H

#include "traces/trace.h"

typedef struct es_trace_writer es_trace_writer;

/* Begins a file with the shape and the strings of `info`; has_weights, has_residency, guesses and attends say what each step will carry. */
es_code es_trace_writer_open(es_trace_writer **out, const char *path, const es_trace_info *info, es_err *err);
/* Continues the file at `path`: its steps are read and written again before the new ones, so the result is what writing all in
 * one go would have made, and the old file stays whole until the new one is. `info` must have the same shape. */
es_code es_trace_writer_append(es_trace_writer **out, const char *path, const es_trace_info *info, es_err *err);
es_code es_trace_writer_step(es_trace_writer *writer, const es_step *step, es_err *err);
/* One above the highest request number so far: what to add when requests of another trace would collide. */
uint32_t es_trace_writer_next_request(const es_trace_writer *writer);
/* All steps of an open source, from its beginning. It must have the shape that the file was begun with; its requests are numbered on from
 * the highest so far; `ask` says what to keep beside the ids. */
es_code es_trace_writer_source(es_trace_writer *writer, const es_source *source, void *self, const es_source_ask *ask, es_err *err);
/* The provenance to write instead of that of the info. */
void es_trace_writer_origin(es_trace_writer *writer, const char *provenance);
const es_trace_info *es_trace_writer_info(const es_trace_writer *writer);
/* What of a source's info a file will have that is written with this `ask`. */
es_trace_info es_trace_writer_shape(const es_trace_info *info, const es_source_ask *ask);
/* Ends the file; frees the writer in any case. `keep` false: throws away what was written. */
es_code es_trace_writer_close(es_trace_writer *writer, bool keep, es_err *err);

/* All steps of an open source, from its beginning; `ask` says what to keep beside the ids (it must have been opened with it).
 * `append` continues an existing file; the source's requests are numbered on from its highest. */
es_code es_trace_write(const char *path, const es_source *source, void *self, const es_source_ask *ask, bool append, es_err *err);

/* --- the digest of the content (FORMAT.md, "Digest") ---------------------------------------------------------------------------- */

typedef struct es_trace_digest es_trace_digest;
es_code es_trace_digest_new(es_trace_digest **out, const es_trace_info *info, es_err *err);
void es_trace_digest_step(es_trace_digest *digest, const es_step *step);
void es_trace_digest_hex(const es_trace_digest *digest, char hex[65]);
void es_trace_digest_free(es_trace_digest *digest);

/* What `trace check` does: reads all steps of a source opened for everything, checks each, counts again and compares the totals with
 * what the source said, and for a native file the digest with the recorded one. counts (its slots are not kept) and hex may be NULL. */
es_code es_trace_check(const es_source *source, void *self, es_tally *counts, char hex[65], es_err *err);

#endif
