/* Movers: threads that copy the host's memory at once, each on a processor of its own: how much of the memory's rate one of them gets, and
 * how much all together. */
#ifndef ES_CALIB_MOVERS_H
#define ES_CALIB_MOVERS_H

#include "sim/part/probe.h"

typedef struct movers movers;

/* Processors that this process may use, at most 64. */
unsigned movers_most(void);
/* Copies go round arenas of at least `cold` bytes, so that nothing is near. */
es_code movers_open(movers **out, int64_t cold, es_err *err);
void movers_close(movers *m);                   /* NULL is fine */
/* `threads` copy `bytes` in all, an equal part each; ns until the last was done. ES_ECHECK: other bytes arrived. */
es_code movers_copy(movers *m, es_ram kind, unsigned threads, int64_t bytes, es_time *ns, es_err *err);

#endif
