/* Onto: what a copy costs whose destination was used just before. Its lines are still in a cache, and a processor that copies need not read them
 * from memory before it writes them: a policy that fills the slot again which it has just emptied (LFU does) copies faster than one that takes
 * the oldest (LRU). A device behind a bus shows nothing of it.
 *
 * One row tells it: pcie.onto, a copy to where another went, right behind it and with so many KiB copied in between. Distances are bytes
 * of memory that were touched in between, as in copied.h. */
#ifndef ES_CALIB_ONTO_H
#define ES_CALIB_ONTO_H

#include "calib/sample.h"

/* Bytes of the copy that is measured: an eighth of the last-level cache, in whole pages. */
int64_t onto_bytes(int64_t cache_bytes);
/* Adds "onto", the share of its time, and "onto_near", up to which distance, to the flow pcie.h2d of a profile that has one; nothing where no
 * more than a twentieth is saved. */
void onto_report(const calib_samples *samples, es_json *machine);

#endif
