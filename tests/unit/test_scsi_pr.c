/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PERSISTENT RESERVE IN and OUT as commands, at both controllers (scsi_pair.h draws them):
 * parameter data, errors, enforcement, unit attentions, aborts, and the ledger's outcomes.
 */
#include <errno.h>
#include <stdio.h>

#include "scsi_pair.h"

static struct pair *pair;
static struct rig_task t, u[4];

static int setup(void **state)
{
	pair = pair_new();
	return 0;
}

static int teardown(void **state)
{
	pair_free(pair);
	return 0;
}

enum {
	REGISTER,
	RESERVE,
	RELEASE,
	CLEAR,
	PREEMPT,
	PREEMPT_AND_ABORT,
	REGISTER_AND_IGNORE,
	REGISTER_AND_MOVE
};

#define SPEC_I_PT 0x08
#define ALL_TG_PT 0x04
#define APTPL	  0x01
#define CONFLICT  SCSI_RESERVATION_CONFLICT

#define READ1	  RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0)
#define WRITE1	  RIG_CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0)

static const uint8_t block[512];

static uint32_t pr_in(unsigned host, uint8_t action, uint16_t allocation)
{
	return pair_do(pair, &t, host, 0,
		RIG_CDB(0x5e, action, 0, 0, 0, 0, 0, (uint8_t)(allocation >> 8),
			(uint8_t)allocation, 0),
		NULL, 0);
}

static uint32_t read1(unsigned host)
{
	return pair_do(pair, &t, host, 0, READ1, NULL, 0);
}

static uint32_t write1(unsigned host)
{
	return pair_do(pair, &t, host, 0, WRITE1, block, 512);
}

static void all_register(void)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		assert_int_equal(pair_pr(pair, i, REGISTER, 0, 0, 0xa0 + i, 0), SCSI_GOOD);
	}
}

static void assert_field(unsigned pointer, int bit, bool in_cdb)
{
	assert_int_equal(be16_get(t.sense + 16), pointer);
	assert_int_equal(t.sense[15], 0x80 | (in_cdb ? 0x40 : 0) | (bit < 0 ? 0 : 8 | bit));
}

/* ----- PERSISTENT RESERVE IN ------------------------------------------------------------------ */

static void in_answers_without_registrations(void **state)
{
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(pr_in(host, 0, 255), SCSI_GOOD);
		rig_assert_hex(t.in, t.in_length, "00 00 00 00 00 00 00 00");
		assert_int_equal(pr_in(host, 1, 255), SCSI_GOOD);
		rig_assert_hex(t.in, t.in_length, "00 00 00 00 00 00 00 00");
		assert_int_equal(pr_in(host, 2, 255), SCSI_GOOD);
		rig_assert_hex(t.in, t.in_length, "00 08 1d 80 ea 01 00 00");
		assert_int_equal(pr_in(host, 3, 255), SCSI_GOOD);
		rig_assert_hex(t.in, t.in_length, "00 00 00 00 00 00 00 00");
		assert_int_equal(pr_in(host, 4, 255), 0x052400);
		assert_field(1, 4, true);
	}
}

static void in_tells_the_same_at_both_controllers(void **state)
{
	assert_int_equal(pair_pr(pair, B, REGISTER, 0, 0, 0xb1, APTPL), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, A, REGISTER, 0, 0, 0xa1, APTPL), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, B, RESERVE, 5, 0xb1, 0, 0), SCSI_GOOD);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(pr_in(host, 0, 255), SCSI_GOOD);
		rig_assert_hex(t.in, t.in_length,
			"00 00 00 02 00 00 00 10 "
			"00 00 00 00 00 00 00 b1 00 00 00 00 00 00 00 a1");
		assert_int_equal(pr_in(host, 1, 255), SCSI_GOOD);
		rig_assert_hex(t.in, t.in_length,
			"00 00 00 02 00 00 00 10 "
			"00 00 00 00 00 00 00 b1 00 00 00 00 00 05 00 00");
		assert_int_equal(pr_in(host, 2, 8), SCSI_GOOD);
		rig_assert_hex(t.in, t.in_length, "00 08 1d 81 ea 01 00 00");
		assert_int_equal(pr_in(host, 3, 0x100), SCSI_GOOD);
		rig_assert_hex(t.in, 36, /* "iqn.1993-08.org.debian:01:b,i,0x80123456789a" */
			"00 00 00 02 00 00 00 98 "
			"00 00 00 00 00 00 00 b1 00 00 00 00 01 05 00 00 00 00 02 01 00 00 00 34 "
			"45 00 00 30");
		assert_string_equal(
			(char *)t.in + 36, "iqn.1993-08.org.debian:01:b,i,0x80123456789a");
		assert_int_equal(t.in_length, 8 + 0x98);
	}
	/* cut short: the length field tells the whole */
	assert_int_equal(pr_in(A, 0, 12), SCSI_GOOD);
	assert_int_equal(t.in_length, 12);
	assert_int_equal(t.in[7], 0x10);
	/* types 7 and 8 have no key */
	assert_int_equal(pair_pr(pair, B, RELEASE, 5, 0xb1, 0, 0), SCSI_GOOD);
	assert_int_equal(pair_ua(pair, A), 0x062a04);
	assert_int_equal(pair_pr(pair, A, RESERVE, 8, 0xa1, 0, 0), SCSI_GOOD);
	assert_int_equal(pr_in(A, 1, 255), SCSI_GOOD);
	rig_assert_hex(t.in + 8, 16, "00 00 00 00 00 00 00 00 00 00 00 00 00 08 00 00");
}

