/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_cmd.h"

#include "ha/ship_private.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define SHIP_SLAB_COMMANDS 64u

struct ship_cmd_slab {
	struct ship_cmd_slab *next;
	struct ship_cmd cmds[SHIP_SLAB_COMMANDS];
};

struct ship_cmd *ship_cmd_new(struct ship_out *out)
{
	struct ship_cmd *cmd;

	if (qb_list_empty(&out->free)) {
		struct ship_cmd_slab *slab = calloc(1, sizeof(*slab));

		if (!slab) {
			return NULL;
		}
		slab->next = out->slabs;
		out->slabs = slab;
		for (size_t i = 0; i < SHIP_SLAB_COMMANDS; i++) {
			qb_list_add_tail(&slab->cmds[i].link, &out->free);
		}
	}
	cmd = qb_list_first_entry(&out->free, struct ship_cmd, link);
	qb_list_del(&cmd->link);
	*cmd = (struct ship_cmd){0};
	return cmd;
}

void ship_cmd_free(struct ship_out *out, struct ship_cmd *cmd)
{
	qb_list_add(&cmd->link, &out->free);
}

void ship_cmds_free(struct ship_out *out)
{
	struct qb_list_head *lists[] = {
		&out->active, &out->pending_in, &out->pending_out, &out->parked, &out->ended};
	struct ship_cmd *cmd;

	/* The tasks belong to the device server; what was taken for them goes back. */
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		qb_list_for_each_entry (cmd, lists[i], link) {
			ship_cmd_drop_buffer(cmd);
		}
	}
	while (out->slabs) {
		struct ship_cmd_slab *slab = out->slabs;

		out->slabs = slab->next;
		free(slab);
	}
}

void ship_cmd_put(struct cursor *c, const struct ship_cmd *cmd, uint8_t version)
{
	const struct scsi_task *task = cmd->task;
	struct ship_command command = {
		.nexus = cmd->nexus->id,
		.attribute = task->attribute,
		.cdb_length = task->cdb_length,
		.expected_out_bytes = task->expected_out_bytes,
		.expected_in_bytes = task->expected_in_bytes,
		.out_bytes = task->out_length,
		.task_tag = task->tag,
		.serial = task->serial,
		.rerun = task->rerun,
	};

	memcpy(command.lu, cmd->lu, sizeof(command.lu));
	memcpy(command.cdb, task->cdb, sizeof(command.cdb));
	ship_command_put(c, &command, version);
}

uint32_t ship_cmd_in_bytes(const struct scsi_task *task)
{
	uint32_t bytes =
		task->in_bytes < task->expected_in_bytes ? task->in_bytes : task->expected_in_bytes;

	return bytes < BUF_MAX_BYTES ? bytes : BUF_MAX_BYTES;
}

void ship_cmd_drop_buffer(struct ship_cmd *cmd)
{
	if (cmd->took_buffer) {
		buf_put(reactor_buffers(cmd->task->reactor), cmd->task->buf);
		cmd->task->buf = NULL;
		cmd->took_buffer = false;
	}
}

/* ----- TMFs ------------------------------------------------------------------------------------
 */

struct ship_tmf_out {
	struct qb_list_head link;
	struct ship_tx tx;
	struct ship_tmf tmf;
	void (*done)(void *arg);
	void *arg;
	uint64_t tag;
	bool sent; /* or queued, on the present connection */
	bool waits; /* for a peer that has left: counted in ship->tmfs_waiting */
};

static bool ship_tmf_fill(struct ship_conn *conn, struct ship_tx *tx)
{
	struct ship_tmf_out *record = container_of(tx, struct ship_tmf_out, tx);
	struct cursor c = ship_frame_begin(conn);

	ship_tmf_put(&c, &record->tmf);
	ship_frame_end(conn, &c, SHIP_TMF, 0, record->tag);
	return false;
}

static void ship_tmf_wait(struct ship_out *out, struct ship_tmf_out *record, bool waits)
{
	if (waits && !record->waits) {
		atomic_fetch_add(&out->conn.ship->tmfs_waiting, 1);
	} else if (!waits && record->waits) {
		atomic_fetch_sub(&out->conn.ship->tmfs_waiting, 1);
	}
	record->waits = waits;
}

