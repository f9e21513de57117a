/* Descriptors: those that a path can mean ("-", "/dev/stdin", "/dev/fd/N"), and scratch files without a name. */
#ifndef ES_BASE_DESCRIPTOR_H
#define ES_BASE_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"

/* The descriptor of ours that a path means; -1: none. */
int es_descriptor_of(const char *path);
/* The folder of scratch files: TMPDIR, or /tmp. */
const char *es_descriptor_place(void);
/* A file there without a name, gone when it is closed; `what` it is for goes into the error. */
es_code es_descriptor_scratch(int *fd, const char *what, es_err *err);
/* All of it, however many calls that takes; false: errno says why not. */
bool es_descriptor_write(int fd, const void *data, size_t length);
/* Makes a descriptor that gives its bytes once (a pipe, a socket, a terminal) one that can be opened again and again: they are copied into a
 * file without a name in TMPDIR, which the descriptor then is. Any other path is left as it is. */
es_code es_descriptor_settle(const char *path, es_err *err);

#endif
