/* Touched: how much memory an action log has been through since a moment: bytes that are read or written again count once, so it is what a cache
 * would have to hold. In the order of the log. */
#ifndef ES_STUDY_TOUCHED_H
#define ES_STUDY_TOUCHED_H

#include "sim/study/actions.h"

typedef struct touched touched;

/* For a log; touched_close() it, also after an error. */
es_code touched_open(touched **out, const es_actions *log, es_err *err);
void touched_close(touched *t);                     /* NULL is fine */
/* A slot of a place (not of the disk) is read or written. No more than twice for each row of the log. */
void touched_add(touched *t, int place, uint32_t slot, int64_t bytes);
uint64_t touched_count(const touched *t);           /* touches so far: the moment that touched_since() asks for */
/* Bytes of the slots that were touched since there had been so many touches. O(log touches). */
int64_t touched_since(const touched *t, uint64_t count);

#endif
