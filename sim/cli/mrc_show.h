/* Mrc for people: a table and what follows from it. */
#ifndef ES_CLI_MRC_SHOW_H
#define ES_CLI_MRC_SHOW_H

#include "sim/study/mrc.h"

/* At most 30 lines. */
void mrc_show_text(const es_mrc *mrc, es_text *out);

#endif
