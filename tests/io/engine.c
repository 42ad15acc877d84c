/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/io/engine.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/io/clock.h"
#include "tests/io/device.h"
#include "tests/io/record.h"
#include "yoke/cursor.h"

#define ENGINE_LATER_NS	       (10 * CLOCK_MS)
#define ENGINE_COUNTED_MAX     5
#define ENGINE_CHECK_CONDITION 0x02
#define ENGINE_MISCOMPARE      0x0e
#define ENGINE_SESSIONS_MAX    (ENGINE_HOSTS_MAX * MPATH_PATHS_MAX)

struct engine {
	struct engine_options options;
	struct session *sessions; /* [host * portal_count + portal] */
	unsigned session_count;
	struct device *devices; /* [host * lun_count + lun] */
	unsigned device_count;
	struct engine_counts counts;
	uint64_t run;
	uint64_t random;
	uint64_t operation;
	uint64_t history_id;
	bool stopping;
	unsigned busy; /* slots that are not idle */
	unsigned host_busy[ENGINE_HOSTS_MAX];
	struct engine_sense senses[ENGINE_SENSES_MAX];
	unsigned sense_count;
	struct pollfd polls[ENGINE_SESSIONS_MAX + 1];
	struct session *polled[ENGINE_SESSIONS_MAX];
};

const struct engine_options *engine_options_get(const struct engine *engine)
{
	return &engine->options;
}

struct engine_counts *engine_counts_get(struct engine *engine)
{
	return &engine->counts;
}

void engine_sense_add(struct engine *engine, const struct session_result *result)
{
	struct engine_sense sense = {.status = (uint8_t)result->status};
	struct engine_sense *s = engine->senses;

	if (result->status == SESSION_STATUS_LOST || result->status == 0) {
		return;
	}
	if (result->status == ENGINE_CHECK_CONDITION) {
		sense.key = result->key;
		sense.asc = result->asc;
		sense.ascq = result->ascq;
	}
	while (s < engine->senses + engine->sense_count &&
		(s->status != sense.status || s->key != sense.key || s->asc != sense.asc ||
			s->ascq != sense.ascq)) {
		s++;
	}
	if (s == engine->senses + engine->sense_count) {
		if (engine->sense_count == ENGINE_SENSES_MAX) {
			s--;
		} else {
			engine->sense_count++;
			*s = sense;
		}
	}
	s->count++;
}

const struct engine_sense *engine_senses(const struct engine *engine, unsigned *count)
{
	*count = engine->sense_count;
	return engine->senses;
}

void engine_event(struct engine *engine, const char *what, const struct device *device,
	unsigned path, const char *detail)
{
	printf("{\"type\":\"event\",\"what\":\"%s\",\"host\":%u,\"lun\":%u,\"portal\":\"%s\","
	       "\"detail\":\"%s\"}\n",
		what, device->host, device->lun, engine->options.portals[path], detail);
	fflush(stdout);
}

/* xorshift64*: which block next need not be a secret. */
static uint64_t engine_random(struct engine *engine)
{
	uint64_t x = engine->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	engine->random = x;
	return x * 0x2545f4914f6cdd1dull;
}

bool engine_device_sized(struct device *device)
{
	const struct engine_options *options = &device->engine->options;
	uint64_t span =
		options->span_bytes < device->lu_bytes ? options->span_bytes : device->lu_bytes;
	unsigned shares = options->shared ? 1 : options->hosts;
	uint64_t region = span / shares / options->block_bytes * options->block_bytes;

	if (region == 0 || device->lu_block_bytes > options->block_bytes) {
		engine_event(device->engine, "LU too small", device, 0, "");
		return false;
	}
	device->first_byte = options->shared ? 0 : region * device->host;
	device->block_count = (uint32_t)(region / options->block_bytes);
	device->blocks = calloc(device->block_count, sizeof(*device->blocks));
	return device->blocks != NULL;
}

static void engine_latency_add(struct engine_counts *counts, uint64_t ns)
{
	uint64_t us = ns / 1000;
	unsigned i = 0;

	while (i < 63 && us >> i) {
		i++;
	}
	counts->latency[i]++;
}