/* ----- PERSISTENT RESERVE OUT: what is refused before it is an entry -------------------------- */

static uint32_t out_list(
	unsigned host, uint8_t action, uint8_t scope_type, const void *list, uint32_t length)
{
	return pair_do(pair, &t, host, 0,
		RIG_CDB(0x5f, action, scope_type, 0, 0, (uint8_t)(length >> 24),
			(uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length, 0),
		list, length);
}

static void out_refuses_what_is_malformed(void **state)
{
	static const uint8_t typed[] = {RESERVE, RELEASE, PREEMPT, PREEMPT_AND_ABORT};
	uint8_t list[64] = {0};

	for (unsigned i = 0; i < sizeof(typed); i++) {
		for (unsigned type = 0; type < 16; type++) {
			bool exists = type == 1 || type == 3 || (type >= 5 && type <= 8);

			assert_int_equal(out_list(A, typed[i], (uint8_t)type, list, 24),
				exists ? CONFLICT : 0x052400);
			if (!exists) {
				assert_field(2, 3, true);
			}
		}
		assert_int_equal(out_list(A, typed[i], 0x11, list, 24), 0x052400);
		assert_field(2, 7, true);
	}
	for (unsigned action = 0; action < 7; action++) {
		uint8_t type = action == 1 || action == 2 || action == 4 || action == 5 ? 1 : 0;

		for (unsigned length = 0; length < 32; length++) {
			if (length != 24) {
				assert_int_equal(
					out_list(A, (uint8_t)action, type, list, length), 0x051a00);
			}
		}
	}
	assert_int_equal(out_list(A, REGISTER, 0, NULL, 0), 0x051a00);
	assert_int_equal(out_list(A, 8, 0, list, 24), 0x052400); /* REPLACE LOST RESERVATION */
	assert_field(1, 4, true);
	list[20] = SPEC_I_PT; /* not with "ignore" */
	assert_int_equal(out_list(A, REGISTER_AND_IGNORE, 0, list, 24), 0x052600);
	assert_field(20, 3, false);
	assert_int_equal(pair_state(pair)->done_count, 4 * 6); /* only the conflicts got there */
}

static void out_whose_data_is_short_is_refused(void **state)
{
	uint8_t list[24] = {0};

	list[15] = 1;
	pair_start(pair, &t, A, 0, RIG_CDB(0x5f, REGISTER, 0, 0, 0, 0, 0, 0, 24, 0), list, 20);
	pair_run(pair);
	assert_int_equal(rig_outcome(&t), 0x051a00);
	assert_int_equal(pair_state(pair)->count, 0);
}

/* A TransportID of `text`, in a field of `bytes`, at `to`; the bytes it takes. */
static uint32_t transport_id(uint8_t *to, uint8_t format, const char *text, unsigned bytes)
{
	memset(to, 0, 4 + bytes);
	to[0] = format;
	be16_put(to + 2, (uint16_t)bytes);
	memcpy(to + 4, text, strlen(text));
	return 4 + bytes;
}

static void spec_i_pt_names_initiator_ports(void **state)
{
	uint8_t list[256] = {0};
	uint32_t length = 28;

	be64_put(list + 8, 0xa1);
	list[20] = SPEC_I_PT | ALL_TG_PT;
	length += transport_id(list + length, 0x45, "iqn.x:1,i,0x1", 20);
	length += transport_id(list + length, 0x45, "IQN.X:2,I,0xabcdef012345", 28);
	be32_put(list + 24, length - 28);
	assert_int_equal(out_list(B, REGISTER, 0, list, length), 0x052600); /* ",I," is no ",i," */
	assert_field(28 + 24, -1, false);
	length = 28 + 24;
	length += transport_id(list + length, 0x45, "IQN.X:2,i,0xABCDEF012345", 28);
	be32_put(list + 24, length - 28);
	assert_int_equal(out_list(B, REGISTER, 0, list, length), SCSI_GOOD);
	assert_int_equal(pair_state(pair)->generation, 1);
	assert_int_equal(pair_state(pair)->count, 3 * 3); /* three initiator ports, three ports */
	assert_string_equal(pair_state(pair)->registrants[8].who.initiator, "iqn.x:2");
	rig_assert_hex(pair_state(pair)->registrants[8].who.isid, 6, "ab cd ef 01 23 45");
	rig_assert_hex(pair_state(pair)->registrants[3].who.isid, 6, "00 00 00 00 00 01");
	assert_int_equal(pair_state(pair)->registrants[8].who.rtpi, 0x201);
	/* such a list of a nexus that is registered */
	be64_put(list, 0xa1);
	assert_int_equal(out_list(B, REGISTER, 0, list, length), 0x052600);
	assert_field(20, 3, false);
}

static void transport_ids_that_lie_are_refused(void **state)
{
	static const struct {
		uint8_t format;
		const char *text;
		unsigned bytes;
	} rows[] = {
		{0x05, "iqn.x:1", 20}, /* a device name: no port */
		{0x46, "iqn.x:1,i,0x1", 20}, /* SAS */
		{0x85, "iqn.x:1,i,0x1", 20}, {0x45, "iqn.x:1", 20}, {0x45, "iqn.x:1,i,0x", 20},
		{0x45, "iqn.x:1,i,0x1234567890123", 28}, /* thirteen digits */
		{0x45, "iqn.x:1,i,0x12g", 20}, {0x45, ",i,0x1", 20}, {0x45, "iqn x,i,0x1", 20},
		{0x45, "iqn.x:1,i,0x1", 16}, /* shorter than any */
		{0x45, "iqn.x:1,i,0x1", 21}, {0x45, "iqn.x:123456789,i,0x", 20}, /* no NUL */
	};
	uint8_t list[256] = {0};
	uint32_t length;

	be64_put(list + 8, 0xa1);
	list[20] = SPEC_I_PT;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		length = 28 + transport_id(list + 28, rows[i].format, rows[i].text, rows[i].bytes);
		be32_put(list + 24, length - 28);
		assert_int_equal(out_list(A, REGISTER, 0, list, length), 0x052600);
		assert_field(28, -1, false);
	}
	/* lengths that do not fit together */
	length = 28 + transport_id(list + 28, 0x45, "iqn.x:1,i,0x1", 20);
	be32_put(list + 24, length - 27);
	assert_int_equal(out_list(A, REGISTER, 0, list, length), 0x051a00);
	be32_put(list + 24, 0xffffffff);
	assert_int_equal(out_list(A, REGISTER, 0, list, length), 0x051a00);
	be16_put(list + 30, 0xfffc); /* runs past the end */
	be32_put(list + 24, length - 28);
	assert_int_equal(out_list(A, REGISTER, 0, list, length), 0x052600);
	assert_int_equal(pair_state(pair)->count, 0);
}

