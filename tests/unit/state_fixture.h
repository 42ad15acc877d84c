/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hosts that send entries to the state of one LU.
 *
 *      host A              host B              host C
 *        |                   |                   |
 *   0101 (port 1)       0201 (port 1)       0102 (port 2)
 *   [ controller 1 ]    [ controller 2 ]    [ controller 1 ]
 *                 \           |            /
 *                       one logical unit
 */
#ifndef TEST_STATE_FIXTURE_H
#define TEST_STATE_FIXTURE_H

#include <errno.h>
#include <stdio.h>

#include "daemon/scsi/apply.h"
#include "scsi_rig.h"

#define TELL(ua) (1u << (ua))

enum {
	A,
	B,
	C,
	HOSTS
};

static struct scsi_state state;
static struct scsi_effects effects;
static struct scsi_identity hosts[HOSTS];
static const uint64_t keys[HOSTS] = {0xa1, 0xb2, 0xc3};

static inline struct scsi_identity identity(const char *name, uint16_t rtpi)
{
	struct scsi_identity who = {.rtpi = rtpi, .controller = (uint8_t)(rtpi >> 8)};

	snprintf(who.initiator, sizeof(who.initiator), "iqn.x:%s", name);
	memcpy(who.isid, "\x80\x00\x00\x00\x00\x01", 6);
	snprintf(who.target, sizeof(who.target), "iqn.t");
	return who;
}

static inline int setup(void **unused)
{
	hosts[A] = identity("a", 0x101);
	hosts[B] = identity("b", 0x201);
	hosts[C] = identity("c", 0x102);
	scsi_state_clear(&state);
	return 0;
}

static inline int teardown(void **unused)
{
	scsi_state_clear(&state);
	scsi_effects_clear(&effects);
	return 0;
}

static inline enum scsi_result apply(const struct scsi_entry *entry)
{
	static uint8_t bytes[LEDGER_ENTRY_BYTES_MAX];
	struct cursor c = cursor_over(bytes, sizeof(bytes));

	scsi_effects_clear(&effects);
	scsi_entry_put(&c, entry);
	assert_true(cursor_ok(&c));
	return scsi_apply(&state, bytes, c.pos, &effects);
}

static inline enum scsi_result pr(unsigned host, enum scsi_pr_action action, uint8_t type,
	uint64_t key, uint64_t new_key, uint8_t flags)
{
	return apply(&(struct scsi_entry){.kind = SCSI_ENTRY_PR_OUT,
		.who = hosts[host],
		.action = (uint8_t)action,
		.type = type,
		.key = key,
		.new_key = new_key,
		.flags = flags});
}

static inline enum scsi_result simple(unsigned host, enum scsi_entry_kind kind, uint8_t flags)
{
	return apply(
		&(struct scsi_entry){.kind = (uint8_t)kind, .who = hosts[host], .flags = flags});
}

static inline void all_register(void)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		assert_int_equal(pr(i, SCSI_PR_REGISTER, 0, 0, keys[i], 0), SCSI_RESULT_GOOD);
	}
}

/* What the last entry tells a host; none may be told twice or more than that. */
static inline uint32_t told(unsigned host)
{
	for (unsigned i = 0; i < effects.count; i++) {
		if (scsi_identity_equal(&effects.list[i].who, &hosts[host])) {
			return effects.list[i].uas;
		}
	}
	return 0;
}

static inline bool aborts(unsigned host)
{
	for (unsigned i = 0; i < effects.count; i++) {
		if (scsi_identity_equal(&effects.list[i].who, &hosts[host])) {
			return effects.list[i].abort;
		}
	}
	return false;
}

static inline bool registered(unsigned host)
{
	return scsi_state_find(&state, &hosts[host]) != SCSI_NO_REGISTRANT;
}

static inline bool holds(unsigned host)
{
	return scsi_state_holds(&state, scsi_state_find(&state, &hosts[host]));
}

static const uint8_t all_types[] = {1, 3, 5, 6, 7, 8};

static const uint8_t all_ports[] = {0x01, 0x01, 0x01, 0x02, 0x02, 0x01};

#endif