uint64_t engine_latency_us(const struct engine_counts *counts, double quantile)
{
	uint64_t total = 0, sum = 0;

	for (unsigned i = 0; i < 64; i++) {
		total += counts->latency[i];
	}
	for (unsigned i = 0; i < 64; i++) {
		sum += counts->latency[i];
		if (total && (double)sum >= quantile * (double)total) {
			return 1ull << i;
		}
	}
	return 0;
}

static void slot_idle(struct slot *slot)
{
	slot->state = SLOT_IDLE;
	slot->device->engine->busy--;
	slot->device->engine->host_busy[slot->device->host]--;
}

static void slot_wrong(
	const struct slot *slot, enum model_verdict verdict, uint64_t sector, uint64_t sequence)
{
	const struct device *device = slot->device;
	const struct model_block *block = &device->blocks[slot->block];

	printf("{\"type\":\"wrong\",\"verdict\":\"%s\",\"host\":%u,\"lun\":%u,\"sector\":%llu,"
	       "\"found\":%llu,\"known\":%llu,"
	       "\"issued\":%llu,\"portal\":\"%s\"}\n",
		model_verdict_name(verdict), device->host, device->lun, (unsigned long long)sector,
		(unsigned long long)sequence, (unsigned long long)slot->known,
		(unsigned long long)block->issued, device->engine->options.portals[slot->path]);
	fflush(stdout);
}

static uint64_t slot_sector(const struct slot *slot)
{
	const struct device *device = slot->device;
	uint64_t byte =
		device->first_byte + (uint64_t)slot->block * device->engine->options.block_bytes;

	return byte / STAMP_SECTOR_BYTES;
}

static void slot_record(const struct slot *slot, enum record_outcome outcome)
{
	const struct engine *engine = slot->device->engine;

	if (engine->options.history) {
		record_slot(engine->options.history, engine->run, slot_sector(slot), slot, outcome,
			clock_ns());
	}
}

/* With several writers a sector can only be judged by itself; the order is for the checker. */
static void slot_verify_shared(const struct slot *slot)
{
	struct engine *engine = slot->device->engine;

	for (uint32_t i = 0; i < engine->options.block_bytes / STAMP_SECTOR_BYTES; i++) {
		struct stamp found;
		enum stamp_read read = stamp_read(slot->data + i * STAMP_SECTOR_BYTES, &found);
		uint64_t sector = slot_sector(slot) + i;

		if (read == STAMP_NONE || (read == STAMP_GOOD && found.run != engine->run)) {
			engine->counts.unknown++;
			continue;
		}
		engine->counts.verified++;
		if (read == STAMP_TORN || found.lun != slot->device->lun ||
			found.sector != sector) {
			engine->counts.wrong++;
			slot_wrong(slot, read == STAMP_TORN ? MODEL_TORN : MODEL_FOREIGN, sector,
				found.sequence);
		}
	}
}

static void slot_verify(struct slot *slot)
{
	struct device *device = slot->device;
	struct engine *engine = device->engine;
	struct model_block *block = &device->blocks[slot->block];
	uint64_t smallest = UINT64_MAX;
	bool right = true;

	for (uint32_t i = 0; i < engine->options.block_bytes / STAMP_SECTOR_BYTES; i++) {
		struct stamp want = {
			.run = engine->run,
			.writer = device->host,
			.lun = device->lun,
			.sector = slot_sector(slot) + i,
		};
		uint64_t sequence;
		enum model_verdict verdict = model_sector_check(
			block, slot->known, &want, slot->data + i * STAMP_SECTOR_BYTES, &sequence);

		if (verdict == MODEL_UNKNOWN) {
			engine->counts.unknown++;
			right = false;
			continue;
		}
		engine->counts.verified++;
		if (verdict != MODEL_RIGHT) {
			engine->counts.wrong++;
			right = false;
			slot_wrong(slot, verdict, want.sector, sequence);
		}
		if (sequence < smallest) {
			smallest = sequence;
		}
	}
	if (right) {
		model_read_done(block, smallest);
	}
}

static void slot_begin(struct slot *slot, uint32_t block_index, bool write, uint64_t now_ns);

