/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SET TARGET PORT GROUPS (SPC-4 6.45), where the configuration allows it: the administrator's move
 * of the whole group, asked for by a host, at whichever controller the command comes in. Hosts with
 * many LUs ask for each of them: what asks for the same as a move that is under way ends with it.
 */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/stpg.h"
#include "daemon/scsi/tasks.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define HEADER_BYTES	 4u
#define DESCRIPTOR_BYTES 4u
#define LIST_MOST	 (HEADER_BYTES + 64u * DESCRIPTOR_BYTES)
#define STATE_MASK	 0x0f

struct stpg_request {
	struct qb_list_head link; /* the group's, control thread */
	struct scsi_task *task;
	struct scsi *scsi;
	uint16_t group;
	uint8_t to; /* controller */
	enum scsi_move_result result;
	struct mailbox_msg msg;
};

bool scsi_stpg_allowed(const struct scsi *scsi)
{
	const struct conf *conf = scsi->conf;

	return conf->explicit_alua && conf->controller_count > 1 && scsi->move;
}

bool scsi_stpg_available(const struct scsi_lu *lu)
{
	return scsi_stpg_allowed(lu->scsi);
}

bool scsi_stpg_decode(struct scsi_task *task)
{
	uint32_t length = be32_get(task->cdb + 6);

	if (length > LIST_MOST ||
		(length && (length < HEADER_BYTES || length % DESCRIPTOR_BYTES))) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	task->out_bytes = length;
	return true;
}

/* ----- the list ------------------------------------------------------------------------------- */

/* States that are asked for, by controller; -1 = none. False with the outcome set. */
static bool list_read(struct scsi_task *task, int wanted[YOKE_CONTROLLERS + 1])
{
	const struct conf *conf = task->lu->scsi->conf;
	struct cursor c = cursor_reader(task->buf->data, task->out_length);

	cursor_get_u32(&c);
	while (cursor_left(&c)) {
		unsigned begin = (unsigned)c.pos;
		uint8_t state = cursor_get_u8(&c) & STATE_MASK;
		uint16_t id;

		cursor_get_u8(&c);
		id = cursor_get_u16(&c);
		if (state != ALUA_OPTIMIZED && state != ALUA_NON_OPTIMIZED) {
			scsi_set_list_field(task, begin, 3); /* those come by themselves only */
			return false;
		}
		if (id > YOKE_CONTROLLERS || !conf_controller_by_id(conf, (uint8_t)id) ||
			wanted[id] >= 0) {
			scsi_set_list_field(task, begin + 2, -1); /* none such, or named twice */
			return false;
		}
		wanted[id] = state;
	}
	return true;
}

/*
 * Which controller is to own the group: one is optimized, and the other is not. 0: as it is.
 * False with the outcome set when both are asked to be the same.
 */
static bool owner_wanted(struct scsi_task *task, uint8_t *to)
{
	const struct group_view *view = &task->nexus->core->groups[task->lu->group].view;
	int wanted[YOKE_CONTROLLERS + 1] = {-1, -1, -1};

	*to = 0;
	if (!list_read(task, wanted)) {
		return false;
	}
	if (wanted[1] >= 0 && wanted[1] == wanted[2]) {
		scsi_set_list_field(task, HEADER_BYTES + DESCRIPTOR_BYTES, 3);
		return false;
	}
	for (uint8_t id = 1; id <= YOKE_CONTROLLERS; id++) {
		if (wanted[id] == ALUA_OPTIMIZED ||
			(wanted[id] == ALUA_NON_OPTIMIZED && view->tpg[id] == ALUA_OPTIMIZED)) {
			*to = wanted[id] == ALUA_OPTIMIZED ? id : (uint8_t)(3 - id);
		}
	}
	if (*to && view->tpg[*to] == ALUA_OPTIMIZED) {
		*to = 0;
	}
	return true;
}

/* ----- back on the task's reactor ------------------------------------------------------------- */

static void request_back(struct mailbox_msg *msg)
{
	struct stpg_request *request = container_of(msg, struct stpg_request, msg);
	struct scsi_task *task = request->task;

	switch (request->result) {
	case SCSI_MOVED:
		/* Who asked for it need not be told of it (SPC-4 5.16.2.7): the view is here. */
		if (task->itl) {
			task->itl->seen = task->nexus->core->changes;
		}
		break;
	case SCSI_MOVE_BUSY:
		task->status = SCSI_BUSY;
		break;
	case SCSI_MOVE_FAILED:
		scsi_set_sense(task, SENSE_STPG_FAILED);
		break;
	}
	free(request);
	scsi_task_finish(task);
}

/* ----- control thread ------------------------------------------------------------------------- */

static void request_answer(struct stpg_request *request, enum scsi_move_result result)
{
	request->result = result;
	request->msg.fn = request_back;
	reactor_post(request->task->reactor, &request->msg);
}

static void moved(void *arg, enum scsi_move_result result)
{
	struct scsi_group *group = arg;

	group->moving_to = 0;
	while (!qb_list_empty(&group->moves)) {
		struct stpg_request *request =
			qb_list_first_entry(&group->moves, struct stpg_request, link);

		qb_list_del(&request->link);
		request_answer(request, result);
	}
}

static void request_arrived(struct mailbox_msg *msg)
{
	struct stpg_request *request = container_of(msg, struct stpg_request, msg);
	struct scsi *scsi = request->scsi;
	struct scsi_group *group = &scsi->groups[request->group];

	if (group->moving_to && group->moving_to != request->to) {
		request_answer(request, SCSI_MOVE_BUSY); /* hosts that want different things */
		return;
	}
	qb_list_add_tail(&request->link, &group->moves);
	if (!group->moving_to) {
		log_notice("group %s: %s asks for a move to controller %u (SET TARGET PORT GROUPS)",
			scsi->conf->groups[request->group].name,
			request->task->nexus->who.initiator, request->to);
		group->moving_to = request->to;
		scsi->move(scsi->move_arg, request->group, request->to, moved, group);
	}
}

void scsi_stpg_run(struct scsi_task *task)
{
	struct stpg_request *request;
	uint8_t to = 0;

	if (task->out_length < task->out_bytes) {
		scsi_set_sense(task, SENSE_PARAMETER_LIST_LENGTH);
		scsi_task_finish(task);
		return;
	}
	if ((task->out_bytes && !owner_wanted(task, &to)) || !to) {
		scsi_task_finish(task); /* refused, or as it is */
		return;
	}
	request = calloc(1, sizeof(*request));
	if (!request) {
		task->status = SCSI_BUSY;
		scsi_task_finish(task);
		return;
	}
	request->task = task;
	request->scsi = task->lu->scsi;
	request->group = task->lu->group;
	request->to = to;
	request->msg.fn = request_arrived;
	mailbox_post(request->scsi->control, &request->msg);
}

void scsi_stpg_forget(struct scsi_group *group)
{
	while (!qb_list_empty(&group->moves)) {
		struct stpg_request *request =
			qb_list_first_entry(&group->moves, struct stpg_request, link);

		qb_list_del(&request->link);
		free(request);
	}
}