static uint32_t move(
	unsigned host, uint64_t key, uint64_t new_key, uint8_t flags, uint16_t rtpi, const char *to)
{
	uint8_t list[128] = {0};
	uint32_t length;

	be64_put(list, key);
	be64_put(list + 8, new_key);
	list[17] = flags;
	be16_put(list + 18, rtpi);
	length = transport_id(list + 24, 0x45, to, 48);
	be32_put(list + 20, length);
	return out_list(host, REGISTER_AND_MOVE, 0, list, 24 + length);
}

static void register_and_move_to_the_other_controller(void **state)
{
	static const char b[] = "iqn.1993-08.org.debian:01:b,i,0x80123456789a";
	static const char a[] = "iqn.1993-08.org.debian:01:a,i,0x80123456789a";

	assert_int_equal(move(A, 0xa1, 0xb1, 0, 0x201, b), CONFLICT);
	assert_int_equal(pair_pr(pair, A, REGISTER, 0, 0, 0xa1, 0), SCSI_GOOD);
	assert_int_equal(move(A, 0xa1, 0xb1, 0, 0x201, b), 0x052400);
	assert_field(1, 4, true);
	assert_int_equal(pair_pr(pair, A, RESERVE, 1, 0xa1, 0, 0), SCSI_GOOD);
	assert_int_equal(move(A, 0xa1, 0xb1, 0, 0x203, b), 0x052600); /* no such port */
	assert_field(18, -1, false);
	assert_int_equal(move(A, 0xa1, 0xb1, 0, 0x301, b), 0x052600);
	assert_int_equal(move(A, 0xa1, 0, 0, 0x201, b), 0x052600);
	assert_field(8, -1, false);
	assert_int_equal(move(A, 0xa1, 0xb1, 0, 0x101, a), 0x052600);
	assert_field(24, -1, false);
	assert_int_equal(write1(B), CONFLICT);
	assert_int_equal(move(A, 0xa1, 0xb1, 0x02, 0x201, b), SCSI_GOOD);
	assert_int_equal(write1(B), SCSI_GOOD);
	assert_int_equal(write1(A), CONFLICT);
	assert_int_equal(pair_state(pair)->count, 1);
	assert_int_equal(pair_state(pair)->generation, 2);
}

static void registrations_full(void **state)
{
	uint8_t list[32 + 256 * 24] = {0};
	uint32_t length = 28;
	char text[32];

	be64_put(list + 8, 1);
	list[20] = SPEC_I_PT;
	for (unsigned i = 0; i < 255; i++) {
		snprintf(text, sizeof(text), "iqn.x:%u,i,0x1", i);
		length += transport_id(list + length, 0x45, text, 20);
	}
	be32_put(list + 24, length - 28);
	assert_int_equal(out_list(A, REGISTER, 0, list, length), SCSI_GOOD);
	assert_int_equal(pair_state(pair)->count, 256);
	assert_int_equal(pair_pr(pair, B, REGISTER, 0, 0, 1, 0), 0x055504);
	assert_int_equal(pair_state(pair)->generation, 1);
	/* and all of them can be told */
	assert_int_equal(pr_in(B, 3, 0xffff), SCSI_GOOD);
	assert_int_equal(be32_get(t.in + 4), t.in_length - 8);
}

/* ----- enforcement ---------------------------------------------------------------------------- */