void ship_tmf_pump(struct ship_out *out)
{
	struct ship_tmf_out *record;

	if (out->conn.state != SHIP_OPEN) {
		return;
	}
	qb_list_for_each_entry (record, &out->tmfs, link) {
		if (out->tmfs_sent == SHIP_TMFS) {
			return;
		}
		if (!record->sent) {
			record->sent = true;
			ship_tmf_wait(out, record, false);
			record->tag = ++out->serial << 16;
			out->tmfs_sent++;
			ship_conn_send(&out->conn, &record->tx);
		}
	}
}

/*
 * Whoever is only out of reach may have commands that the TMF names, and be back with them: it is
 * asked then. The function is not complete before.
 */
void ship_tmf_all_wait(struct ship_out *out)
{
	struct ship_tmf_out *record;

	qb_list_for_each_entry (record, &out->tmfs, link) {
		ship_tmf_wait(out, record, true);
	}
}

static void ship_tmf_end(struct ship_out *out, struct ship_tmf_out *record)
{
	ship_tmf_wait(out, record, false);
	ship_conn_unsend(&record->tx);
	qb_list_del(&record->link);
	qb_list_add_tail(&record->link, &out->tmfs_ended);
	reactor_defer(out->conn.port->reactor, &out->back);
}

const char *ship_tmf_done(struct ship_out *out, uint64_t tag)
{
	struct ship_tmf_out *record;

	qb_list_for_each_entry (record, &out->tmfs, link) {
		if (record->sent && !record->tx.queued && record->tag == tag) {
			out->tmfs_sent--;
			ship_tmf_end(out, record);
			return NULL;
		}
	}
	return "no TMF has this tag";
}

void ship_tmf_unsend(struct ship_out *out)
{
	struct ship_tmf_out *record;

	qb_list_for_each_entry (record, &out->tmfs, link) {
		record->sent = false;
	}
	out->tmfs_sent = 0;
}

void ship_tmf_all_end(struct ship_out *out)
{
	while (!qb_list_empty(&out->tmfs)) {
		ship_tmf_end(out, qb_list_first_entry(&out->tmfs, struct ship_tmf_out, link));
	}
	out->tmfs_sent = 0;
}

void ship_tmf_back(struct ship_out *out)
{
	while (!qb_list_empty(&out->tmfs_ended)) {
		struct ship_tmf_out *record =
			qb_list_first_entry(&out->tmfs_ended, struct ship_tmf_out, link);
		void (*done)(void *arg) = record->done;
		void *arg = record->arg;

		qb_list_del(&record->link);
		free(record);
		done(arg);
	}
}

void ship_tmfs_free(struct ship_out *out)
{
	struct qb_list_head *lists[] = {&out->tmfs, &out->tmfs_ended};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		while (!qb_list_empty(lists[i])) {
			struct ship_tmf_out *record =
				qb_list_first_entry(lists[i], struct ship_tmf_out, link);

			qb_list_del(&record->link);
			free(record);
		}
	}
}

void ship_out_tmf(struct ship_port *port, enum scsi_tmf_function function, const uint8_t lu[16],
	const struct scsi_identity *who, void (*done)(void *arg), void *arg)
{
	struct ship_out *out = &port->out;
	struct ship_tmf_out *record = calloc(1, sizeof(*record));

	if (!record) {
		log_err("interconnect: reactor %u: out of memory: %s is not carried to controller "
			"%u",
			port->index, scsi_tmf_function_name(function), port->ship->peer);
		done(arg);
		return;
	}
	record->tx.fill = ship_tmf_fill;
	record->tmf = (struct ship_tmf){.function = (uint8_t)function, .who = *who};
	memcpy(record->tmf.lu, lu, sizeof(record->tmf.lu));
	record->done = done;
	record->arg = arg;
	qb_list_add_tail(&record->link, &out->tmfs);
	if (port->peer_up) {
		ship_tmf_pump(out);
	} else if (port->peer_unsure) {
		ship_tmf_wait(out, record, true);
	} else {
		ship_tmf_end(out, record);
	}
}
