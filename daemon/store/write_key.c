// SPDX-License-Identifier: BSD-3-Clause
#include "write_key.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pr.h>
#include <pthread.h>
#include <scsi/sg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "yoke/cursor.h"
#include "yoke/log.h"
#include "yoke/util.h"

#define KEY_TRIES_MAX	  4 /* somebody else changes the reservation at the same time */
#define KEY_FREE_WAIT_S	  1
#define KEY_SG_TIMEOUT_MS 10000
#define KEY_STACK_BYTES	  (256u << 10)
#define KEY_EPOCH_MASK	  0xffffffffull
#define PR_IN_CDB	  0x5e /* SPC-4 6.15 */
#define PR_IN_RESERVATION 0x01
#define SENSE_UNIT_ATT	  0x06
#define SENSE_ILLEGAL	  0x05
#define STATUS_CONFLICT	  0x18 /* what the kernel passes up from a SCSI disk, and since 6.5 ... */
#define STATUS_NVME	  0x4083 /* ... from any; before that NVMe's own word (with DNR) */
#define STATUS_NVME_RETRY 0x83

enum job {
	JOB_NONE,
	JOB_PROBE,
	JOB_TAKE,
	JOB_GIVE
};

enum support {
	SUPPORT_UNKNOWN,
	SUPPORT_NO,
	SUPPORT_YES
};

struct write_key {
	char *name;
	int fd;
	uint32_t cluster;
	enum extent_write_key_mode mode;
	write_key_ioctl_fn *ioctl_fn;

	/* Control thread. */
	enum support support;
	uint64_t held; /* 0 = none */
	enum job job; /* under way, or ended and not looked at */
	uint64_t wanted; /* of JOB_TAKE; the helper reads it */
	atomic_bool holds, lost;

	/* Between the threads. */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool running, orphan;
	bool give_due; /* what JOB_TAKE takes is not wanted any more */
	int result;
};

uint64_t write_key_make(uint32_t cluster, uint8_t controller, uint64_t epoch)
{
	return (uint64_t)(cluster & 0xffffff) << 40 | (uint64_t)controller << 32 |
	       (epoch & KEY_EPOCH_MASK);
}

static uint32_t key_cluster(uint64_t key)
{
	return (uint32_t)(key >> 40);
}

static uint8_t key_controller(uint64_t key)
{
	return (uint8_t)(key >> 32);
}

/* Is the epoch of `key` not older than that of `than`? By serial numbers, they wrap. */
static bool key_is_newer(uint64_t key, uint64_t than)
{
	return (int32_t)((uint32_t)key - (uint32_t)than) >= 0;
}

/* ----- on the helper thread ------------------------------------------------------------------- */

