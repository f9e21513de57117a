/* Save: raw samples in a file, so that they can be fitted again, elsewhere and later.
 *
 *     /                    schema "calib/1", environment (JSON), series: the names of the rows
 *     /samples/pcie.h2d/   bytes, count, ns, issue_ns, host_ns, round, order, switches: one number per sample; stop, open
 *     /contention/h2d_behind/   alone, together: ns, one number per pair */
#ifndef ES_CALIB_SAVE_H
#define ES_CALIB_SAVE_H

#include "calib/sample.h"

#define CALIB_SCHEMA "calib/1"       /* as the profile's: ES_PROFILE_SCHEMA */

es_code calib_samples_save(const calib_samples *samples, const char *path, es_err *err);
/* Errors name the file and what in it is wrong. calib_samples_free() in any case. */
es_code calib_samples_load(calib_samples *samples, const char *path, es_err *err);

#endif
