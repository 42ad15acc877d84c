/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands and TMFs of the peer, run at the owner (the working part of ship_in.c). On the reactor.
 */
#ifndef YOKE_HA_SHIP_JOB_H
#define YOKE_HA_SHIP_JOB_H

#include "ha/ship_in.h"

/* One for each slot of the window, so that no command allocates. NULL: out of memory. */
struct ship_job *ship_jobs_new(struct ship_in *in);
struct ship_tmf_in *ship_tmfs_new(struct ship_in *in);

/* Frames. NULL, or why the peer must not send it. */
const char *ship_job_command(
	struct ship_in *in, const struct ship_frame *frame, struct cursor *body);
const char *ship_job_data(
	struct ship_in *in, uint64_t tag, uint32_t offset, uint32_t bytes, uint8_t **to);
void ship_job_data_end(struct ship_in *in, uint64_t tag);
const char *ship_job_abort(struct ship_in *in, uint64_t tag);
const char *ship_tmf_in(struct ship_in *in, uint64_t tag, struct cursor *body);

bool ship_jobs_use_nexus(const struct ship_in *in, const struct scsi_nexus *nexus);

/* The connection is closed: what runs is aborted, the rest forgotten. */
void ship_jobs_abort(struct ship_in *in);
/* The reactor has stopped: buffers go back, nothing is called. */
void ship_jobs_drop(struct ship_in *in);

/* Frees `in` when it is closed and its last task has ended (ship_in.c). */
void ship_in_check_end(struct ship_in *in);

#endif
