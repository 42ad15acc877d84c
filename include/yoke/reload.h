/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A configuration that changes while the daemon runs: the file is read again, and with it that of
 * the secrets, checked, compared with what runs, prepared and put in place; in a cluster at both
 * controllers at one place of the cluster's order. Control thread.
 */
#ifndef YOKE_RELOAD_H
#define YOKE_RELOAD_H

#include <qb/qbloop.h>

#include "yoke/conf.h"
#include "yoke/control.h"
#include "yoke/ha.h"
#include "yoke/iscsi.h"
#include "yoke/scsi.h"

struct reload;

struct reload_setup {
	const struct conf *conf; /* as started with; outlives it */
	struct conf_secrets *secrets; /* or NULL; taken over when reload_new() succeeds */
	qb_loop_t *loop;
	struct scsi *scsi;
	struct iscsi *iscsi;
	struct ship *ship; /* NULL without a cluster */
	/* Everybody else is told of a configuration that counts from now on. */
	void (*changed)(void *arg, const struct conf *conf);
	void *arg;
};

struct reload *reload_new(const struct reload_setup *setup);
/* Forgets what is prepared; after the reactors have stopped, before the device server goes. */
void reload_stop(struct reload *reload);
void reload_free(struct reload *reload); /* when nobody uses a configuration any more */

/* The cluster layer, which is made later than this. */
void reload_ha_set(struct reload *reload, struct ha *ha);

/*
 * Reads the file again. Ends in done() exactly once, with a message that tells what was changed,
 * or every reason why nothing was.
 */
void reload_request(struct reload *reload, ha_done_fn *done, void *arg);

/*
 * Makes an extent `size` large ("20GiB"), or with NULL as large as its store is now, at both
 * controllers at one moment; where yoke.yaml gives its size, the new one stands there afterwards.
 * done() as above.
 */
void reload_resize(
	struct reload *reload, const char *extent, const char *size, ha_done_fn *done, void *arg);

/* What the cluster layer calls: see struct ha_conf_ops. */
const struct ha_conf_ops *reload_ha_ops(void);

#endif
