/* Environment: what a machine was like when it was measured: processor, kernel, page sizes, load, the hypervisor's share. */
#ifndef ES_CALIB_ENVIRONMENT_H
#define ES_CALIB_ENVIRONMENT_H

#include "sim/base/json.h"

extern const char environment_revision[];   /* of the source; "unknown" where there is no git */
/* Adds what can be found out; what cannot is left out. */
void environment_add(es_json *out);
/* Adds "filesystem": the kind that a folder lies on, where the system tells. */
void environment_filesystem(const char *folder, es_json *out);

/* What happens meanwhile: between the two "elapsed_s" went by, and "steal_s" of processor time that the hypervisor gave to others, 0 where
 * nobody counts them. */
typedef struct environment_span {
    double now_s, steal_s;
} environment_span;

environment_span environment_begin(void);
void environment_end(const environment_span *begin, es_json *out);

#endif
