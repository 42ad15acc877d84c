/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shared disk, in place of daemon/store: one set of blocks, reached by both controllers, with
 * write keys (a reservation Write Exclusive, Registrants Only) unless the seed says that this
 * array has none. A request is applied some time after it was submitted, whatever has become of
 * its sender by then; the sender hears of it later still. The second LU has a volatile cache.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scsi/nexus.h"
#include "tests/sim/sim.h"
#include "yoke/store.h"
#include "yoke/util.h"

enum job {
	JOB_NONE,
	JOB_TAKE,
	JOB_GIVE
};

struct extent {
	struct node *node;
	unsigned lu;
	struct extent_info info;
	/* The write key. */
	enum job job; /* under way */
	bool give_due; /* what is being taken is not wanted any more */
	bool ended; /* a take that nobody has asked about yet */
	uint64_t wanted;
	int result;
	bool held, lost;
};

struct request {
	struct request *next;
	struct extent *extent;
	struct extent_io *io;
	struct node *node;
	uint64_t life;
	enum extent_op op;
	bool fua;
	bool applied;
	bool pending; /* not applied yet */
	bool lied_about; /* its sender was, when it was submitted */
	uint64_t offset, length;
	uint64_t epoch; /* of the owner of record when it was submitted */
	unsigned nexus; /* of a write: whose it is, by host and controller */
	uint64_t number; /* of its task */
	uint64_t dirty; /* of a flush: what it is about */
	int result;
	uint8_t *data;
};

struct disk {
	uint8_t data[SIM_LUS][SIM_BLOCKS * SIM_BLOCK];
	bool keyed; /* has write keys */
	struct {
		uint8_t holder;
		uint64_t epoch;
		bool registered[3];
	} keys[SIM_LUS];
	bool slow[3];
	uint64_t slow_until_ns;
	uint64_t dirty[3][SIM_LUS], clean[3][SIM_LUS]; /* writes into the cache, counted */
	struct request *pending; /* of all */
	struct request *free;
};

struct disk *disk_new(struct sim *sim)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	disk->keyed = sim->seed % 4 != 0;
	return disk;
}

void disk_free(struct disk *disk)
{
	for (struct request *r = disk->pending, *next; r; r = next) {
		next = r->next;
		free(r->data);
		free(r);
	}
	for (struct request *r = disk->free, *next; r; r = next) {
		next = r->next;
		free(r->data);
		free(r);
	}
	free(disk);
}

void disk_slow(struct sim *sim, uint8_t node, bool slow)
{
	if (sim->disk->slow[node] && !slow) {
		sim->disk->slow_until_ns = sim->now_ns + 2000 * MS; /* what is in it already */
	}
	sim->disk->slow[node] = slow;
}

bool disk_is_slow(struct sim *sim)
{
	return sim->disk->slow[1] || sim->disk->slow[2] || sim->now_ns < sim->disk->slow_until_ns;
}

bool disk_has_keys(struct sim *sim)
{
	return sim->disk->keyed;
}

/* ----- the extent ----------------------------------------------------------------------------- */

struct extent *extent_open(const struct extent_config *config, char *error, size_t error_size)
{
	struct extent *extent = sim_memory(the_sim, sizeof(*extent));

	(void)error;
	(void)error_size;
	extent->node = &the_sim->node[config->path[0] - '0'];
	extent->lu = (unsigned)(config->name[4] - '0');
	extent->info = (struct extent_info){.size_bytes = SIM_BLOCKS * SIM_BLOCK,
		.direct = true,
		.volatile_cache = extent->lu == 1,
		.io_align_bytes = 1};
	return extent;
}

void extent_close(struct extent *extent)
{
	(void)extent;
}

const struct extent_info *extent_info(const struct extent *extent)
{
	return &extent->info;
}

int extent_extend(struct extent *extent, uint64_t bytes, char *error, size_t error_size)
{
	(void)extent;
	(void)bytes;
	(void)error;
	(void)error_size;
	return -EOPNOTSUPP;
}

void extent_extended(struct extent *extent, uint64_t bytes)
{
	(void)extent;
	(void)bytes;
}

uint64_t extent_measure(struct extent *extent)
{
	return extent->info.size_bytes;
}

/* ----- the write key -------------------------------------------------------------------------- */

static void key_give(struct extent *extent)
{
	struct disk *disk = extent->node->sim->disk;
	uint8_t me = extent->node->id;

	disk->keys[extent->lu].registered[me] = false;
	if (disk->keys[extent->lu].holder == me) {
		disk->keys[extent->lu].holder = 0;
	}
	extent->held = false;
}

static int key_take(struct extent *extent)
{
	struct disk *disk = extent->node->sim->disk;
	uint8_t me = extent->node->id;

	if (!disk->keyed) {
		return 0;
	}
	if (disk->keys[extent->lu].holder && disk->keys[extent->lu].holder != me) {
		if (disk->keys[extent->lu].epoch >= extent->wanted) {
			return -ESTALE;
		}
		disk->keys[extent->lu].registered[3 - me] = false;
	}
	disk->keys[extent->lu].registered[me] = true;
	disk->keys[extent->lu].holder = me;
	disk->keys[extent->lu].epoch = extent->wanted;
	extent->held = true;
	extent->lost = false;
	return 0;
}

