/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device server as the ledger sees it. The state of an LU is a count and a hash of what was
 * applied to it, so that a missing, doubled or misplaced entry shows. Bytes that begin with 'v' are
 * volatile: they do not outlive the loss of all controllers.
 */
#ifndef TEST_FAKE_LEDGER_H
#define TEST_FAKE_LEDGER_H

#include "yoke/ledger.h"

#define FAKE_LEDGER_LUS 3

struct fake_ledger_lu {
	uint32_t count, hash; /* of what lasts */
	uint64_t seen; /* bits: second bytes of the entries, modulo 64 */
	uint32_t volatile_count;
	uint8_t last; /* first byte of the last entry */
};

struct fake_ledger {
	struct ledger_serve serve;
	struct fake_ledger_lu lus[FAKE_LEDGER_LUS];
	uint64_t index; /* of the last entry applied */
	unsigned loads, colds;
	unsigned pad; /* more bytes of state for each LU; part of it */
	bool wrong; /* applies what nobody else does */
	/* applied() waits for fake_ledger_publish(). */
	bool hold;
	struct {
		void (*applied)(void *arg);
		void *arg;
	} held[256];
	unsigned held_count;
};

void fake_ledger_init(struct fake_ledger *f);
/* UUID of LU i. */
const uint8_t *fake_ledger_lu(unsigned i);
/* The oldest applied() that is held; false when there is none. */
bool fake_ledger_publish(struct fake_ledger *f);
bool fake_ledger_same(const struct fake_ledger *a, const struct fake_ledger *b);

#endif