/* Goes on with a COMPARE AND WRITE of what has just been read, now and then; true when it does. */
static bool slot_swap_begin(struct slot *slot)
{
	struct engine *engine = slot->device->engine;
	struct model_block *block = &slot->device->blocks[slot->block];
	uint32_t bytes = engine->options.block_bytes;
	uint64_t value = record_sector_value(engine->run, slot->data);

	if (engine->stopping || slot->device->scanning || block->writing ||
		engine_random(engine) % 100 >= engine->options.swap_percent) {
		return false;
	}
	for (uint32_t i = 1; i < bytes / STAMP_SECTOR_BYTES; i++) {
		if (record_sector_value(engine->run, slot->data + i * STAMP_SECTOR_BYTES) !=
			value) {
			return false; /* read beside a write: two values */
		}
	}
	slot_idle(slot);
	slot_begin(slot, slot->block, true, clock_ns());
	slot->swap = true;
	slot->expected = value;
	memset(slot->cdb, 0, sizeof(slot->cdb));
	slot->cdb[0] = 0x89;
	be64_put(slot->cdb + 2,
		slot_sector(slot) * STAMP_SECTOR_BYTES / slot->device->lu_block_bytes);
	slot->cdb[13] = (uint8_t)(bytes / slot->device->lu_block_bytes);
	return true;
}

static void slot_miscompare(struct slot *slot)
{
	struct engine_counts *counts = &slot->device->engine->counts;

	counts->commands++;
	counts->swaps++;
	counts->miscompares++;
	model_write_ambiguous(&slot->device->blocks[slot->block]);
	slot_record(slot, RECORD_NO);
	slot_idle(slot);
}

static void slot_success(struct slot *slot)
{
	struct device *device = slot->device;
	struct engine_counts *counts = &device->engine->counts;
	uint64_t now_ns = clock_ns();
	uint64_t took_ns = now_ns - slot->first_ns;

	counts->commands++;
	engine_latency_add(counts, took_ns);
	if (took_ns > counts->longest_ns) {
		counts->longest_ns = took_ns;
	}
	if (device->last_done_ns && now_ns - device->last_done_ns > counts->longest_gap_ns) {
		counts->longest_gap_ns = now_ns - device->last_done_ns;
	}
	device->last_done_ns = now_ns;
	if (slot->write) {
		counts->writes++;
		counts->swaps += slot->swap;
		model_write_acknowledged(&device->blocks[slot->block]);
		slot_record(slot, RECORD_OK);
	} else {
		counts->reads++;
		slot_record(slot, RECORD_OK);
		if (device->engine->options.shared) {
			slot_verify_shared(slot);
		} else {
			slot_verify(slot);
		}
		if (slot_swap_begin(slot)) {
			return;
		}
	}
	slot_idle(slot);
}

static void slot_failed(struct slot *slot, const char *why, const struct session_result *result)
{
	struct device *device = slot->device;

	device->engine->counts.commands++;
	device->engine->counts.failed++;
	printf("{\"type\":\"failed\",\"why\":\"%s\",\"op\":\"%s\",\"host\":%u,\"lun\":%u,"
	       "\"sector\":%llu,\"status\":%d,"
	       "\"sense\":\"%x/%02x/%02x\",\"portal\":\"%s\"}\n",
		why,
		slot->swap    ? "swap"
		: slot->write ? "write"
			      : "read",
		device->host, device->lun, (unsigned long long)slot_sector(slot),
		result ? result->status : -1, result ? result->key : 0, result ? result->asc : 0,
		result ? result->ascq : 0, device->engine->options.portals[slot->path]);
	fflush(stdout);
	if (slot->write) {
		model_write_ambiguous(&device->blocks[slot->block]);
		slot_record(slot, RECORD_MAYBE);
	}
	slot_idle(slot);
}

static void slot_again(struct slot *slot, uint64_t delay_ns)
{
	slot->state = SLOT_QUEUED;
	slot->not_before_ns = clock_ns() + delay_ns;
	slot->device->engine->counts.retries++;
}

