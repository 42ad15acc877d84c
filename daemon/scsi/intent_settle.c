/* SPDX-License-Identifier: BSD-3-Clause */
/* Atomic writes that an owner has left behind: see intent.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scsi/intent.h"
#include "daemon/scsi/ledger.h"
#include "daemon/scsi/lu.h"
#include "yoke/log.h"
#include "yoke/util.h"

struct settled {
	struct settlement *all;
	struct scsi_lu *lu;
	uint64_t id;
	struct extent_io io;
	struct iovec iov;
	uint8_t *data; /* NULL: not all of it is there, so nothing was begun */
	struct mailbox_msg msg;
	int res;
};

struct settlement {
	struct scsi *scsi;
	uint64_t epoch;
	unsigned left;
	int err;
	void (*done)(void *arg, int err);
	void *arg;
	unsigned count;
	struct settled list[];
};

static void left_lower(struct settlement *all)
{
	if (--all->left > 0) {
		return;
	}
	all->done(all->arg, all->err);
	for (unsigned i = 0; i < all->count; i++) {
		free(all->list[i].data);
		scsi_lu_unpin(all->list[i].lu);
	}
	free(all);
}

static void failed(struct settled *one, int err, const char *what)
{
	log_err("LU %s: an atomic write that its former owner has left behind cannot be %s: %s",
		one->lu->conf->name, what, strerror(-err));
	one->all->err = err;
	left_lower(one->all);
}

static void forgotten(void *arg, enum ledger_outcome outcome, uint32_t result)
{
	static const int errors[] = {
		[LEDGER_DONE] = 0, [LEDGER_AGAIN] = -ECANCELED, [LEDGER_FAILED] = -EROFS};
	struct settled *one = arg;

	if (outcome != LEDGER_DONE) {
		failed(one, errors[outcome], "taken out of the ledger");
		return;
	}
	if (one->data) {
		log_notice(
			"LU %s: completed an atomic write of %llu bytes that its former owner has "
			"left behind",
			one->lu->conf->name, (unsigned long long)one->io.length_bytes);
	}
	left_lower(one->all);
}

static void forget(struct settled *one)
{
	struct scsi_entry entry = {.kind = SCSI_ENTRY_INTENT_END,
		.intent.id = one->id,
		.who = {.controller = one->all->scsi->controller,
			.rtpi = (uint16_t)(one->all->scsi->controller << 8),
			.initiator = "claim",
			.target = "claim"}};
	uint8_t bytes[1024];
	struct cursor c = cursor_over(bytes, sizeof(bytes));

	scsi_entry_put(&c, &entry);
	scsi_ledger_submit(one->lu, one->all->epoch, bytes, c.pos, forgotten, one);
}

/* On the control thread. */
static void written_arrived(struct mailbox_msg *msg)
{
	struct settled *one = container_of(msg, struct settled, msg);

	if (one->res < 0) {
		failed(one, one->res, "written");
	} else {
		forget(one);
	}
}

static void written(struct extent_io *io, int res)
{
	struct settled *one = container_of(io, struct settled, io);

	one->res = res;
	one->msg.fn = written_arrived;
	mailbox_post(one->all->scsi->control, &one->msg);
}

/* On reactor 0. */
static void write_arrived(struct mailbox_msg *msg)
{
	struct settled *one = container_of(msg, struct settled, msg);

	extent_submit(one->lu->extent, one->all->scsi->cores[0].reactor, &one->io);
}

static void settle(struct settled *one, const struct scsi_intent *intent)
{
	size_t room = (intent->total + BUF_ALIGN - 1u) & ~(size_t)(BUF_ALIGN - 1u);

	one->id = intent->id;
	if (intent->have < intent->total) {
		forget(one);
		return;
	}
	one->data = aligned_alloc(BUF_ALIGN, room ? room : BUF_ALIGN);
	if (!one->data) {
		failed(one, -ENOMEM, "written");
		return;
	}
	memcpy(one->data, intent->data, intent->total);
	one->iov = (struct iovec){.iov_base = one->data, .iov_len = intent->total};
	one->io.op = EXTENT_WRITE;
	one->io.fua = true;
	one->io.offset_bytes = intent->at_bytes;
	one->io.length_bytes = intent->total;
	one->io.iov = &one->iov;
	one->io.iov_count = 1;
	one->io.done = written;
	one->msg.fn = write_arrived;
	reactor_post(one->all->scsi->cores[0].reactor, &one->msg);
}

void scsi_intents_settle(struct scsi *scsi, uint16_t group, uint64_t epoch,
	void (*done)(void *arg, int err), void *arg)
{
	const struct scsi_group *g = &scsi->groups[group];
	struct settlement *all = NULL;
	unsigned count = 0;

	for (unsigned i = 0; i < g->lu_count; i++) {
		count += scsi_ledger_state(scsi, g->lus[i])->intent != NULL;
	}
	if (count) {
		all = calloc(1, sizeof(*all) + count * sizeof(all->list[0]));
	}
	if (!all) {
		done(arg, count ? -ENOMEM : 0);
		return;
	}
	*all = (struct settlement){
		.scsi = scsi, .epoch = epoch, .left = count + 1, .done = done, .arg = arg};
	for (unsigned i = 0; i < g->lu_count; i++) {
		const struct scsi_intent *intent = scsi_ledger_state(scsi, g->lus[i])->intent;
		struct settled *one = &all->list[all->count];

		if (intent) {
			all->count++;
			one->all = all;
			one->lu = &scsi->lus[g->lus[i]];
			one->lu->pins++;
			settle(one, intent);
		}
	}
	left_lower(all);
}
