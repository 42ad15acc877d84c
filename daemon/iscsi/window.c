/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/window.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/iscsi/pdu.h"

const char *iscsi_window_verdict_name(enum iscsi_window_verdict verdict)
{
	switch (verdict) {
	case ISCSI_WINDOW_NEXT:
		return "next";
	case ISCSI_WINDOW_AHEAD:
		return "ahead";
	case ISCSI_WINDOW_DROP:
		return "drop";
	}
	return "?";
}

int iscsi_window_init(struct iscsi_window *window, uint32_t exp_cmdsn, uint32_t size)
{
	uint32_t bits = 64;

	while (bits < size) {
		bits *= 2;
	}
	*window = (struct iscsi_window){
		.exp_cmdsn = exp_cmdsn,
		.max_cmdsn = exp_cmdsn - 1,
		.size = size,
		.mask = bits - 1,
	};
	window->received = calloc(bits / 64, sizeof(*window->received));
	return window->received ? 0 : -ENOMEM;
}

void iscsi_window_clear(struct iscsi_window *window)
{
	free(window->received);
	window->received = NULL;
}

static uint64_t *iscsi_window_word(const struct iscsi_window *window, uint32_t cmdsn)
{
	return &window->received[(cmdsn & window->mask) / 64];
}

static bool iscsi_window_has(const struct iscsi_window *window, uint32_t cmdsn)
{
	return *iscsi_window_word(window, cmdsn) >> (cmdsn % 64) & 1;
}

/*
 * MaxCmdSN is compared as it was told last: what the initiator has not been told cannot be used.
 * It is at most size - 1 ahead of ExpCmdSN, so the bits of a window never overlap.
 */
enum iscsi_window_verdict iscsi_window_check(const struct iscsi_window *window, uint32_t cmdsn)
{
	if (iscsi_sn_before(cmdsn, window->exp_cmdsn) ||
		!iscsi_sn_not_after(cmdsn, window->max_cmdsn) || iscsi_window_has(window, cmdsn)) {
		return ISCSI_WINDOW_DROP;
	}
	return cmdsn == window->exp_cmdsn ? ISCSI_WINDOW_NEXT : ISCSI_WINDOW_AHEAD;
}

void iscsi_window_receive(struct iscsi_window *window, uint32_t cmdsn)
{
	*iscsi_window_word(window, cmdsn) |= 1ull << (cmdsn % 64);
}

bool iscsi_window_next(struct iscsi_window *window, uint32_t *cmdsn)
{
	if (!iscsi_window_has(window, window->exp_cmdsn)) {
		return false;
	}
	*iscsi_window_word(window, window->exp_cmdsn) &= ~(1ull << (window->exp_cmdsn % 64));
	*cmdsn = window->exp_cmdsn++;
	return true;
}

void iscsi_window_take(struct iscsi_window *window)
{
	window->in_flight++;
}

void iscsi_window_give(struct iscsi_window *window)
{
	window->in_flight--;
}

uint32_t iscsi_window_max(struct iscsi_window *window)
{
	uint32_t open = window->in_flight < window->size ? window->size - window->in_flight : 0;
	uint32_t max = window->exp_cmdsn + open - 1;

	if (iscsi_sn_before(window->max_cmdsn, max)) {
		window->max_cmdsn = max;
	}
	return window->max_cmdsn;
}