static void slot_done(void *arg, const struct session_result *result)
{
	struct slot *slot = arg;
	struct device *device = slot->device;
	const struct engine_options *options = &device->engine->options;
	enum retry_action action;

	engine_sense_add(device->engine, result);
	if (result->status == SESSION_STATUS_LOST) {
		/* The session is closed before its commands come back: nothing of it runs twice at
		 * once. */
		slot_again(slot, 0);
		return;
	}
	if (slot->swap && result->status == ENGINE_CHECK_CONDITION &&
		result->key == ENGINE_MISCOMPARE) {
		slot_miscompare(slot);
		return;
	}
	action = retry_decide((uint8_t)result->status, result->key, result->asc, result->ascq);
	switch (action) {
	case RETRY_DONE:
		slot_success(slot);
		return;
	case RETRY_REREAD:
		device_table_changed(device, slot->path);
		slot_again(slot, 0);
		return;
	case RETRY_NOW:
		slot_again(slot, 0);
		return;
	case RETRY_PATH:
		device->mpath.path[slot->path].barred = true;
		device->reread = true;
		slot_again(slot, 0);
		return;
	case RETRY_LATER:
		if (clock_ns() - slot->first_ns < options->retry_budget_ns) {
			slot_again(slot, ENGINE_LATER_NS);
			return;
		}
		break;
	case RETRY_COUNTED:
		if (slot->counted++ < ENGINE_COUNTED_MAX) {
			slot_again(slot, ENGINE_LATER_NS);
			return;
		}
		break;
	case RETRY_FAIL:
		break;
	}
	slot_failed(
		slot, action == RETRY_FAIL ? "not retried by Linux" : "retries used up", result);
}

static void slot_fly(struct slot *slot, uint64_t now_ns)
{
	struct device *device = slot->device;
	const struct engine_options *options = &device->engine->options;
	int path = mpath_pick(&device->mpath);

	if (path < 0) {
		if (now_ns - slot->first_ns > options->no_path_retry_ns) {
			slot_failed(slot, "no path", NULL);
		}
		return;
	}
	slot->path = (unsigned)path;
	if (!slot->write) {
		slot->known = device->blocks[slot->block].known;
	}
	if (session_command(device->paths[path].session, device->lun, slot->cdb, sizeof(slot->cdb),
		    slot->write ? SESSION_WRITE : SESSION_READ,
		    slot->write && !slot->swap ? slot->data + options->block_bytes : slot->data,
		    options->block_bytes * (slot->swap ? 2 : 1), slot_done, slot) == 0) {
		slot->state = SLOT_FLYING;
		slot->flights++;
	}
}

static void slot_begin(struct slot *slot, uint32_t block_index, bool write, uint64_t now_ns)
{
	struct device *device = slot->device;
	struct engine *engine = device->engine;
	uint32_t bytes = engine->options.block_bytes;
	uint64_t lba;

	slot->block = block_index;
	slot->write = write;
	slot->first_ns = now_ns;
	slot->not_before_ns = 0;
	slot->counted = 0;
	slot->flights = 0;
	slot->swap = false;
	slot->expected = 0;
	slot->id = ++engine->history_id;
	memset(slot->cdb, 0, sizeof(slot->cdb));
	lba = slot_sector(slot) * STAMP_SECTOR_BYTES / device->lu_block_bytes;
	slot->cdb[0] = write ? 0x8a : 0x88;
	be64_put(slot->cdb + 2, lba);
	be32_put(slot->cdb + 10, bytes / device->lu_block_bytes);
	if (write) {
		slot->sequence = model_write_begin(&device->blocks[block_index]);
		for (uint32_t i = 0; i < bytes / STAMP_SECTOR_BYTES; i++) {
			struct stamp stamp = {
				.run = engine->run,
				.writer = device->host,
				.lun = device->lun,
				.sector = slot_sector(slot) + i,
				.sequence = slot->sequence,
				.operation = engine->operation,
				.time_ns = now_ns,
			};

			stamp_write(&stamp, slot->data + bytes + i * STAMP_SECTOR_BYTES);
		}
		engine->operation++;
	}
	slot->state = SLOT_QUEUED;
	engine->busy++;
	engine->host_busy[device->host]++;
}

/* The next written block of a scan; false when the scan is over. */
static bool device_scan_next(struct device *device, uint32_t *block)
{
	while (device->scan < device->block_count) {
		*block = device->scan++;
		if (device->blocks[*block].issued > 0) {
			return true;
		}
	}
	device->scanning = false;
	return false;
}

