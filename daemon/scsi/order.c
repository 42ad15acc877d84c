/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Task attributes (SAM-5 8.6) within the task set, which is the I_T_L nexus's own (TST=001b):
 * an ORDERED task runs alone after all older ones; SIMPLE ones behind it wait; HEAD OF QUEUE
 * passes.
 */
#include "daemon/scsi/tasks.h"

static bool may_go(const struct scsi_itl *itl, const struct scsi_task *task)
{
	switch ((enum scsi_attribute)task->attribute) {
	case SCSI_ATTR_HEAD:
		return true;
	case SCSI_ATTR_ORDERED:
		return itl->active == 0;
	case SCSI_ATTR_SIMPLE:
	case SCSI_ATTR_ACA:
		break;
	}
	return !itl->ordered_active;
}

static void enter(struct scsi_itl *itl, struct scsi_task *task)
{
	itl->active++;
	itl->ordered_active |= task->attribute == SCSI_ATTR_ORDERED;
	task->in_order = true;
}

bool scsi_order_enter(struct scsi_task *task)
{
	struct scsi_itl *itl = task->itl;

	if (!itl || task->row->order == SCSI_ORDER_FREE) {
		return true;
	}
	if (task->attribute != SCSI_ATTR_HEAD &&
		(!qb_list_empty(&itl->blocked) || !may_go(itl, task))) {
		task->state = SCSI_TASK_BLOCKED;
		qb_list_add_tail(&task->wait_link, &itl->blocked);
		return false;
	}
	enter(itl, task);
	return true;
}

void scsi_order_leave(struct scsi_task *task)
{
	if (!task->in_order) {
		return;
	}
	task->in_order = false;
	task->itl->active--;
	if (task->attribute == SCSI_ATTR_ORDERED) {
		task->itl->ordered_active = false;
	}
}

void scsi_order_pump(struct scsi_itl *itl)
{
	/* A task that ends inside scsi_task_admit() comes back here: the outer call goes on. */
	if (itl->pumping) {
		return;
	}
	itl->pumping = true;
	while (!qb_list_empty(&itl->blocked)) {
		struct scsi_task *task =
			qb_list_first_entry(&itl->blocked, struct scsi_task, wait_link);

		if (!may_go(itl, task)) {
			break;
		}
		qb_list_del(&task->wait_link);
		qb_list_init(&task->wait_link);
		enter(itl, task);
		scsi_task_admit(task);
	}
	itl->pumping = false;
}
