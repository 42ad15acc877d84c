/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command window of a session (RFC 7143 4.2.2.1): which CmdSN may come, which came already,
 * and what ExpCmdSN and MaxCmdSN tell the initiator. Pure; one session's reactor.
 */
#ifndef YOKE_ISCSI_WINDOW_H
#define YOKE_ISCSI_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct iscsi_window {
	uint32_t exp_cmdsn; /* the next one to deliver */
	uint32_t max_cmdsn; /* never goes back */
	uint32_t size; /* commands that may be in flight */
	uint32_t in_flight; /* delivered, not answered yet */
	uint32_t mask; /* bits in `received`, less one */
	uint64_t *received; /* CmdSNs from exp_cmdsn on that have come */
};

enum iscsi_window_verdict {
	ISCSI_WINDOW_NEXT, /* the one that is due */
	ISCSI_WINDOW_AHEAD, /* inside the window, but an earlier one is missing */
	ISCSI_WINDOW_DROP, /* outside, or a duplicate: silently ignored */
};
const char *iscsi_window_verdict_name(enum iscsi_window_verdict verdict);

/* 0 or -ENOMEM. `size` from 1 to 65535. */
int iscsi_window_init(struct iscsi_window *window, uint32_t exp_cmdsn, uint32_t size);
void iscsi_window_clear(struct iscsi_window *window);

enum iscsi_window_verdict iscsi_window_check(const struct iscsi_window *window, uint32_t cmdsn);

/* Notes one that check() let through; it is never taken a second time. */
void iscsi_window_receive(struct iscsi_window *window, uint32_t cmdsn);

/* Takes the next received CmdSN in order; false when it has not come. */
bool iscsi_window_next(struct iscsi_window *window, uint32_t *cmdsn);

/* A command was delivered, and answered or dropped: what holds the window. */
void iscsi_window_take(struct iscsi_window *window);
void iscsi_window_give(struct iscsi_window *window);

/* The MaxCmdSN to tell now: at least ExpCmdSN - 1, and never less than told before. */
uint32_t iscsi_window_max(struct iscsi_window *window);

#endif
