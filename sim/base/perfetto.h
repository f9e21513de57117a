/* Perfetto: writes a timeline as Chrome trace-event JSON, which ui.perfetto.dev opens: processes with tracks ("threads"), slices on
 * them, counters, arrows. Event by event, so the memory does not depend on the length; a name that ends in .gz is compressed.
 *
 *     es_perfetto_begin(p, &(es_perfetto_event){'X', 1, 101, ts, dur, "demand"}, "demand %u/%u", layer, expert);
 *     es_perfetto_int(p, "bytes", bytes);
 *     es_perfetto_end(p);
 *
 * What its importer asks of the caller (google/perfetto, src/trace_processor/importers): slices of a track nest or lie apart; numbers of
 * tracks are unique over all processes; an arrow begins and ends inside of slices that were written before it. The file is written as
 * PATH.tmp and gets its name when it is closed as whole. */
#ifndef ES_BASE_PERFETTO_H
#define ES_BASE_PERFETTO_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/err.h"
#include "sim/base/time.h"

typedef struct es_perfetto es_perfetto;

typedef struct es_perfetto_event {
    char phase;                 /* X: a slice, i: an instant, B and E: begin and end of a slice, C: a counter (one for each argument) */
    uint32_t process, track;
    es_time at, took;           /* took: of an X only */
    const char *category;       /* NULL: none */
} es_perfetto_event;

/* es_perfetto_close() in any case. */
es_code es_perfetto_open(es_perfetto **out, const char *path, es_err *err);
void es_perfetto_process(es_perfetto *p, uint32_t process, const char *name);
/* They are shown in the order of their numbers. */
void es_perfetto_track(es_perfetto *p, uint32_t process, uint32_t track, const char *name);

void es_perfetto_begin(es_perfetto *p, const es_perfetto_event *event, const char *name, ...) ES_PRINTF(3, 4);
void es_perfetto_int(es_perfetto *p, const char *key, int64_t value);           /* an argument of the event at hand */
void es_perfetto_text(es_perfetto *p, const char *key, const char *value);
void es_perfetto_end(es_perfetto *p);

/* From the slice of one track that is there at a time to that of another. */
void es_perfetto_arrow(es_perfetto *p, uint32_t process, const char *name, uint32_t from, es_time left, uint32_t to, es_time arrived);

int64_t es_perfetto_bytes(const es_perfetto *p);    /* so far, before they are compressed */
/* Arguments added from here on are of the whole file (otherData). */
void es_perfetto_other(es_perfetto *p);
/* `whole` false: what there is stays as PATH.tmp, which can be opened as well; nothing stays where nothing was drawn. Frees p, which may
 * be NULL. */
es_code es_perfetto_close(es_perfetto *p, bool whole, es_err *err);

#endif