static void job_end(void *arg)
{
	struct extent *extent = arg;

	if (extent->job == JOB_TAKE) {
		extent->result = key_take(extent);
		extent->ended = true;
		if (extent->give_due) {
			key_give(extent);
			extent->ended = false;
		}
	} else {
		key_give(extent);
	}
	extent->give_due = false;
	extent->job = JOB_NONE;
}

static void job_start(struct extent *extent, enum job job)
{
	struct sim *sim = extent->node->sim;

	extent->job = job;
	sim_at(sim, extent->node, sim_delay(sim, 100 * US, 40 * MS), job_end, extent);
}

int extent_claim(struct extent *extent, uint32_t controller, uint64_t epoch)
{
	(void)controller;
	if (extent->job != JOB_NONE) {
		return -EAGAIN;
	}
	if (extent->ended && extent->wanted == epoch) {
		extent->ended = false;
		return extent->result;
	}
	extent->ended = false;
	extent->wanted = epoch;
	job_start(extent, JOB_TAKE);
	return -EAGAIN;
}

/* Locks are of one machine, here each controller has its own. */
int extent_lock(struct extent *extent)
{
	(void)extent;
	return 0;
}

void extent_release(struct extent *extent)
{
	struct sim *sim = extent->node->sim;
	uint8_t me = extent->node->id;

	if (sim->disk->dirty[me][extent->lu] > sim->disk->clean[me][extent->lu]) {
		sim_wrong(sim, "I3: controller %u lets LU %u go with writes in its cache", me,
			extent->lu);
	}
	if (extent->job == JOB_TAKE) {
		extent->give_due = true;
	} else if (extent->job == JOB_NONE && (extent->held || extent->lost)) {
		job_start(extent, JOB_GIVE);
	}
}

int extent_check(struct extent *extent)
{
	return extent->lost ? -EBADE : 0;
}

enum extent_write_key extent_write_key(struct extent *extent)
{
	if (!extent->node->sim->disk->keyed) {
		return EXTENT_WRITE_KEY_NONE;
	}
	return extent->lost   ? EXTENT_WRITE_KEY_LOST
	       : extent->held ? EXTENT_WRITE_KEY_HELD
			      : EXTENT_WRITE_KEY_FREE;
}

/* ----- requests ------------------------------------------------------------------------------- */

static void request_free(struct disk *disk, struct request *request)
{
	request->next = disk->free;
	disk->free = request;
}

static void pending_remove(struct disk *disk, struct request *request)
{
	struct request **at = &disk->pending;

	while (*at != request) {
		at = &(*at)->next;
	}
	*at = request->next;
	request->pending = false;
}

static void write_apply(struct sim *sim, struct request *request)
{
	struct disk *disk = sim->disk;
	unsigned lu = request->extent->lu;
	uint8_t from = request->node->id;
	bool refused = disk->keyed && disk->keys[lu].holder && !disk->keys[lu].registered[from];

	if (refused && sim->bug != BUG_NO_KEY) {
		request->result = -EBADE;
		sim->totals->refused_by_key++;
		return;
	}
	/*
	 * What it sent while fencing had lied about it is not acknowledged, and the key refuses it;
	 * but between the release and the claim of a later handover nobody holds the key.
	 */
	if (request->lied_about && disk->keyed && !disk->keys[lu].holder) {
		sim->totals->gap_writes++;
	} else if (sim->owner[lu] != from || sim->owner_epoch[lu] != request->epoch) {
		sim_wrong(sim,
			"I1: a write of controller %u to LU %u is applied while the owner is %u",
			from, lu, sim->owner[lu]);
	}
	hosts_write_check(sim, lu, request->nexus, request->number);
	if (sim->trace && request->op == EXTENT_WRITE) {
		uint64_t value;

		memcpy(&value, request->data, sizeof(value));
		sim_trace(sim, "disk: controller %u writes %llu to sector %llu of LU %u", from,
			(unsigned long long)value, (unsigned long long)request->offset / SIM_BLOCK,
			lu);
	}
	if (request->op == EXTENT_WRITE) {
		memcpy(disk->data[lu] + request->offset, request->data, request->length);
	} else {
		memset(disk->data[lu] + request->offset, 0, request->length);
	}
	if (request->extent->info.volatile_cache && !request->fua) {
		disk->dirty[from][lu]++;
	}
}

static void apply(struct sim *sim, struct request *request)
{
	struct disk *disk = sim->disk;
	unsigned lu = request->extent->lu;

	request->applied = true;
	switch (request->op) {
	case EXTENT_READ:
		memcpy(request->data, disk->data[lu] + request->offset, request->length);
		break;
	case EXTENT_WRITE:
	case EXTENT_UNMAP:
	case EXTENT_WRITE_ZEROES:
		write_apply(sim, request);
		break;
	case EXTENT_FLUSH:
		if (sim->bug != BUG_NO_FLUSH &&
			disk->clean[request->node->id][lu] < request->dirty) {
			disk->clean[request->node->id][lu] = request->dirty;
		}
		break;
	case EXTENT_MAP:
	case EXTENT_SPACE:
		request->result = -EOPNOTSUPP;
		break;
	}
}

