/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The write key: a persistent reservation on the disk itself (Write Exclusive, Registrants Only;
 * SPC-4 5.13), taken through the kernel's IOC_PR_* ioctls. As long as this controller's key holds
 * it the disk refuses the writes of everybody else, so a fenced controller that was not really off,
 * or one that wakes up late, cannot change anything any more.
 *
 * The ioctls may block, on a hung disk for ever, so each runs on a thread of its own beside the
 * control thread; the functions below never wait for it. Control thread, but for write_key_lose()
 * and write_key_is_lost(), which any thread may call.
 */
#ifndef STORE_WRITE_KEY_H
#define STORE_WRITE_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "yoke/store.h"

/* Linux 7.0 has it in linux/pr.h; before that SCSI disks are asked with SG_IO. */
struct write_key_reservation {
	uint64_t key;
	uint32_t generation;
	uint32_t type;
};
#define WRITE_KEY_READ_RESERVATION _IOR('p', 207, struct write_key_reservation)

/* ioctl(), or what a test puts in its place. Runs on the helper thread. */
typedef int write_key_ioctl_fn(int fd, unsigned long request, void *arg);

struct write_key;

/*
 * Cluster (24 bits), controller (8) and epoch (32, the low ones) as one reservation key; never 0.
 * The epoch makes a late claim of an older owner recognisable.
 */
uint64_t write_key_make(uint32_t cluster, uint8_t controller, uint64_t epoch);

/*
 * For the device or file behind `fd` (which is duplicated), a member of `cluster`; `name` of the
 * extent, for the log. Starts to find out whether the device has reservations. NULL = out of
 * memory, threads or descriptors.
 */
struct write_key *write_key_new(const char *name, int fd, uint32_t cluster,
	enum extent_write_key_mode mode, write_key_ioctl_fn *ioctl_fn);

/* Waits a second for what is under way; what hangs frees itself when it ends. */
void write_key_free(struct write_key *key);

/*
 * Takes the reservation for `controller` under `epoch`, from whoever holds it under an older one
 * (preempt and abort). 0: held (or the device has none, and none is required); -EAGAIN: under way,
 * ask again; -EOPNOTSUPP: required and not to be had; -ESTALE: a newer epoch holds it; -EBUSY:
 * somebody outside this cluster does; or another negative errno.
 */
int write_key_take(struct write_key *key, uint8_t controller, uint64_t epoch);

/* Begins to give it up; idempotent. The disk refuses our writes once it is done. */
void write_key_give(struct write_key *key);

enum extent_write_key write_key_state(struct write_key *key);

/*
 * A write was refused for the sake of a reservation: this controller is no longer the owner. False
 * when no key was held. True the first time only for who is to log it: *first.
 */
bool write_key_lose(struct write_key *key, bool *first);
bool write_key_is_lost(const struct write_key *key);

#endif