static void every_type_for_commands_of_every_host(void **state)
{
	/* A holds, B is registered, C is not: reads and writes that pass */
	static const struct {
		uint8_t type;
		const char *reads, *writes;
	} rows[] = {
		{1, "ABC", "A"},
		{3, "A", "A"},
		{5, "ABC", "AB"},
		{6, "AB", "AB"},
		{7, "ABC", "AB"},
		{8, "AB", "AB"},
	};

	assert_int_equal(pair_pr(pair, A, REGISTER, 0, 0, 0xa1, 0), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, B, REGISTER, 0, 0, 0xb1, 0), SCSI_GOOD);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(pair_pr(pair, A, RESERVE, rows[i].type, 0xa1, 0, 0), SCSI_GOOD);
		for (unsigned host = 0; host < HOSTS; host++) {
			assert_int_equal(read1(host),
				strchr(rows[i].reads, 'A' + (int)host) ? SCSI_GOOD : CONFLICT);
			assert_int_equal(write1(host),
				strchr(rows[i].writes, 'A' + (int)host) ? SCSI_GOOD : CONFLICT);
			/* these always pass */
			assert_int_equal(pair_ua(pair, host), SCSI_GOOD);
			assert_int_equal(pr_in(host, 0, 255), SCSI_GOOD);
			assert_int_equal(
				pair_do(pair, &t, host, 0, RIG_CDB(0x12, 0, 0, 0, 255, 0), NULL, 0),
				SCSI_GOOD);
			/* MODE SENSE is a write to a reservation */
			assert_int_equal(pair_do(pair, &t, host, 0,
						 RIG_CDB(0x1a, 0, 0x3f, 0, 255, 0), NULL, 0),
				strchr(rows[i].writes, 'A' + (int)host) ? SCSI_GOOD : CONFLICT);
		}
		/* the other LU is free */
		assert_int_equal(
			pair_do(pair, &t, C, 1, WRITE1, (const uint8_t[4096]){0}, 4096), SCSI_GOOD);
		assert_int_equal(pair_pr(pair, A, RELEASE, rows[i].type, 0xa1, 0, 0), SCSI_GOOD);
		assert_int_equal(pair_ua(pair, B), rows[i].type < 5 ? 0 : 0x062a04);
	}
}

static void a_nexus_is_looked_at_anew_after_every_change(void **state)
{
	assert_int_equal(pair_pr(pair, A, REGISTER, 0, 0, 0xa1, 0), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, A, RESERVE, 5, 0xa1, 0, 0), SCSI_GOOD);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(write1(C), CONFLICT);
		assert_int_equal(pair_pr(pair, C, REGISTER, 0, 0, 0xc1, 0), SCSI_GOOD);
		assert_int_equal(write1(C), SCSI_GOOD);
		assert_int_equal(pair_pr(pair, C, REGISTER, 0, 0xc1, 0, 0), SCSI_GOOD);
	}
}

static void a_held_command_is_checked_when_it_runs(void **state)
{
	assert_int_equal(pair_pr(pair, A, REGISTER, 0, 0, 0xa1, 0), SCSI_GOOD);
	pair->rigs[0]->ledger.wait = true; /* A's RESERVE is ordered while C's write is held */
	{
		uint8_t list[24] = {0};

		be64_put(list, 0xa1);
		pair_start(pair, &u[0], A, 0, RIG_CDB(0x5f, RESERVE, 1, 0, 0, 0, 0, 0, 24, 0), list,
			24);
	}
	pair_run(pair);
	rig_publish(pair->rigs[0], 0, GROUP_HELD, 1, 1, 1);
	pair_start(pair, &u[1], C, 0, WRITE1, block, 512);
	pair_run(pair);
	assert_int_equal(u[1].dones, 0);
	assert_int_equal(rig_ledger_run(pair->rigs[0]), 1);
	pair_run(pair);
	assert_int_equal(u[0].dones, 1);
	assert_int_equal(u[0].status, SCSI_GOOD);
	assert_int_equal(u[1].dones, 0);
	rig_publish(pair->rigs[0], 0, GROUP_LOCAL, 1, 1, 1);
	pair_run(pair);
	assert_int_equal(u[1].dones, 1);
	assert_int_equal(u[1].status, CONFLICT);
}

/* ----- unit attentions ------------------------------------------------------------------------ */

static void unit_attentions_reach_nexuses_of_both_controllers_once(void **state)
{
	all_register();
	assert_int_equal(pair_pr(pair, B, RESERVE, 6, 0xa1, 0, 0), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, B, RELEASE, 6, 0xa1, 0, 0), SCSI_GOOD);
	assert_int_equal(pair_ua(pair, A), 0x062a04);
	assert_int_equal(pair_ua(pair, A), 0);
	assert_int_equal(pair_ua(pair, C), 0x062a04);
	assert_int_equal(pair_ua(pair, C), 0);
	assert_int_equal(pair_ua(pair, B), 0);
	assert_int_equal(pair_pr(pair, A, PREEMPT, 1, 0xa0, 0xa1, 0), SCSI_GOOD);
	assert_int_equal(pair_ua(pair, B), 0x062a05);
	assert_int_equal(pair_ua(pair, B), 0);
	assert_int_equal(pair_ua(pair, A), 0);
	assert_int_equal(pair_pr(pair, B, REGISTER, 0, 0, 0xb1, 0), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, C, CLEAR, 0, 0xa2, 0, 0), SCSI_GOOD);
	assert_int_equal(pair_ua(pair, A), 0x062a03);
	assert_int_equal(pair_ua(pair, B), 0x062a03);
	assert_int_equal(pair_ua(pair, C), 0);
	assert_int_equal(pair_ua(pair, A), 0);
	assert_int_equal(pair_ua(pair, B), 0);
}

static void a_changed_alua_table_does_not_hide_them(void **state)
{
	all_register();
	assert_int_equal(pair_pr(pair, A, PREEMPT, 1, 0xa0, 0xa2, 0), SCSI_GOOD);
	rig_publish(pair->rigs[0], 0, GROUP_LOCAL, 1, 1, 2);
	assert_int_equal(pair_ua(pair, C), 0x062a05);
	assert_int_equal(pair_ua(pair, C), 0x062a06);
	assert_int_equal(pair_ua(pair, C), 0);
}