static void complete_pass(void *arg)
{
	struct request *request = arg;
	struct extent_io *io = request->io;
	int result = request->result;

	if (request->op == EXTENT_READ) {
		memcpy(io->iov[0].iov_base, request->data, request->length);
	}
	if (result == -EBADE) {
		request->extent->lost = true;
		request->extent->held = false;
	}
	request_free(request->node->sim->disk, request);
	io->done(io, result);
}

static void complete(void *arg)
{
	struct request *request = arg;

	sim_reactor_do(request->io->reactor, complete_pass, request);
}

/* At the disk. */
static void arrive(void *arg)
{
	struct request *request = arg;
	struct sim *sim = the_sim;

	if (!request->pending) {
		request_free(sim->disk, request); /* was dealt with when its sender died */
		return;
	}
	if (request->node->stopped && !sim_once_in(sim, 4)) {
		sim_at(sim, NULL, (1 + sim_below(sim, 300)) * MS, arrive, request);
		return; /* what a machine that hangs had sent may be long on its way */
	}
	pending_remove(sim->disk, request);
	apply(sim, request);
	if (request->life == request->node->life) {
		sim_at(sim, request->node, sim_delay(sim, 5 * US, 500 * US), complete, request);
	} else {
		request_free(sim->disk, request);
	}
}

/* Both controllers share it: no memory of one stands for it. */
const uint8_t *extent_peek(struct extent *extent, uint64_t offset_bytes, uint64_t length_bytes)
{
	return NULL;
}

int extent_peek_copy(struct extent *extent, uint64_t offset_bytes, uint64_t length_bytes,
	uint8_t *to, uint32_t *crc)
{
	return -EOPNOTSUPP;
}

void extent_submit(struct extent *extent, struct reactor *r, struct extent_io *io)
{
	struct sim *sim = extent->node->sim;
	struct disk *disk = sim->disk;
	struct request *request = disk->free;
	uint8_t *data;

	if (request) {
		disk->free = request->next;
	} else {
		request = calloc(1, sizeof(*request));
	}
	data = request->data;
	*request = (struct request){.extent = extent,
		.io = io,
		.node = extent->node,
		.life = extent->node->life,
		.op = io->op,
		.fua = io->fua,
		.pending = true,
		.lied_about = extent->node->lied_about,
		.epoch = sim->owner_epoch[extent->lu],
		.dirty = disk->dirty[extent->node->id][extent->lu],
		.offset = io->offset_bytes,
		.length = io->op == EXTENT_FLUSH ? 0 : io->length_bytes,
		.next = disk->pending};
	request->data = realloc(data, request->length + 1);
	if (io->op == EXTENT_WRITE) {
		const struct scsi_task *task = container_of(io, struct scsi_task, io);
		const struct scsi_identity *who = &task->nexus->who;

		request->nexus = (unsigned)(who->initiator[30] - '0') * 2 + who->controller - 1u;
		request->number = task->tag;
		memcpy(request->data, io->iov[0].iov_base, io->length_bytes);
	}
	io->extent = extent;
	io->reactor = r;
	disk->pending = request;
	sim_at(sim, NULL,
		disk->slow[extent->node->id] ? (20 + sim_below(sim, 1500)) * MS
					     : sim_delay(sim, 30 * US, 8 * MS),
		arrive, request);
}

void extent_expect(const struct extent *extent, uint64_t offset_bytes, uint64_t length_bytes)
{
	(void)extent;
	(void)offset_bytes;
	(void)length_bytes;
}

void extent_ask(struct extent *const extents[], struct extent_io *const ios[], unsigned count,
	struct reactor *r)
{
	for (unsigned i = 0; i < count; i++) {
		extent_submit(extents[i], r, ios[i]);
	}
}

void disk_node_lost(struct node *node, bool power)
{
	struct sim *sim = node->sim;

	/*
	 * The kernel lets a process go when its I/O has ended, one way or the other. Without power
	 * what is on the wire lands at once or never.
	 */
	(void)power;
	for (struct request *r = sim->disk->pending, *next; r; r = next) {
		next = r->next;
		if (r->node == node) {
			pending_remove(sim->disk, r);
			if (sim_once_in(sim, 2)) {
				apply(sim, r);
			}
		}
	}
	/* The cache is the disk's, and has a battery: nothing of it is lost. */
	memcpy(sim->disk->clean[node->id], sim->disk->dirty[node->id],
		sizeof(sim->disk->clean[node->id]));
}

uint64_t disk_value(struct sim *sim, unsigned lu, unsigned sector)
{
	uint64_t value;

	memcpy(&value, sim->disk->data[lu] + (size_t)sector * SIM_BLOCK, sizeof(value));
	return value;
}
