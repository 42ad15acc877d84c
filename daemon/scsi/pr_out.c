/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PERSISTENT RESERVE OUT (SPC-4 6.16) at the owner: the CDB and the parameter list are checked
 * here and become an entry of the ledger; whether it conflicts is decided when that is applied.
 */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/tasks.h"
#include "daemon/scsi/transport_id.h"
#include "yoke/util.h"

#define LIST_BYTES	   24 /* without TransportIDs */
#define LIST_BYTES_MOST	   (32u << 10)
#define TRANSPORT_ID_LEAST 24
#define ENTRY_BYTES	   4096 /* of one without further initiator ports; names, every port */

/* Byte 20 of the basic list, byte 17 of REGISTER AND MOVE's. */
#define LIST_SPEC_I_PT 0x08
#define LIST_ALL_TG_PT 0x04
#define LIST_APTPL     0x01
#define MOVE_UNREG     0x02
#define MOVE_APTPL     0x01

#define PORTS_MOST     (YOKE_CONTROLLERS * 255u)

/* What was found while the list was read; further initiator ports in `scratch`. */
struct pr_list {
	const uint8_t *bytes;
	uint32_t length;
	struct scsi_entry entry;
	uint8_t ports[2 * PORTS_MOST];
	struct cursor scratch;
};

static bool length_check(struct scsi_task *task, uint32_t length, uint32_t least, uint32_t most)
{
	if (length < least || length > most) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	task->out_bytes = length;
	return true;
}

static bool type_check(struct scsi_task *task)
{
	if (task->cdb[2] >> 4) { /* scope: there is only the LU's */
		scsi_set_cdb_field(task, 2, 7);
		return false;
	}
	if (!scsi_pr_type_exists(task->cdb[2] & 0xf)) {
		scsi_set_cdb_field(task, 2, 3);
		return false;
	}
	return true;
}

bool scsi_pr_register_decode(struct scsi_task *task)
{
	return length_check(task, be32_get(task->cdb + 5), LIST_BYTES, LIST_BYTES_MOST);
}

bool scsi_pr_typed_decode(struct scsi_task *task)
{
	return type_check(task) &&
	       length_check(task, be32_get(task->cdb + 5), LIST_BYTES, LIST_BYTES);
}

bool scsi_pr_clear_decode(struct scsi_task *task)
{
	return length_check(task, be32_get(task->cdb + 5), LIST_BYTES, LIST_BYTES);
}

bool scsi_pr_move_decode(struct scsi_task *task)
{
	return length_check(task, be32_get(task->cdb + 5), LIST_BYTES + TRANSPORT_ID_LEAST,
		LIST_BYTES + SCSI_TRANSPORT_ID_MOST);
}

/* Every port of both controllers, as RTPIs; how many. */
static uint16_t ports_put(const struct conf *conf, uint8_t *to)
{
	uint16_t count = 0;

	for (unsigned i = 0; i < conf->controller_count; i++) {
		for (unsigned k = 1; k <= conf->controllers[i].portal_count; k++) {
			be16_put(to + 2 * count++, (uint16_t)(conf->controllers[i].id * 256u + k));
		}
	}
	return count;
}

static bool port_exists(const struct conf *conf, uint16_t rtpi)
{
	for (unsigned i = 0; i < conf->controller_count; i++) {
		if (conf->controllers[i].id == rtpi >> 8) {
			return (rtpi & 0xff) >= 1 &&
			       (rtpi & 0xffu) <= conf->controllers[i].portal_count;
		}
	}
	return false;
}

/* The TransportIDs behind the basic list. */
static bool others_get(struct scsi_task *task, struct pr_list *list)
{
	struct cursor c = cursor_reader(list->bytes, list->length);
	struct scsi_identity other = list->entry.who;
	uint32_t length;

	cursor_take(&c, LIST_BYTES);
	length = cursor_get_u32(&c);
	if (!cursor_ok(&c) || length != cursor_left(&c)) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	while (cursor_left(&c)) {
		size_t begin = c.pos;

		if (!scsi_transport_id_get(&c, &other)) {
			scsi_set_list_field(task, (unsigned)begin, -1);
			return false;
		}
		if (list->entry.other_count == SCSI_REGISTRANTS_MAX) {
			scsi_set_sense(task, SENSE_REGISTRATION_RESOURCES);
			return false;
		}
		scsi_entry_other_put(&list->scratch, &other);
		list->entry.other_count++;
	}
	list->entry.others = cursor_reader(list->scratch.base, list->scratch.pos);
	return true;
}