/* A nexus lives where its session is, also at a port that was adopted from the other controller. */
static void a_nexus_at_an_adopted_port_is_told_too(void **state)
{
	struct scsi_nexus *adopted = rig_nexus(pair->rigs[0], 0, "d", 0x202);
	struct scsi_nexus *b = pair->nexus[B];

	rig_calm(pair->rigs[0], adopted);
	assert_int_equal(pair_pr(pair, A, REGISTER, 0, 0, 0xa1, 0), SCSI_GOOD);
	pair->nexus[B] = adopted; /* commands of B come from there */
	assert_int_equal(pair_pr(pair, B, REGISTER, 0, 0, 0xb1, 0), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, A, PREEMPT, 1, 0xa1, 0xb1, 0), SCSI_GOOD);
	assert_int_equal(pair_ua(pair, B), 0x062a05);
	assert_int_equal(pair_ua(pair, B), 0);
	pair->nexus[B] = b;
	scsi_nexus_close(adopted, NULL, NULL);
}

/* ----- PREEMPT AND ABORT ---------------------------------------------------------------------- */

static void preempt_and_abort_ends_tasks_at_both_controllers(void **state)
{
	uint8_t list[24] = {0};

	all_register();
	assert_int_equal(pair_pr(pair, B, REGISTER, 0, 0xa1, 0xa2, 0), SCSI_GOOD); /* as C's */
	rig_store.wait = true;
	pair_start(pair, &u[0], A, 0, READ1, NULL, 0);
	pair_start(pair, &u[1], B, 0, READ1, NULL, 0);
	pair_run(pair);
	pair_start(pair, &u[2], C, 0, READ1, NULL, 0);
	pair_run(pair);
	be64_put(list, 0xa0);
	be64_put(list + 8, 0xa2);
	pair_start(pair, &t, A, 0, RIG_CDB(0x5f, PREEMPT_AND_ABORT, 1, 0, 0, 0, 0, 0, 24, 0), list,
		24);
	pair_run(pair);
	/* its answer waits for the tasks that are in the store */
	assert_int_equal(t.dones, 0);
	assert_int_equal(pair->rigs[1]->ship.aborts, 1);
	rig_store_run();
	pair_run(pair);
	assert_int_equal(t.dones, 1);
	assert_int_equal(t.status, SCSI_GOOD);
	assert_int_equal(u[0].status, SCSI_GOOD);
	assert_false(u[0].aborted);
	assert_true(u[1].aborted);
	assert_true(u[2].aborted);
	rig_store.wait = false;
	assert_int_equal(pair_ua(pair, B), 0x062f00);
	assert_int_equal(pair_ua(pair, B), 0x062a05);
	assert_int_equal(pair_ua(pair, C), 0x062f00);
	assert_int_equal(pair_ua(pair, C), 0x062a05);
	assert_int_equal(pair_ua(pair, C), 0);
	assert_int_equal(pair_ua(pair, A), 0);
}

/*
 * The other controller is lost. What it had shipped for a preempted nexus is in the store of the
 * owner, and nobody else waits for it (GOOD came, and the write landed after it).
 */
static void preempt_and_abort_waits_for_what_a_lost_controller_has_shipped(void **state)
{
	uint8_t list[24] = {0};

	all_register();
	rig_store.wait = true;
	pair_start(pair, &u[0], B, 0, READ1, NULL, 0);
	pair_run(pair);
	pair->cut = true;
	pair->rigs[0]->ledger.member_count = 1;
	be64_put(list, 0xa0);
	be64_put(list + 8, 0xa1);
	pair_start(pair, &t, A, 0, RIG_CDB(0x5f, PREEMPT_AND_ABORT, 1, 0, 0, 0, 0, 0, 24, 0), list,
		24);
	pair_run(pair);
	assert_int_equal(t.dones, 0);
	rig_store_run();
	pair_run(pair);
	assert_int_equal(t.dones, 1);
	assert_int_equal(t.status, SCSI_GOOD);
	rig_store.wait = false;
	pair->cut = false;
	pair_run(pair);
	assert_int_equal(u[0].dones, 1);
	pair->rigs[0]->ledger.member_count = 2;
}

static void preempt_and_abort_of_its_own_key_spares_itself(void **state)
{
	uint8_t list[24] = {0};

	all_register();
	rig_store.wait = true;
	pair_start(pair, &u[0], B, 0, READ1, NULL, 0);
	pair_run(pair);
	be64_put(list, 0xa1);
	be64_put(list + 8, 0xa1);
	pair_start(pair, &t, B, 0, RIG_CDB(0x5f, PREEMPT_AND_ABORT, 1, 0, 0, 0, 0, 0, 24, 0), list,
		24);
	pair_run(pair);
	assert_int_equal(t.dones, 0);
	rig_store_run();
	pair_run(pair);
	assert_int_equal(t.dones, 1);
	assert_false(t.aborted);
	assert_int_equal(t.status, SCSI_GOOD);
	assert_true(u[0].aborted);
	rig_store.wait = false;
	assert_int_equal(pair_ua(pair, B), 0);
}

