/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The management interface: JSON over HTTP on a unix socket, inside the control thread's loop.
 * docs/management.md lists the resources.
 */
#ifndef YOKE_CONTROL_H
#define YOKE_CONTROL_H

#include <qb/qbloop.h>

#include "yoke/conf.h"
#include "yoke/ha.h"
#include "yoke/iscsi.h"
#include "yoke/isns.h"
#include "yoke/scsi.h"

struct control;

struct control_setup {
	const struct conf *conf;
	uint8_t controller;
	qb_loop_t *loop;
	struct scsi *scsi;
	struct iscsi *iscsi;
	struct ha *ha; /* NULL without a cluster */
	struct ship *ship; /* NULL without a cluster */
	const struct isns *isns;
	/* `yokectl stop` asks the daemon to end in good order. */
	void (*stop)(void *arg);
	/* How the ledger stands. */
	void (*ledger)(void *arg, struct ledger_status *status);
	/* `yokectl config reload`: ends in done(done_arg, ...), with a message for people. */
	void (*reload)(void *arg, ha_done_fn *done, void *done_arg);
	/* `yokectl lu resize`: `size` as text, NULL: as large as the store is. The same end. */
	void (*resize)(
		void *arg, const char *extent, const char *size, ha_done_fn *done, void *done_arg);
	void *arg;
	uint64_t started_unix_s;
};

/*
 * Opens conf->socket_path (mode 0600, an old socket that nobody listens on is replaced; one with a
 * listener is an error: another daemon runs). Only root and the daemon's own user are answered.
 */
struct control *control_new(const struct control_setup *setup, char *error, size_t error_size);
void control_free(struct control *control);
/* Another configuration counts from now on; it outlives the next change. */
void control_conf_set(struct control *control, const struct conf *conf);

#endif
