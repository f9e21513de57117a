/* Environment: what a machine was like when it was measured: processor, kernel, page sizes, load, the hypervisor's share. */
#ifndef ES_CALIB_ENVIRONMENT_H
#define ES_CALIB_ENVIRONMENT_H

#include "sim/base/json.h"

extern const char environment_revision[];   /* of the source; "unknown" where there is no git */
/* Adds what can be found out; what cannot is left out. */
void environment_add(es_json *out);
/* Adds "filesystem": the kind that a folder lies on, where the system tells. */
void environment_filesystem(const char *folder, es_json *out);
/* Seconds of processor time that the hypervisor gave to others since the machine started; 0 where nobody counts them. */
double environment_steal_s(void);

#endif