static void slot_choose(struct slot *slot, uint64_t now_ns)
{
	struct device *device = slot->device;
	struct engine *engine = device->engine;
	uint32_t block;
	bool write;

	if (!device->blocks) {
		return;
	}
	if (device->scanning) {
		if (device_scan_next(device, &block)) {
			slot_begin(slot, block, false, now_ns);
		}
		return;
	}
	if (engine->stopping || (engine->options.iops && now_ns < device->next_issue_ns) ||
		(engine->options.host_depth &&
			engine->host_busy[device->host] >= engine->options.host_depth)) {
		return;
	}
	block = (uint32_t)(engine_random(engine) % device->block_count);
	write = engine_random(engine) % 100 >= engine->options.read_percent;
	if (write && device->blocks[block].writing) {
		write = false;
	}
	if (engine->options.iops) {
		uint64_t from =
			device->next_issue_ns + CLOCK_S > now_ns ? device->next_issue_ns : now_ns;

		device->next_issue_ns = from + CLOCK_S / engine->options.iops;
	}
	slot_begin(slot, block, write, now_ns);
}

static void device_slots_turn(struct device *device, uint64_t now_ns)
{
	for (unsigned i = 0; i < device->engine->options.depth; i++) {
		struct slot *slot = &device->slots[i];

		if (slot->state == SLOT_IDLE) {
			slot_choose(slot, now_ns);
		}
		if (slot->state == SLOT_QUEUED && now_ns >= slot->not_before_ns) {
			slot_fly(slot, now_ns);
		}
	}
}

static void engine_session_changed(struct session *session)
{
	struct engine *engine = session->arg;

	for (unsigned i = 0; i < engine->device_count; i++) {
		if (engine->devices[i].host == session->host) {
			device_path_changed(&engine->devices[i], session->path);
		}
	}
}

static void engine_poll(struct engine *engine, int wait_ms, int stdin_fd, bool *stdin_ready)
{
	nfds_t count = 0;
	int n;

	for (unsigned i = 0; i < engine->session_count; i++) {
		if (session_poll(&engine->sessions[i], &engine->polls[count])) {
			engine->polled[count++] = &engine->sessions[i];
		}
	}
	engine->polls[count] = (struct pollfd){.fd = stdin_fd, .events = POLLIN};
	n = poll(engine->polls, count + 1, wait_ms);
	*stdin_ready = n > 0 && engine->polls[count].revents;
	for (nfds_t i = 0; n > 0 && i < count; i++) {
		if (engine->polls[i].revents) {
			session_ready(engine->polled[i], engine->polls[i].revents);
		}
	}
}

void engine_turn(struct engine *engine, int wait_ms, int stdin_fd, bool *stdin_ready)
{
	uint64_t now_ns = clock_ns();
	unsigned count = engine->device_count;
	/* Who comes first gets what is left of the host's depth: let it be another each time. */
	unsigned first = engine->options.host_depth ? engine_random(engine) % count : 0;

	for (unsigned i = 0; i < engine->session_count; i++) {
		session_turn(&engine->sessions[i], now_ns);
	}
	for (unsigned i = 0; i < count; i++) {
		struct device *device = &engine->devices[(first + i) % count];

		device_turn(device, now_ns);
		device_slots_turn(device, now_ns);
	}
	engine_poll(engine, wait_ms, stdin_fd, stdin_ready);
}

bool engine_ready(const struct engine *engine)
{
	for (unsigned i = 0; i < engine->device_count; i++) {
		const struct device *device = &engine->devices[i];

		for (unsigned p = 0; p < device->mpath.count; p++) {
			if (!device->mpath.path[p].up || !device->last_done_ns) {
				return false;
			}
		}
	}
	return true;
}

void engine_counts_take(struct engine *engine, struct engine_counts *counts)
{
	uint64_t now_ns = clock_ns();

	engine->counts.ua_2a06_least = UINT64_MAX;
	for (unsigned i = 0; i < engine->device_count; i++) {
		struct device *device = &engine->devices[i];

		for (unsigned s = 0; s < engine->options.depth; s++) {
			struct slot *slot = &device->slots[s];

			/* What still waits has waited in this interval. */
			if (slot->state != SLOT_IDLE &&
				now_ns - slot->first_ns > engine->counts.longest_ns) {
				engine->counts.longest_ns = now_ns - slot->first_ns;
			}
		}
		for (unsigned p = 0; p < device->mpath.count; p++) {
			struct path *path = &device->paths[p];

			if (path->whole_interval && path->uas < engine->counts.ua_2a06_least) {
				engine->counts.ua_2a06_least = path->uas;
			}
			if (path->whole_interval && path->uas > engine->counts.ua_2a06_most) {
				engine->counts.ua_2a06_most = path->uas;
			}
			path->uas = 0;
			path->whole_interval = device->mpath.path[p].up;
		}
	}
	if (engine->counts.ua_2a06_least == UINT64_MAX) {
		engine->counts.ua_2a06_least = 0;
	}
	*counts = engine->counts;
	memset(&engine->counts, 0, sizeof(engine->counts));
}