/* Both controllers were apart, and the other one's history counts: in it B has been preempted. */
static void preempted_in_a_snapshot(void **state)
{
	const struct ledger_serve *from = scsi_ledger_serve(pair->rigs[0]->scsi);
	const struct ledger_serve *to = scsi_ledger_serve(pair->rigs[1]->scsi);
	const uint8_t *lu = pair->rigs[0]->extents[0].uuid;
	static uint8_t bytes[LEDGER_STATE_BYTES_MAX];
	int length;

	assert_int_equal(pair_pr(pair, A, REGISTER, 0, 0, 0xa0, 0), SCSI_GOOD);
	length = from->save(from->ctx, lu, bytes, sizeof(bytes));
	assert_true(length > 0);
	assert_int_equal(pair_pr(pair, B, REGISTER, 0, 0, 0xa1, 0), SCSI_GOOD);
	rig_store.wait = true;
	pair_start(pair, &u[0], B, 0, READ1, NULL, 0);
	pair_run(pair);
	assert_int_equal(to->load(to->ctx, lu, bytes, (size_t)length, false), 0);
	assert_int_equal(from->load(from->ctx, lu, bytes, (size_t)length, false), 0);
	pair_run(pair);
	rig_store_run();
	pair_run(pair);
	rig_store.wait = false;
	assert_int_equal(u[0].dones, 1);
	assert_true(u[0].aborted);
	assert_int_equal(pair_ua(pair, B), 0x062f00);
	assert_int_equal(pair_ua(pair, B), 0x062a05);
	assert_int_equal(pair_ua(pair, B), 0);
	assert_int_equal(pair_ua(pair, A), 0);
}

/* The entry of the one that is preempted may stand behind: nobody waits for anybody. */
static void preempted_commands_in_the_ledger_are_not_waited_for(void **state)
{
	uint8_t list[24] = {0};

	all_register();
	pair->rigs[0]->ledger.wait = true;
	be64_put(list, 0xa0);
	be64_put(list + 8, 0xa2);
	pair_start(pair, &u[0], A, 0, RIG_CDB(0x5f, PREEMPT_AND_ABORT, 1, 0, 0, 0, 0, 0, 24, 0),
		list, 24);
	pair_run(pair);
	be64_put(list, 0xa2);
	pair_start(pair, &u[1], C, 0, RIG_CDB(0x5f, REGISTER, 0, 0, 0, 0, 0, 0, 24, 0), list, 24);
	pair_run(pair);
	assert_int_equal(rig_ledger_run(pair->rigs[0]), 2);
	pair_run(pair);
	assert_int_equal(u[0].dones, 1);
	assert_int_equal(u[0].status, SCSI_GOOD);
	assert_int_equal(u[1].dones, 1);
	assert_true(u[1].aborted);
}

/* ----- the ledger's outcomes ------------------------------------------------------------------ */

static void good_is_not_said_before_the_ledger_is_done(void **state)
{
	uint8_t list[24] = {0};

	pair->rigs[0]->ledger.wait = true;
	list[15] = 1;
	pair_start(pair, &u[0], A, 0, RIG_CDB(0x5f, REGISTER, 0, 0, 0, 0, 0, 0, 24, 0), list, 24);
	pair_start(pair, &u[1], B, 0, RIG_CDB(0x5f, REGISTER, 0, 0, 0, 0, 0, 0, 24, 0), list, 24);
	pair_run(pair);
	assert_int_equal(u[0].dones + u[1].dones, 0);
	assert_int_equal(pair->rigs[0]->ledger.submitted, 2);
	assert_int_equal(pair->rigs[0]->ledger.last_epoch, 1);
	rig_ledger_run(pair->rigs[0]);
	pair_run(pair);
	assert_int_equal(u[0].dones + u[1].dones, 2);
	assert_int_equal(pair_state(pair)->count, 2);
}

static void an_entry_that_cannot_be_made_durable_is_busy(void **state)
{
	pair->rigs[0]->ledger.outcome = LEDGER_FAILED;
	assert_int_equal(pair_pr(pair, A, REGISTER, 0, 0, 1, 0), SCSI_BUSY);
	assert_int_equal(pair_pr(pair, B, REGISTER, 0, 0, 1, 0), SCSI_BUSY);
	assert_int_equal(pair_state(pair)->count, 0);
	assert_int_equal(write1(A), SCSI_GOOD);
	pair->rigs[0]->ledger.outcome = LEDGER_DONE;
	assert_int_equal(pair_pr(pair, A, REGISTER, 0, 0, 1, 0), SCSI_GOOD);
}

static void again_goes_to_the_gate_anew(void **state)
{
	uint8_t list[24] = {0};

	pair->rigs[0]->ledger.outcome = LEDGER_AGAIN;
	list[15] = 1;
	pair_start(pair, &u[0], A, 0, RIG_CDB(0x5f, REGISTER, 0, 0, 0, 0, 0, 0, 24, 0), list, 24);
	pair_run(pair);
	assert_int_equal(u[0].dones, 0);
	pair->rigs[0]->ledger.outcome = LEDGER_DONE;
	rig_publish(pair->rigs[0], 0, GROUP_LOCAL, 1, 2, 2);
	pair_run(pair);
	/* the ALUA table has changed: that is told first, and the command did not run */
	assert_int_equal(u[0].dones, 1);
	assert_int_equal(rig_outcome(&u[0]), 0x062a06);
	assert_int_equal(pair_state(pair)->count, 0);
	assert_int_equal(pair_pr(pair, A, REGISTER, 0, 0, 1, 0), SCSI_GOOD);
	assert_int_equal(pair->rigs[0]->ledger.last_epoch, 2);
}

