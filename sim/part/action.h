/* Action: one thing that a machine does for a run: move an expert, compute it, take or give back a slot for it.
 *
 * An action log holds all of them in the order in which each queue is to do them, with nothing of time in it: what is done and what it
 * has to wait for, not when. So it can be performed on hardware (calib/perform.h) and timed by a model (sim/study/retime.h), and the two
 * can be compared row by row. The file is docs/validation.md's; observer `actions` writes it, sim/study/actions.h reads it. */
#ifndef ES_PART_ACTION_H
#define ES_PART_ACTION_H

#include <stddef.h>
#include <stdint.h>

typedef enum es_action_op {
    ES_ACTION_DISK_READ,        /* disk to host memory */
    ES_ACTION_DISK_WRITE,
    ES_ACTION_H2D, ES_ACTION_D2H, ES_ACTION_D2D, ES_ACTION_H2H,
    ES_ACTION_GEMM,             /* an expert is computed from its slot of the device */
    ES_ACTION_ALLOC,            /* an expert takes its slot; no queue, no time where slots are made once */
    ES_ACTION_FREE,             /* and gives it back */
    ES_ACTIONS
} es_action_op;

/* Rows up to ES_ACTION_GEMM have a queue each, in which they are done one after another: the op is its number. */
enum { ES_ACTION_QUEUES = ES_ACTION_ALLOC, ES_ACTION_AFTER = 12 };

typedef enum es_action_place { ES_PLACE_DEVICE, ES_PLACE_HOST, ES_PLACE_DISK, ES_PLACES } es_action_place;

static const char *const es_action_names[ES_ACTIONS + 1] = {"disk_read", "disk_write", "h2d", "d2h", "d2d", "h2h", "gemm", "alloc", "free", NULL};

static const struct { int from, to; } es_action_ways[ES_ACTION_QUEUES] = {      /* es_action_place; a gemm stays where it is */
    {ES_PLACE_DISK, ES_PLACE_HOST}, {ES_PLACE_HOST, ES_PLACE_DISK}, {ES_PLACE_HOST, ES_PLACE_DEVICE}, {ES_PLACE_DEVICE, ES_PLACE_HOST},
    {ES_PLACE_DEVICE, ES_PLACE_DEVICE}, {ES_PLACE_HOST, ES_PLACE_HOST}, {ES_PLACE_DEVICE, ES_PLACE_DEVICE},
};

typedef struct es_action {
    int64_t step;               /* -1: before the first */
    int64_t bytes;
    uint32_t layer, expert;     /* the model's own numbers */
    uint32_t slot, source;      /* of the place it goes to, and comes from; a gemm has only a slot */
    uint32_t tokens;            /* that a gemm serves */
    uint8_t op, place;          /* es_action_op; es_action_place of the slot */
    uint8_t afters;
    uint32_t after[ES_ACTION_AFTER];    /* rows of other queues that have to be done before */
} es_action;

typedef struct es_actions {     /* the row of id i is at[i] */
    es_action *at;
    size_t count, room;
    uint32_t slots[ES_PLACES];  /* numbers of slots are below these */
    int64_t most[ES_PLACES];    /* bytes of the largest expert that lies there */
    int64_t steps;
} es_actions;

typedef struct es_action_time {  /* ns since its step began: by the clock of the device, or of the model */
    int64_t issue, start, end;  /* when it was queued (below 0: before the streams were let go); a row without a queue has none of these */
} es_action_time;

typedef struct es_action_run {  /* one performance of a log, by a machine or by a model */
    es_action_time *row;        /* [rows] */
    int64_t *step_ns;           /* [steps] until its last row has ended; serial: all its rows added up */
    int64_t *host_ns;           /* [steps] the same as the host's clock saw it, with queueing and waiting; NULL: nobody looked */
} es_action_run;

enum { ES_ACTION_WINDOW = 48 };         /* rows with a queue that are queued at a time: what a probe has events for, two each */

/* Rows [first, the result) are done together, between two waits for everything: those of a step, or as many of them as make a window. */
static inline size_t es_actions_window(const es_actions *log, size_t first)
{
    size_t end = first;
    for (size_t queued = 0; end < log->count && log->at[end].step == log->at[first].step; end++)
        if (log->at[end].op < ES_ACTION_QUEUES && ++queued > ES_ACTION_WINDOW)
            break;
    return end;
}

#endif