/* One result for what drivers say in different ways: 0 or a negative errno, -EBADE = conflict. */
static int key_ioctl(const struct write_key *key, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = key->ioctl_fn(key->fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	if (ret == 0) {
		return 0;
	}
	if (ret > 0) {
		return ret == STATUS_CONFLICT || ret == STATUS_NVME || ret == STATUS_NVME_RETRY
			       ? -EBADE
			       : -EIO;
	}
	/* Block devices, files and file systems each have a word of their own for "unknown". */
	return errno == ENOTTY || errno == EINVAL || errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

static int holder_decode(const struct sg_io_hdr *hdr, const uint8_t *data, uint64_t *holder)
{
	struct cursor c = cursor_reader(data, (size_t)(hdr->dxfer_len - (unsigned)hdr->resid));
	uint32_t length;

	(void)cursor_get_u32(&c); /* PRGENERATION */
	length = cursor_get_u32(&c);
	*holder = length >= 16 ? cursor_get_u64(&c) : 0;
	return cursor_ok(&c) ? 0 : -EIO;
}

/* PERSISTENT RESERVE IN, READ RESERVATION (SPC-4 6.15.3), for kernels without the ioctl. */
static int holder_read_scsi(const struct write_key *key, uint64_t *holder)
{
	uint8_t cdb[10] = {PR_IN_CDB, PR_IN_RESERVATION};
	uint8_t data[32], sense[32];
	int err = -EIO;

	cdb[8] = sizeof(data);
	for (int i = 0; i < KEY_TRIES_MAX; i++) {
		struct sg_io_hdr hdr = {
			.interface_id = 'S',
			.dxfer_direction = SG_DXFER_FROM_DEV,
			.cmd_len = sizeof(cdb),
			.cmdp = cdb,
			.dxfer_len = sizeof(data),
			.dxferp = data,
			.mx_sb_len = sizeof(sense),
			.sbp = sense,
			.timeout = KEY_SG_TIMEOUT_MS,
		};

		memset(data, 0, sizeof(data));
		memset(sense, 0, sizeof(sense));
		err = key_ioctl(key, SG_IO, &hdr);
		if (err) {
			return err;
		}
		if (!hdr.status && !hdr.host_status && !(hdr.driver_status & ~8u)) {
			return hdr.resid >= 0 && (unsigned)hdr.resid <= hdr.dxfer_len
				       ? holder_decode(&hdr, data, holder)
				       : -EIO;
		}
		err = -EIO;
		if (hdr.sb_len_wr && (sense[0] & 0x7e) == 0x70) {
			uint8_t sense_key = sense[2] & 0xf;

			if (sense_key == SENSE_ILLEGAL) {
				return -EOPNOTSUPP;
			}
			if (sense_key == SENSE_UNIT_ATT) {
				continue; /* told once */
			}
		}
		break;
	}
	return err;
}

/* The key that holds the reservation, 0 = none. */
static int holder_read(const struct write_key *key, uint64_t *holder)
{
	struct write_key_reservation reservation = {0};
	int err = key_ioctl(key, WRITE_KEY_READ_RESERVATION, &reservation);

	if (err == -EOPNOTSUPP) {
		return holder_read_scsi(key, holder);
	}
	*holder = reservation.type ? reservation.key : 0;
	return err;
}

static int key_register(const struct write_key *key, uint64_t mine)
{
	struct pr_registration reg = {.new_key = mine, .flags = PR_FL_IGNORE_KEY};

	return key_ioctl(key, IOC_PR_REGISTER, &reg);
}

/* May `mine` take the reservation from `holder`? */
static int holder_check(const struct write_key *key, uint64_t holder, uint64_t mine)
{
	if (!holder || holder == mine) {
		return 0;
	}
	if (key_cluster(holder) != key->cluster) {
		log_err("extent %s: its disk is reserved by somebody outside this cluster (key "
			"%016llx); see with sg_persist or blkpr who it is",
			key->name, (unsigned long long)holder);
		return -EBUSY;
	}
	if (key_controller(holder) != key_controller(mine) && key_is_newer(holder, mine)) {
		log_err("extent %s: controller %u holds its write key under a newer epoch "
			"(%016llx, ours is %016llx): not taken; if both controllers have lost "
			"their state, clear it with sg_persist or blkpr",
			key->name, key_controller(holder), (unsigned long long)holder,
			(unsigned long long)mine);
		return -ESTALE;
	}
	return 0;
}

/* One attempt to become the holder; the next look tells whether it worked. */
static int holder_become(const struct write_key *key, uint64_t holder, uint64_t mine)
{
	int err;

	if (holder) {
		struct pr_preempt preempt = {
			.old_key = holder,
			.new_key = mine,
			.type = PR_WRITE_EXCLUSIVE_REG_ONLY,
		};

		err = key_ioctl(key, IOC_PR_PREEMPT_ABORT, &preempt);
		if (!err) {
			log_notice("extent %s: the write key of controller %u (%016llx) is "
				   "revoked, its commands in the disk are aborted",
				key->name, key_controller(holder), (unsigned long long)holder);
		}
	} else {
		struct pr_reservation reserve = {
			.key = mine,
			.type = PR_WRITE_EXCLUSIVE_REG_ONLY,
		};

		err = key_ioctl(key, IOC_PR_RESERVE, &reserve);
	}
	return err == -EBADE ? 0 : err;
}

/*
 * Looks before it registers: a registration alone gives the right to write. Preempting names the
 * old key, so a holder that has changed since the look is never thrown out by mistake.
 */
static int job_take(struct write_key *key)
{
	uint64_t mine = key->wanted, holder = 0;
	int err = holder_read(key, &holder);

	err = err ? err : holder_check(key, holder, mine);
	err = err ? err : key_register(key, mine);
	if (err) {
		return err;
	}
	for (int i = 0; i < KEY_TRIES_MAX && !err; i++) {
		err = holder_read(key, &holder);
		if (!err && holder == mine) {
			return 0;
		}
		err = err ? err : holder_check(key, holder, mine);
		err = err ? err : holder_become(key, holder, mine);
	}
	(void)key_register(key, 0);
	return err ? err : -EBUSY;
}

/* Without its registration the holder's reservation ends, too (SPC-4 5.13.11.2.4). */
static int job_give(struct write_key *key)
{
	return key_register(key, 0);
}

static int job_probe(struct write_key *key)
{
	uint64_t holder;

	return holder_read(key, &holder);
}

static int (*const jobs[])(struct write_key *key) = {
	[JOB_PROBE] = job_probe,
	[JOB_TAKE] = job_take,
	[JOB_GIVE] = job_give,
};

static void key_destroy(struct write_key *key)
{
	if (key->fd >= 0) {
		close(key->fd);
	}
	pthread_cond_destroy(&key->ended);
	pthread_mutex_destroy(&key->lock);
	free(key->name);
	free(key);
}

static void *job_main(void *arg)
{
	struct write_key *key = arg;
	int result = jobs[key->job](key);
	bool orphan;

	pthread_mutex_lock(&key->lock);
	while (key->give_due) {
		key->give_due = false;
		pthread_mutex_unlock(&key->lock);
		(void)job_give(key);
		result = -ECANCELED;
		pthread_mutex_lock(&key->lock);
	}
	key->result = result;
	key->running = false;
	orphan = key->orphan;
	pthread_cond_signal(&key->ended);
	pthread_mutex_unlock(&key->lock);
	if (orphan) {
		key_destroy(key);
	}
	return NULL;
}

/* ----- on the control thread ------------------------------------------------------------------ */

static int job_start(struct write_key *key, enum job job)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	key->job = job;
	key->running = true;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, KEY_STACK_BYTES);
	err = pthread_create(&thread, &attr, job_main, key);
	pthread_attr_destroy(&attr);
	if (err) {
		key->job = JOB_NONE;
		key->running = false;
		log_err("extent %s: no thread for its write key: %s", key->name, strerror(err));
	}
	return -err;
}