void engine_history_end(struct engine *engine)
{
	for (unsigned i = 0; i < engine->device_count; i++) {
		for (unsigned s = 0; s < engine->options.depth; s++) {
			struct slot *slot = &engine->devices[i].slots[s];

			if (slot->state != SLOT_IDLE && slot->write) {
				slot_record(slot, RECORD_MAYBE);
			}
		}
	}
}

void engine_stop(struct engine *engine)
{
	engine->stopping = true;
}

bool engine_idle(const struct engine *engine)
{
	for (unsigned i = 0; i < engine->device_count; i++) {
		if (engine->devices[i].scanning) {
			return false;
		}
	}
	return engine->busy == 0;
}

void engine_scan(struct engine *engine)
{
	for (unsigned i = 0; i < engine->device_count; i++) {
		engine->devices[i].scan = 0;
		engine->devices[i].scanning = engine->devices[i].blocks != NULL;
	}
}

static bool engine_device_init(
	struct engine *engine, struct device *device, unsigned host, unsigned lun)
{
	const struct engine_options *options = &engine->options;

	device->engine = engine;
	device->host = host;
	device->lun = options->lun_first + lun;
	device->mpath.count = options->portal_count;
	device->mpath.everywhere = options->everywhere;
	for (unsigned p = 0; p < options->portal_count; p++) {
		device->mpath.path[p] = (struct mpath_path){.group = -1, .state = -1};
		device->paths[p].device = device;
		device->paths[p].index = p;
		device->paths[p].session = &engine->sessions[host * options->portal_count + p];
	}
	device->slots = calloc(options->depth, sizeof(*device->slots));
	if (!device->slots) {
		return false;
	}
	for (unsigned i = 0; i < options->depth; i++) {
		device->slots[i].device = device;
		device->slots[i].data =
			aligned_alloc(4096, (options->block_bytes * 2 + 4095u) / 4096 * 4096);
		if (!device->slots[i].data) {
			return false;
		}
	}
	return true;
}

struct engine *engine_new(const struct engine_options *options)
{
	struct engine *engine = calloc(1, sizeof(*engine));

	if (!engine) {
		return NULL;
	}
	engine->options = *options;
	engine->random = options->seed * 2 + 1;
	engine->run = clock_ns() ^ options->seed << 48;
	engine->session_count = options->hosts * options->portal_count;
	engine->device_count = options->hosts * options->lun_count;
	engine->sessions = calloc(engine->session_count, sizeof(*engine->sessions));
	engine->devices = calloc(engine->device_count, sizeof(*engine->devices));
	if (!engine->sessions || !engine->devices) {
		engine_free(engine);
		return NULL;
	}
	for (unsigned i = 0; i < engine->session_count; i++) {
		struct session *session = &engine->sessions[i];

		session->options = &engine->options.session;
		session->host = i / options->portal_count;
		session->path = i % options->portal_count;
		session->portal = options->portals[session->path];
		session->changed = engine_session_changed;
		session->arg = engine;
		if (session->host == 0) {
			snprintf(session->initiator, sizeof(session->initiator), "%s",
				options->initiator);
		} else {
			snprintf(session->initiator, sizeof(session->initiator), "%s-%u",
				options->initiator, session->host + 1);
		}
	}
	for (unsigned i = 0; i < engine->device_count; i++) {
		if (!engine_device_init(engine, &engine->devices[i], i / options->lun_count,
			    i % options->lun_count)) {
			engine_free(engine);
			return NULL;
		}
	}
	return engine;
}

void engine_free(struct engine *engine)
{
	if (!engine) {
		return;
	}
	for (unsigned i = 0; engine->sessions && engine->devices && i < engine->session_count;
		i++) {
		session_close(&engine->sessions[i]);
	}
	for (unsigned i = 0; engine->devices && i < engine->device_count; i++) {
		for (unsigned s = 0; engine->devices[i].slots && s < engine->options.depth; s++) {
			free(engine->devices[i].slots[s].data);
		}
		free(engine->devices[i].slots);
		free(engine->devices[i].blocks);
	}
	free(engine->devices);
	free(engine->sessions);
	free(engine);
}
