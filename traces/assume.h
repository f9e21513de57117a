/* Assume: what an importer has to say about a file beside its steps, and the strings that every imported trace carries.
 *
 * A format seldom says everything. What it leaves open is read in one way, and the way is told in a sentence: how layers are numbered,
 * what the order of ids means, how weights are normalised, which tokens are the prompt, how batches are told apart, what was left out.
 * The sentences go to people, into `trace info --json` and into the provenance of what is written. */
#ifndef ES_TRACES_ASSUME_H
#define ES_TRACES_ASSUME_H

#include "sim/base/reader.h"
#include "sim/part/source.h"

/* Adds a sentence (no line feed in it, no full stop needed) unless the same one is there already. */
void es_assume(es_text *notes, const char *fmt, ...) ES_PRINTF(2, 3);
/* That a compressed file stopped early and was read as far as it goes (es_reader_lenient). */
void es_assume_cut(es_text *notes, uint64_t bytes);

/* Sets format, sha256, assumed, provenance and, where it has none, an empty model of a trace read from `reader`, which stands at its end. The provenance is
 * {"imported_from": FORMAT, "sha256": ..., "assumed": [...]}; strings live in the arena. `notes` stay the caller's. */
es_code es_imported(es_trace_info *info, const char *format, const es_reader *reader, es_text *notes, es_arena *arena, es_err *err);
/* The same for who has the digest in another way. */
es_code es_imported_as(es_trace_info *info, const char *format, const char *sha256, const es_text *notes, es_arena *arena, es_err *err);

#endif
