/* SPDX-License-Identifier: BSD-3-Clause */
/* What the cluster layer drives the device server by: the functions behind struct group_serve. */
#ifndef YOKE_SCSI_GROUP_H
#define YOKE_SCSI_GROUP_H

#include "daemon/scsi/core.h"

/* Fills scsi->serve. */
void scsi_serve_init(struct scsi *scsi);

/* change.c: a change that will never end. After the reactors have stopped. */
void scsi_change_forget(struct scsi *scsi);

/* group.c. A drain that is pending while the group is served again ends at its next hold. */
void scsi_publish(void *ctx, const struct group_view *view, void (*applied)(void *arg), void *arg);
void scsi_renew(void *ctx, unsigned ms);
void scsi_drain(void *ctx, uint16_t group, void (*drained)(void *arg), void *arg);
/* A task of the group has left the store, or its view has changed. */
void scsi_drains_check(struct scsi_core_group *group);

/* claim.c. What lock() and release() are for: see struct group_serve. release() gives the claim up
 * even when a flush failed, and says so. */
void scsi_claim(void *ctx, uint16_t group, uint64_t epoch, unsigned timeout_ms,
	void (*done)(void *arg, int err), void *arg);
void scsi_lock(void *ctx, uint16_t group);
void scsi_unlock(void *ctx, uint16_t group);
void scsi_release(void *ctx, uint16_t group, void (*done)(void *arg, int err), void *arg);
/* Claims an LU that was added to a group whose right to write is here. Control thread. */
void scsi_claim_added(struct scsi *scsi, uint16_t lu);
bool scsi_healthy(void *ctx, uint16_t group);
bool scsi_key_lost(void *ctx, uint16_t group);

/* serve.c. A task held past the limit here is answered by this owner, not by its ingress. */
enum ship_outcome scsi_shipped_run(
	void *ctx, struct scsi_task *task, const uint8_t lu[16], uint64_t epoch);
void scsi_shipped_end(void *ctx, struct scsi_task *task);
bool scsi_shipped_abort(void *ctx, struct scsi_task *task);
void scsi_task_shipped(void *ctx, struct scsi_task *task, enum ship_outcome outcome);

#endif