static bool job_is_running(struct write_key *key)
{
	bool running;

	pthread_mutex_lock(&key->lock);
	running = key->running;
	pthread_mutex_unlock(&key->lock);
	return running;
}

static void support_set(struct write_key *key, int result)
{
	if (result == 0) {
		key->support = SUPPORT_YES;
	} else if (result == -EOPNOTSUPP) {
		key->support = SUPPORT_NO;
	}
}

/* Takes note of a job that has ended; its result, 0 without one. */
static int job_collect(struct write_key *key)
{
	enum job job = key->job;

	key->job = JOB_NONE;
	switch (job) {
	case JOB_NONE:
		return 0;
	case JOB_PROBE:
		support_set(key, key->result);
		if (key->support == SUPPORT_NO) {
			log_info("extent %s: its store has no persistent reservations: no write "
				 "key, fencing alone keeps a lost controller from writing",
				key->name);
		}
		return 0;
	case JOB_TAKE:
		if (key->result == -ECANCELED) {
			return 0;
		}
		support_set(key, key->result);
		key->held = key->result ? 0 : key->wanted;
		atomic_store(&key->lost, false);
		atomic_store(&key->holds, key->held != 0);
		return key->support == SUPPORT_NO ? 0 : key->result;
	case JOB_GIVE:
		if (key->result) {
			log_warning("extent %s: its write key could not be given up: %s; who "
				    "takes over revokes it",
				key->name, strerror(-key->result));
		}
		return 0;
	}
	return 0;
}