static void applied(void *arg)
{
	++*(unsigned *)arg;
}

/* Shipped, applied, the owner lost before its answer came: the second time tells the result. */
static void a_rerun_tells_what_was_applied(void **state)
{
	uint8_t list[24] = {0};

	list[15] = 1;
	pair_start(pair, &u[0], B, 0, RIG_CDB(0x5f, REGISTER, 0, 0, 0, 0, 0, 0, 24, 0), list, 24);
	pair->cut = true;
	pair_run(pair);
	assert_non_null(pair->rigs[1]->ship.last);
	/* what the lost owner had put into the order */
	{
		const struct scsi_task *task = &u[0].task;
		struct scsi_entry entry = {.kind = SCSI_ENTRY_PR_OUT,
			.who = pair->nexus[B]->who,
			.serial = task->serial,
			.new_key = 1};
		uint8_t bytes[512];
		struct cursor c = cursor_over(bytes, sizeof(bytes));

		scsi_entry_put(&c, &entry);
		for (unsigned i = 0; i < 2; i++) {
			const struct ledger_serve *serve = scsi_ledger_serve(pair->rigs[i]->scsi);
			struct ledger_entry e = {.bytes = bytes, .length = c.pos};
			unsigned done = 0;

			memcpy(e.lu, pair->rigs[i]->extents[0].uuid, 16);
			serve->apply(serve->ctx, &e, 1, applied, &done);
			pair_run(pair);
			assert_int_equal(done, 1);
		}
	}
	assert_int_equal(pair_state(pair)->generation, 1);
	u[0].task.rerun = true;
	pair->cut = false;
	pair_run(pair);
	assert_int_equal(u[0].dones, 1);
	assert_int_equal(u[0].status, SCSI_GOOD);
	assert_int_equal(pair_state(pair)->generation, 1);
	assert_int_equal(pair_pr(pair, B, REGISTER, 0, 0, 1, 0), CONFLICT);
}

static void view_publish(struct rig *rig, enum group_access access, uint8_t own_port)
{
	struct group_view view = {
		.owner = 1, .preferred = 1, .epoch = 1, .table = 2, .access = access};
	unsigned done = 0;

	view.tpg[1] = ALUA_OPTIMIZED;
	view.tpg[2] = own_port;
	rig->serve->publish(rig->serve->ctx, &view, applied, &done);
	rig_run(rig);
	assert_int_equal(done, 1);
}

/*
 * It may have run when the interconnect broke. Meanwhile the port that it came in by is unavailable
 * and hosts are told of a new table; it is held all the same: both would say that it has not run.
 */
static void a_rerun_is_held_whatever_the_port_says(void **state)
{
	struct rig *ingress = pair->rigs[1];
	struct scsi_task *task;
	uint8_t list[24] = {0};

	list[15] = 1;
	pair_start(pair, &u[0], B, 0, RIG_CDB(0x5f, REGISTER, 0, 0, 0, 0, 0, 0, 24, 0), list, 24);
	pair->cut = true;
	pair_run(pair);
	task = ingress->ship.last;
	assert_non_null(task);
	ingress->ship.last = NULL;
	view_publish(ingress, GROUP_HELD, ALUA_UNAVAILABLE);
	task->rerun = true;
	ingress->serve->task_shipped(ingress->serve->ctx, task, SHIP_AGAIN);
	assert_int_equal(u[0].dones, 0);
	/* what has not been sent before is refused */
	pair_start(pair, &u[1], B, 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0);
	assert_int_equal(rig_outcome(&u[1]), 0x62a06);
	pair_start(pair, &u[1], B, 0, RIG_CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL, 0);
	assert_int_equal(rig_outcome(&u[1]), 0x2040c);
	view_publish(ingress, GROUP_REMOTE, ALUA_NON_OPTIMIZED);
	pair->cut = false;
	pair_run(pair);
	assert_int_equal(u[0].dones, 1);
	assert_int_equal(u[0].status, SCSI_GOOD);
}

/*
 * Its first run may have registered the key, and for the second one no entry can be made durable
 * at the moment: BUSY would say that nothing has changed.
 */
static void a_rerun_waits_for_the_ledger(void **state)
{
	struct rig_ledger *ledger = &pair->rigs[0]->ledger;
	uint8_t list[24] = {0};

	list[15] = 1;
	ledger->outcome = LEDGER_FAILED;
	for (unsigned i = 0; i < 2; i++) {
		pair_start(pair, &u[i], B, 0, RIG_CDB(0x5f, REGISTER, 0, 0, 0, 0, 0, 0, 24, 0),
			list, 24);
		u[i].task.rerun = i == 0;
		pair_run(pair);
	}
	assert_int_equal(u[0].dones, 0);
	assert_int_equal(u[1].dones, 1);
	assert_int_equal(u[1].status, SCSI_BUSY);
	ledger->outcome = LEDGER_DONE;
	for (int pass = 0; pass < 100 && !u[0].dones; pass++) {
		reactor_run_once(pair->rigs[0]->reactors[0], 20);
		pair_run(pair);
	}
	assert_int_equal(u[0].dones, 1);
	assert_int_equal(u[0].status, SCSI_GOOD);
	assert_int_equal(pair_state(pair)->generation, 1);
}

/* ----- sessions, resets, the ledger's state --------------------------------------------------- */

