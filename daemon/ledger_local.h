/* SPDX-License-Identifier: BSD-3-Clause */
/* The ledger of a daemon without a cluster: apply, write to the journal, done. Control thread. */
#ifndef YOKE_LEDGER_LOCAL_H
#define YOKE_LEDGER_LOCAL_H

#include <qb/qbloop.h>

#include "yoke/conf.h"
#include "yoke/journal.h"

struct ledger_local;

struct ledger_local_setup {
	const struct conf *conf;
	uint8_t controller;
	struct mailbox *control;
	qb_loop_t *loop;
	const struct ledger_serve *serve;
};

/*
 * Brings the states of the LUs back from conf->state_dir (nobody has kept them alive meanwhile).
 * NULL with object, cause and remedy in `error`. Blocks; after the reactors have started, before
 * sessions exist.
 */
struct ledger_local *ledger_local_new(
	const struct ledger_local_setup *setup, char *error, size_t error_size);
/* Writes what is pending. done() of what is not durable by then does not run. */
void ledger_local_free(struct ledger_local *l);
const struct ledger *ledger_local_ops(struct ledger_local *l);
void ledger_local_status(struct ledger_local *l, struct ledger_status *status);

#endif