static bool register_get(struct scsi_task *task, struct pr_list *list)
{
	struct scsi_entry *entry = &list->entry;
	uint8_t flags = list->bytes[20];

	entry->flags |= flags & LIST_APTPL ? SCSI_ENTRY_APTPL : 0;
	if (flags & LIST_ALL_TG_PT) {
		entry->flags |= SCSI_ENTRY_ALL_TG_PT;
		entry->port_count = ports_put(task->nexus->core->scsi->conf, list->ports);
		entry->ports = cursor_reader(list->ports, 2u * entry->port_count);
	}
	if (!(flags & LIST_SPEC_I_PT)) {
		if (list->length != LIST_BYTES) {
			scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
			return false;
		}
		return true;
	}
	if (entry->action != SCSI_PR_REGISTER) {
		scsi_set_list_field(task, 20, 3);
		return false;
	}
	entry->flags |= SCSI_ENTRY_SPEC_I_PT;
	return others_get(task, list);
}

static bool move_get(struct scsi_task *task, struct pr_list *list)
{
	struct scsi_entry *entry = &list->entry;
	struct cursor c = cursor_reader(list->bytes + LIST_BYTES, list->length - LIST_BYTES);
	uint32_t length = be32_get(list->bytes + 20);

	entry->flags |= list->bytes[17] & MOVE_APTPL ? SCSI_ENTRY_APTPL : 0;
	entry->flags |= list->bytes[17] & MOVE_UNREG ? SCSI_ENTRY_UNREG : 0;
	entry->destination = entry->who;
	entry->destination.rtpi = be16_get(list->bytes + 18);
	entry->destination.controller = (uint8_t)(entry->destination.rtpi >> 8);
	if (!port_exists(task->nexus->core->scsi->conf, entry->destination.rtpi)) {
		scsi_set_list_field(task, 18, -1);
		return false;
	}
	if (length != cursor_left(&c)) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	if (!scsi_transport_id_get(&c, &entry->destination) || cursor_left(&c)) {
		scsi_set_list_field(task, LIST_BYTES, -1);
		return false;
	}
	return true;
}

static bool list_get(struct scsi_task *task, struct pr_list *list)
{
	struct scsi_entry *entry = &list->entry;

	*entry = scsi_ledger_entry(task, SCSI_ENTRY_PR_OUT);
	entry->action = task->row->action;
	entry->key = be64_get(list->bytes);
	entry->new_key = be64_get(list->bytes + 8);
	switch ((enum scsi_pr_action)entry->action) {
	case SCSI_PR_REGISTER:
	case SCSI_PR_REGISTER_AND_IGNORE:
		return register_get(task, list);
	case SCSI_PR_REGISTER_AND_MOVE:
		return move_get(task, list);
	case SCSI_PR_RESERVE:
	case SCSI_PR_RELEASE:
	case SCSI_PR_PREEMPT:
	case SCSI_PR_PREEMPT_AND_ABORT:
		entry->type = task->cdb[2] & 0xf;
		return true;
	case SCSI_PR_CLEAR:
		return true;
	case SCSI_PR_ACTION_COUNT:
		break;
	}
	return false;
}

void scsi_pr_out_run(struct scsi_task *task)
{
	struct pr_list list = {.bytes = task->buf->data, .length = task->out_length};
	struct cursor entry;

	if (task->out_length != task->out_bytes) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		scsi_task_finish(task);
		return;
	}
	/* An initiator port is shorter in an entry than as a TransportID. */
	entry = scsi_ledger_begin(task, ENTRY_BYTES + 2 * task->out_bytes);
	if (entry.size == 0) {
		scsi_task_finish(task);
		return;
	}
	list.scratch = cursor_over(entry.base + ENTRY_BYTES + task->out_bytes, task->out_bytes);
	entry.size = ENTRY_BYTES + task->out_bytes;
	if (!list_get(task, &list)) {
		scsi_task_finish(task);
		return;
	}
	scsi_entry_put(&entry, &list.entry);
	scsi_ledger_send(task, &entry);
}