static void registrations_outlive_sessions(void **state)
{
	assert_int_equal(pair_pr(pair, B, REGISTER, 0, 0, 0xb1, 0), SCSI_GOOD);
	assert_int_equal(pair_pr(pair, B, RESERVE, 3, 0xb1, 0, 0), SCSI_GOOD);
	scsi_nexus_close(pair->nexus[B], NULL, NULL);
	pair->nexus[B] = NULL;
	pair_run(pair);
	assert_int_equal(read1(A), CONFLICT);
	assert_int_equal(pair_state(pair)->type, 3);
	/* the same initiator port at the same port is the same nexus again */
	pair->nexus[B] = rig_nexus(pair->rigs[1], 1, "b", 0x201);
	rig_calm(pair->rigs[1], pair->nexus[B]);
	assert_int_equal(write1(B), SCSI_GOOD);
	/* at another port it is another */
	scsi_nexus_close(pair->nexus[B], NULL, NULL);
	pair->nexus[B] = rig_nexus(pair->rigs[1], 0, "a", 0x201);
	rig_calm(pair->rigs[1], pair->nexus[B]);
	assert_int_equal(write1(B), CONFLICT);
}

static void a_joiner_takes_the_state_over(void **state)
{
	static uint8_t bytes[LEDGER_STATE_BYTES_MAX];
	const struct ledger_serve *from, *to;
	unsigned done = 0;
	int length;

	all_register();
	assert_int_equal(pair_pr(pair, A, RESERVE, 1, 0xa0, 0, 0), SCSI_GOOD);
	from = scsi_ledger_serve(pair->rigs[0]->scsi);
	to = scsi_ledger_serve(pair->rigs[1]->scsi);
	length = from->save(from->ctx, pair->rigs[0]->extents[0].uuid, bytes, sizeof(bytes));
	assert_true(length > 0);
	assert_int_equal(
		from->save(from->ctx, pair->rigs[0]->extents[1].uuid, bytes + length, 99), 0);
	assert_int_equal(to->load(to->ctx, pair->rigs[1]->extents[0].uuid, NULL, 0, false), 0);
	pair_run(pair);
	assert_int_equal(
		to->load(to->ctx, pair->rigs[1]->extents[0].uuid, bytes, 3, false), -EBADMSG);
	assert_int_equal(
		to->load(to->ctx, pair->rigs[1]->extents[0].uuid, bytes, (size_t)length, false), 0);
	pair_run(pair);
	pair_state(pair); /* the same bytes at both */
	assert_int_equal(pair_ua(pair, B), 0x062a05); /* of the time without registrations */
	/* MODE SENSE is judged where it runs */
	assert_int_equal(
		pair_do(pair, &t, B, 0, RIG_CDB(0x1a, 0, 0x3f, 0, 255, 0), NULL, 0), CONFLICT);
	/* cold, without APTPL: all gone */
	for (unsigned i = 0; i < 2; i++) {
		const struct ledger_serve *serve = scsi_ledger_serve(pair->rigs[i]->scsi);

		assert_int_equal(serve->load(serve->ctx, pair->rigs[i]->extents[0].uuid, bytes,
					 (size_t)length, true),
			0);
	}
	pair_run(pair);
	assert_int_equal(pair_state(pair)->count, 0);
	assert_int_equal(write1(C), SCSI_GOOD);
	/* an LU that this configuration does not have */
	{
		struct ledger_entry entry = {.bytes = bytes, .length = 1};

		memset(entry.lu, 0xee, 16);
		assert_int_equal(from->apply(from->ctx, &entry, 9, applied, &done), 0);
		assert_int_equal(done, 1);
	}
	memset(bytes, 0, 16);
	for (unsigned i = 0; i < RIG_EXTENTS; i++) {
		assert_true(from->lu(from->ctx, i, bytes));
		assert_memory_equal(bytes, pair->rigs[0]->extents[i].uuid, 16);
	}
	assert_false(from->lu(from->ctx, RIG_EXTENTS, bytes));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(in_answers_without_registrations),
		TEST(in_tells_the_same_at_both_controllers),
		TEST(out_refuses_what_is_malformed),
		TEST(out_whose_data_is_short_is_refused),
		TEST(spec_i_pt_names_initiator_ports),
		TEST(transport_ids_that_lie_are_refused),
		TEST(register_and_move_to_the_other_controller),
		TEST(registrations_full),
		TEST(every_type_for_commands_of_every_host),
		TEST(a_nexus_is_looked_at_anew_after_every_change),
		TEST(a_held_command_is_checked_when_it_runs),
		TEST(unit_attentions_reach_nexuses_of_both_controllers_once),
		TEST(a_changed_alua_table_does_not_hide_them),
		TEST(a_nexus_at_an_adopted_port_is_told_too),
		TEST(preempt_and_abort_ends_tasks_at_both_controllers),
		TEST(preempt_and_abort_of_its_own_key_spares_itself),
		TEST(preempt_and_abort_waits_for_what_a_lost_controller_has_shipped),
		TEST(preempted_commands_in_the_ledger_are_not_waited_for),
		TEST(preempted_in_a_snapshot),
		TEST(good_is_not_said_before_the_ledger_is_done),
		TEST(an_entry_that_cannot_be_made_durable_is_busy),
		TEST(again_goes_to_the_gate_anew),
		TEST(a_rerun_tells_what_was_applied),
		TEST(a_rerun_is_held_whatever_the_port_says),
		TEST(a_rerun_waits_for_the_ledger),
		TEST(registrations_outlive_sessions),
		TEST(a_joiner_takes_the_state_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