static void give_start(struct write_key *key)
{
	key->held = 0;
	atomic_store(&key->holds, false);
	atomic_store(&key->lost, false);
	(void)job_start(key, JOB_GIVE);
}

struct write_key *write_key_new(const char *name, int fd, uint32_t cluster,
	enum extent_write_key_mode mode, write_key_ioctl_fn *ioctl_fn)
{
	struct write_key *key = calloc(1, sizeof(*key));
	pthread_condattr_t attr;

	if (!key) {
		return NULL;
	}
	key->cluster = cluster & 0xffffff;
	key->mode = mode;
	key->ioctl_fn = ioctl_fn;
	pthread_mutex_init(&key->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&key->ended, &attr);
	pthread_condattr_destroy(&attr);
	key->name = strdup(name);
	key->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (!key->name || key->fd < 0 || job_start(key, JOB_PROBE)) {
		key_destroy(key);
		return NULL;
	}
	return key;
}

void write_key_free(struct write_key *key)
{
	struct timespec until;

	if (!key) {
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += KEY_FREE_WAIT_S;
	pthread_mutex_lock(&key->lock);
	while (key->running &&
		pthread_cond_timedwait(&key->ended, &key->lock, &until) != ETIMEDOUT) {
	}
	if (key->running) {
		key->orphan = true;
		pthread_mutex_unlock(&key->lock);
		return;
	}
	pthread_mutex_unlock(&key->lock);
	key_destroy(key);
}

int write_key_take(struct write_key *key, uint8_t controller, uint64_t epoch)
{
	uint64_t mine = write_key_make(key->cluster, controller, epoch);
	int err;

	if (job_is_running(key)) {
		return -EAGAIN;
	}
	err = job_collect(key);
	if (err && key->wanted == mine) {
		return err; /* of the attempt that began before; the next one is a new one */
	}
	if (key->support == SUPPORT_NO) {
		return key->mode == EXTENT_WRITE_KEY_REQUIRED ? -EOPNOTSUPP : 0;
	}
	if (key->held == mine && !atomic_load(&key->lost)) {
		return 0;
	}
	key->wanted = mine;
	err = job_start(key, JOB_TAKE);
	return err ? err : -EAGAIN;
}

void write_key_give(struct write_key *key)
{
	pthread_mutex_lock(&key->lock);
	if (key->running) {
		key->give_due = key->job == JOB_TAKE;
		pthread_mutex_unlock(&key->lock);
		return;
	}
	pthread_mutex_unlock(&key->lock);
	(void)job_collect(key);
	if (key->held) {
		give_start(key);
	}
}

enum extent_write_key write_key_state(struct write_key *key)
{
	if (!job_is_running(key) && key->job != JOB_TAKE) {
		(void)job_collect(key); /* what a claim came to is for who waits for it */
	}
	if (atomic_load(&key->lost)) {
		return EXTENT_WRITE_KEY_LOST;
	}
	if (key->held) {
		return EXTENT_WRITE_KEY_HELD;
	}
	switch (key->support) {
	case SUPPORT_UNKNOWN:
		return EXTENT_WRITE_KEY_UNKNOWN;
	case SUPPORT_NO:
		return EXTENT_WRITE_KEY_NONE;
	case SUPPORT_YES:
		return EXTENT_WRITE_KEY_FREE;
	}
	return EXTENT_WRITE_KEY_UNKNOWN;
}

bool write_key_lose(struct write_key *key, bool *first)
{
	*first = false;
	if (!atomic_load(&key->holds)) {
		return atomic_load(&key->lost);
	}
	*first = !atomic_exchange(&key->lost, true);
	return true;
}

bool write_key_is_lost(const struct write_key *key)
{
	return atomic_load(&key->lost);
}
