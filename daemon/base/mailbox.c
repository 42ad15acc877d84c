/* SPDX-License-Identifier: BSD-3-Clause */
#include "yoke/mailbox.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int mailbox_open(struct mailbox *mb)
{
	mb->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (mb->fd < 0) {
		return -errno;
	}
	atomic_init(&mb->head, NULL);
	/* A receiver that never calls mailbox_sleep() (a plain poll loop) is always rung. */
	atomic_init(&mb->asleep, true);
	return 0;
}

void mailbox_close(struct mailbox *mb)
{
	if (mb->fd >= 0) {
		close(mb->fd);
		mb->fd = -1;
	}
}

void mailbox_post(struct mailbox *mb, struct mailbox_msg *msg)
{
	struct mailbox_msg *head = atomic_load_explicit(&mb->head, memory_order_relaxed);

	do {
		msg->next = head;
	} while (!atomic_compare_exchange_weak(&mb->head, &head, msg));
	/*
	 * The receiver sets `asleep` before it looks at the list for the last time, we look at
	 * `asleep` after the message is in the list (both sequentially consistent): one of the two
	 * sees the other, so no message is slept over.
	 */
	if (atomic_load(&mb->asleep)) {
		uint64_t one = 1;
		ssize_t n = write(mb->fd, &one, sizeof(one));

		(void)n; /* fails only when the counter is full, that is, readable */
	}
}

static struct mailbox_msg *mailbox_reverse(struct mailbox_msg *list)
{
	struct mailbox_msg *reversed = NULL;

	while (list) {
		struct mailbox_msg *next = list->next;

		list->next = reversed;
		reversed = list;
		list = next;
	}
	return reversed;
}

void mailbox_silence(struct mailbox *mb)
{
	uint64_t count;
	ssize_t n = read(mb->fd, &count, sizeof(count));

	(void)n; /* EAGAIN: nobody rang */
}

bool mailbox_run(struct mailbox *mb)
{
	struct mailbox_msg *list;

	/*
	 * A receiver that polls the descriptor and never sleeps is rung for every message: silence
	 * the bell before taking the mail, or the descriptor stays readable for ever.
	 */
	if (atomic_load_explicit(&mb->asleep, memory_order_relaxed)) {
		mailbox_silence(mb);
	}
	if (!atomic_load_explicit(&mb->head, memory_order_relaxed)) {
		return false;
	}
	/* Newest first in the list; the senders' order is the other way round. */
	list = mailbox_reverse(atomic_exchange(&mb->head, NULL));
	while (list) {
		struct mailbox_msg *next = list->next;

		list->fn(list); /* may free or post it again */
		list = next;
	}
	return true;
}

bool mailbox_sleep(struct mailbox *mb)
{
	atomic_store(&mb->asleep, true);
	if (atomic_load(&mb->head)) {
		mailbox_awake(mb);
		return false;
	}
	return true;
}

void mailbox_stir(struct mailbox *mb)
{
	atomic_store(&mb->asleep, false);
}

void mailbox_awake(struct mailbox *mb)
{
	mailbox_stir(mb);
	mailbox_silence(mb);
}
