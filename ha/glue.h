/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of struct ha, for ha.c and api.c only. */
#ifndef YOKE_HA_GLUE_H
#define YOKE_HA_GLUE_H

#include "cpg.h"
#include "machine.h"
#include "pacemaker.h"
#include "quorum.h"
#include "reach.h"
#include "state.h"
#include "yoke/journal.h"
#include "yoke/ha.h"

struct ha_group_slot {
	struct ha *ha;
	uint16_t index;
	uint64_t applied; /* publications taken by every reactor: they come back in order */
	bool healthy;
};

struct ha {
	struct ha_setup setup;
	struct machine *machine;
	struct transport *transport;
	struct quorum *quorum;
	struct pacemaker *pacemaker;
	struct state_writer *writer;
	struct journal *journal;
	struct ledger ledger;
	struct state *loaded; /* as read at the start */
	struct state *writing; /* scratch */
	struct message_state *room;
	uint8_t *bytes; /* one encoded message */
	const struct conf_controller *other;
	uint64_t incarnation;
	unsigned sessions;
	uint32_t nodes; /* in reach of Corosync */
	struct reach reach; /* of the other node */
	uint64_t polled_ms;
	qb_loop_timer_handle poll_timer, due_timer;
	bool poll_armed, due_armed;
	uint64_t due_ms;
	unsigned refused; /* malformed messages, for the log */
	struct ha_group_slot *slots;
};

/* After every call into the machine: the timer follows its next deadline. */
void ha_settled(struct ha *ha);

#endif
