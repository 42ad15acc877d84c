/* SPDX-License-Identifier: BSD-3-Clause */
/* PERSISTENT RESERVE IN (SPC-4 6.15), answered by the owner from its reactor's copy. */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/snapshot.h"
#include "daemon/scsi/tasks.h"
#include "daemon/scsi/transport_id.h"
#include "yoke/util.h"

#define HEADER_BYTES	   8
#define STATUS_BYTES	   24 /* of a full status descriptor, without the TransportID */
#define CAPABILITIES_BYTES 8
#define CAPABLE		   0x1d /* CRH, SIP_C, ATP_C, PTPL_C */
#define TYPE_MASK_VALID	   0x80
#define PTPL_ACTIVATED	   0x01
#define TYPES		   0xea01 /* all six */
#define R_HOLDER	   0x01
#define FULL_STATUS_MOST \
	(HEADER_BYTES + SCSI_REGISTRANTS_MAX * (STATUS_BYTES + SCSI_TRANSPORT_ID_MOST))
#define RESERVATION_MOST (HEADER_BYTES + 16)
#define KEYS_MOST	 (HEADER_BYTES + SCSI_REGISTRANTS_MAX * 8)

static const struct scsi_state nothing = {.holder = SCSI_NO_REGISTRANT};

static const struct scsi_state *state_of(const struct scsi_task *task)
{
	const struct scsi_snapshot *snapshot = scsi_snapshot_of(task);

	return snapshot ? &snapshot->state : &nothing;
}

static bool decode(struct scsi_task *task, uint32_t most)
{
	return scsi_parameter_decode(task, be16_get(task->cdb + 7), most);
}

/* PRGENERATION and ADDITIONAL LENGTH, which tells the whole length even when it is cut. */
static struct cursor begin(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);

	cursor_put_u32(&c, state_of(task)->generation);
	cursor_put_u32(&c, 0);
	return c;
}

static void end(struct scsi_task *task, struct cursor *c)
{
	if (cursor_ok(c)) {
		be32_put(c->base + 4, (uint32_t)(c->pos - HEADER_BYTES));
	}
	scsi_parameter_end(task, c);
}

bool scsi_pr_keys_decode(struct scsi_task *task)
{
	return decode(task, KEYS_MOST);
}

void scsi_pr_keys_run(struct scsi_task *task)
{
	const struct scsi_state *state = state_of(task);
	struct cursor c = begin(task);

	for (unsigned i = 0; i < state->count; i++) {
		cursor_put_u64(&c, state->registrants[i].key);
	}
	end(task, &c);
}

bool scsi_pr_reservation_decode(struct scsi_task *task)
{
	return decode(task, RESERVATION_MOST);
}

void scsi_pr_reservation_run(struct scsi_task *task)
{
	const struct scsi_state *state = state_of(task);
	struct cursor c = begin(task);

	if (state->type) {
		/* An "all registrants" type has no key of its own. */
		cursor_put_u64(&c,
			state->holder < state->count ? state->registrants[state->holder].key : 0);
		cursor_put_zeros(&c, 5);
		cursor_put_u8(&c, state->type); /* scope 0: the LU */
		cursor_put_zeros(&c, 2);
	}
	end(task, &c);
}

bool scsi_pr_capabilities_decode(struct scsi_task *task)
{
	return decode(task, CAPABILITIES_BYTES);
}

void scsi_pr_capabilities_run(struct scsi_task *task)
{
	struct cursor c = scsi_parameter_begin(task);

	cursor_put_u16(&c, CAPABILITIES_BYTES);
	cursor_put_u8(&c, CAPABLE);
	cursor_put_u8(
		&c, (uint8_t)(TYPE_MASK_VALID | (state_of(task)->aptpl ? PTPL_ACTIVATED : 0)));
	cursor_put_u16(&c, TYPES);
	cursor_put_zeros(&c, 2);
	scsi_parameter_end(task, &c);
}

bool scsi_pr_full_status_decode(struct scsi_task *task)
{
	return decode(task, FULL_STATUS_MOST);
}

void scsi_pr_full_status_run(struct scsi_task *task)
{
	const struct scsi_state *state = state_of(task);
	struct cursor c = begin(task);

	for (uint16_t i = 0; i < state->count; i++) {
		bool holds = scsi_state_holds(state, i);
		size_t length_at;

		cursor_put_u64(&c, state->registrants[i].key);
		cursor_put_zeros(&c, 4);
		/* ALL_TG_PT is never set: there is a registration for each port. */
		cursor_put_u8(&c, holds ? R_HOLDER : 0);
		cursor_put_u8(&c, holds ? state->type : 0);
		cursor_put_zeros(&c, 4);
		cursor_put_u16(&c, state->registrants[i].who.rtpi);
		length_at = c.pos;
		cursor_put_u32(&c, 0);
		scsi_transport_id_put(&c, &state->registrants[i].who);
		if (cursor_ok(&c)) {
			be32_put(c.base + length_at, (uint32_t)(c.pos - length_at - 4));
		}
	}
	end(task, &c);
}
