/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages between threads: many senders, one receiver, no lock. The control thread has one
 * mailbox and every reactor has one. Messages of one sender arrive in the order they were posted.
 */
#ifndef YOKE_MAILBOX_H
#define YOKE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

/*
 * Embedded in the object it carries. From mailbox_post() until fn() runs it belongs to the
 * mailbox; fn() runs once, on the receiver's thread, and may free or post the message again.
 */
struct mailbox_msg {
	struct mailbox_msg *next;
	void (*fn)(struct mailbox_msg *msg);
};

struct mailbox {
	_Atomic(struct mailbox_msg *) head;
	atomic_bool asleep; /* the receiver is or may be waiting on fd */
	int fd; /* eventfd, readable when there is mail and the receiver was asleep */
};

/* 0 or a negative errno. */
int mailbox_open(struct mailbox *mb);
void mailbox_close(struct mailbox *mb);

/* Any thread; never fails, never blocks. */
void mailbox_post(struct mailbox *mb, struct mailbox_msg *msg);

/* Receiver: runs every message posted so far; true if there was any. Clears the eventfd. */
bool mailbox_run(struct mailbox *mb);

/*
 * Receiver, before it waits: false means that mail has come in and it must not wait.
 * After waking up it calls mailbox_awake().
 */
bool mailbox_sleep(struct mailbox *mb);
void mailbox_awake(struct mailbox *mb);

/*
 * The two halves of mailbox_awake(), for a receiver that knows why it woke up and mostly was not
 * rung: it stirs, and silences the bell (a system call) only when fd is readable.
 */
void mailbox_stir(struct mailbox *mb);
void mailbox_silence(struct mailbox *mb);

#endif
