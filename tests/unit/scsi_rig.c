/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>

#include "scsi_rig.h"
#include "yoke/crc32c.h"

struct rig_store rig_store;

/* ----- extents ------------------------------------------------------------------------------- */

struct extent {
	unsigned index;
	struct extent_info info;
};

static struct extent rig_extents[RIG_EXTENTS + 1];
static struct extent_io *kept[1024];
static unsigned kept_count;

struct extent *extent_open(const struct extent_config *config, char *error, size_t error_size)
{
	unsigned index = (unsigned)(config->name[strlen(config->name) - 1] - '0');
	struct extent *extent = &rig_extents[index];

	assert_true(index <= RIG_EXTENTS);
	if (config->size_bytes == 1) {
		snprintf(error, error_size, "extent %s: cannot be opened", config->name);
		return NULL;
	}
	rig_store.opens++;
	extent->index = index;
	extent->info = (struct extent_info){.size_bytes = RIG_BYTES,
		.direct = true,
		.volatile_cache = index == 1,
		.unmap = index == 0,
		.unmap_granularity_bytes = index == 0 ? 65536 : 0,
		.atomic_bytes = index == 0 ? 65536 : 0,
		.io_align_bytes = 1};
	return extent;
}

void extent_close(struct extent *extent)
{
	rig_store.closes++;
}

int extent_extend(struct extent *extent, uint64_t bytes, char *error, size_t error_size)
{
	if (bytes > RIG_BYTES) {
		snprintf(error, error_size, "extent %u: no room", extent->index);
		return -ENOSPC;
	}
	return 0;
}

void extent_extended(struct extent *extent, uint64_t bytes)
{
	extent->info.size_bytes = bytes;
}

uint64_t extent_measure(struct extent *extent)
{
	return RIG_BYTES;
}

const struct extent_info *extent_info(const struct extent *extent)
{
	return &extent->info;
}

/* Storage in units of 4096 bytes: where all of one are 0 there is none. */
static bool unit_is_mapped(const uint8_t *unit)
{
	return unit[0] != 0 || memcmp(unit, unit + 1, 4095) != 0;
}

static void io_map(struct extent_io *io, const uint8_t *data)
{
	data -= io->offset_bytes % 4096;
	io->mapped = unit_is_mapped(data);
	io->run_bytes = 4096 - io->offset_bytes % 4096;
	while (io->run_bytes < io->length_bytes && unit_is_mapped(data += 4096) == io->mapped) {
		io->run_bytes += 4096;
	}
}

static void io_complete(struct extent_io *io)
{
	uint8_t *data = rig_store.data[io->extent->index] + io->offset_bytes;

	if (rig_store.error) {
		io->done(io, rig_store.error);
		return;
	}
	if (io->op != EXTENT_FLUSH && io->op != EXTENT_SPACE) {
		assert_true(io->offset_bytes + io->length_bytes <= RIG_BYTES);
	}
	switch (io->op) {
	case EXTENT_READ:
		memcpy(io->iov[0].iov_base, data, io->length_bytes);
		break;
	case EXTENT_WRITE:
		memcpy(data, io->iov[0].iov_base, io->length_bytes);
		if (rig_store.bad_byte) {
			data[rig_store.bad_byte] ^= 1;
		}
		break;
	case EXTENT_UNMAP:
	case EXTENT_WRITE_ZEROES:
		memset(data, 0, io->length_bytes);
		break;
	case EXTENT_FLUSH:
		break;
	case EXTENT_MAP:
		io_map(io, data);
		break;
	case EXTENT_SPACE:
		io->used_bytes = rig_store.used_bytes;
		io->free_bytes = rig_store.free_bytes;
		io->total_bytes = rig_store.total_bytes;
		break;
	}
	io->done(io, 0);
}

void extent_submit(struct extent *extent, struct reactor *r, struct extent_io *io)
{
	unsigned *const counts[] = {
		[EXTENT_READ] = &rig_store.reads,
		[EXTENT_WRITE] = &rig_store.writes,
		[EXTENT_FLUSH] = &rig_store.flushes,
		[EXTENT_UNMAP] = &rig_store.unmaps,
		[EXTENT_WRITE_ZEROES] = &rig_store.zeroes,
		[EXTENT_MAP] = &rig_store.asks,
		[EXTENT_SPACE] = &rig_store.asks,
	};

	++*counts[io->op];
	rig_store.fuas += io->op == EXTENT_WRITE && io->fua;
	io->extent = extent;
	io->reactor = r;
	if (rig_store.wait) {
		assert_true(kept_count < ARRAY_SIZE(kept));
		kept[kept_count++] = io;
	} else {
		io_complete(io);
	}
}

void extent_expect(const struct extent *extent, uint64_t offset_bytes, uint64_t length_bytes)
{
	rig_store.expects++;
	rig_store.expect_extent = extent->index;
	rig_store.expect_offset = offset_bytes;
	rig_store.expect_length = length_bytes;
}

void extent_ask(struct extent *const extents[], struct extent_io *const ios[], unsigned count,
	struct reactor *r)
{
	for (unsigned i = 0; i < count; i++) {
		extent_submit(extents[i], r, ios[i]);
	}
}

const uint8_t *extent_peek(struct extent *extent, uint64_t offset_bytes, uint64_t length_bytes)
{
	assert_true(offset_bytes + length_bytes <= RIG_BYTES);
	return rig_store.in_memory ? rig_store.data[extent->index] + offset_bytes : NULL;
}

int extent_peek_copy(struct extent *extent, uint64_t offset_bytes, uint64_t length_bytes,
	uint8_t *to, uint32_t *crc)
{
	rig_store.peek_copies++;
	memcpy(to, rig_store.data[extent->index] + offset_bytes, length_bytes);
	if (crc) {
		*crc = crc32c_add(*crc, to, length_bytes);
	}
	return rig_store.peek_error;
}

unsigned rig_store_run(void)
{
	unsigned count = kept_count;
	struct extent_io *now[ARRAY_SIZE(kept)];

	memcpy(now, kept, count * sizeof(now[0]));
	kept_count = 0;
	for (unsigned i = 0; i < count; i++) {
		io_complete(now[i]);
	}
	return count;
}

int extent_claim(struct extent *extent, uint32_t controller, uint64_t epoch)
{
	if (rig_store.claim_failures) {
		rig_store.claim_failures--;
		return rig_store.claim_error;
	}
	rig_store.claims++;
	rig_store.claim_epoch = epoch;
	return 0;
}

int extent_lock(struct extent *extent)
{
	rig_store.locks++;
	return 0;
}

void extent_release(struct extent *extent)
{
	rig_store.releases++;
}

int extent_check(struct extent *extent)
{
	return rig_store.check_error;
}

enum extent_write_key extent_write_key(struct extent *extent)
{
	return EXTENT_WRITE_KEY_NONE;
}

const struct conf_controller *conf_controller_by_id(const struct conf *conf, uint8_t id)
{
	for (unsigned i = 0; i < conf->controller_count; i++) {
		if (conf->controllers[i].id == id) {
			return &conf->controllers[i];
		}
	}
	return NULL;
}

/* ----- interconnect -------------------------------------------------------------------------- */

static void ship_task(void *ctx, struct scsi_task *task, const struct group_view *view,
	const uint8_t lu[16], const struct scsi_identity *who)
{
	struct rig_ship *ship = ctx;

	ship->tasks++;
	ship->last = task;
	ship->last_epoch = view->epoch;
	memcpy(ship->last_lu, lu, 16);
}

static void ship_abort(void *ctx, struct scsi_task *task)
{
	struct rig_ship *ship = ctx;

	ship->aborts++;
	ship->aborted = task;
}

static void ship_tmf(void *ctx, struct reactor *r, enum scsi_tmf_function function,
	const uint8_t lu[16], const struct scsi_identity *who, void (*done)(void *arg), void *arg)
{
	struct rig_ship *ship = ctx;

	ship->tmfs++;
	if (ship->tmf_waits) {
		ship->tmf_done = done;
		ship->tmf_arg = arg;
	} else {
		done(arg);
	}
}

/* ----- ledger -------------------------------------------------------------------------------- */

struct kept_entry {
	struct qb_list_head link, behind;
	struct rig_ledger *ledger;
	struct ledger_entry entry;
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result);
	void *arg;
	unsigned left;
	uint64_t index;
	uint32_t result;
	uint8_t bytes[];
};

/* An entry is done when those before it are, as with ha's. */
static void entry_applied(void *arg)
{
	struct kept_entry *entry = arg;
	struct qb_list_head *ordered = &entry->ledger->ordered;

	entry->left--;
	while (!qb_list_empty(ordered)) {
		entry = qb_list_first_entry(ordered, struct kept_entry, link);
		if (entry->left > 0) {
			return;
		}
		qb_list_del(&entry->link);
		entry->done(entry->arg, LEDGER_DONE, entry->result);
		free(entry);
	}
}

static void entry_apply(struct kept_entry *entry, unsigned member)
{
	const struct ledger_serve *serve = scsi_ledger_serve(entry->ledger->members[member]->scsi);
	uint32_t result =
		serve->apply(serve->ctx, &entry->entry, entry->index, entry_applied, entry);

	assert_true(member == 0 || result == entry->result);
	entry->result = result;
}

static void entry_order(struct kept_entry *entry)
{
	struct rig_ledger *ledger = entry->ledger;

	if (ledger->outcome != LEDGER_DONE) {
		entry->done(entry->arg, ledger->outcome, 0);
		free(entry);
		return;
	}
	entry->index = ++ledger->index;
	entry->left = ledger->member_count + 1;
	qb_list_add_tail(&entry->link, &ledger->ordered);
	entry_apply(entry, 0);
	if (ledger->member_count == 2 && ledger->lags) {
		entry->left++; /* that it is in this list */
		qb_list_add_tail(&entry->behind, &ledger->behind);
	} else if (ledger->member_count == 2) {
		entry_apply(entry, 1);
	}
	entry_applied(entry);
}

unsigned rig_ledger_catch_up(struct rig *rig)
{
	unsigned count = 0;

	while (!qb_list_empty(&rig->ledger.behind)) {
		struct kept_entry *entry =
			qb_list_first_entry(&rig->ledger.behind, struct kept_entry, behind);

		qb_list_del(&entry->behind);
		entry_apply(entry, 1);
		entry_applied(entry);
		count++;
	}
	return count;
}

static void ledger_submit(void *ctx, const struct ledger_entry *entry,
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result), void *arg)
{
	struct rig_ledger *ledger = ctx;
	struct kept_entry *copy = calloc(1, sizeof(*copy) + entry->length);

	assert_non_null(copy);
	copy->ledger = ledger;
	copy->entry = *entry;
	memcpy(copy->bytes, entry->bytes, entry->length);
	copy->entry.bytes = copy->bytes;
	copy->done = done;
	copy->arg = arg;
	ledger->submitted++;
	ledger->last_epoch = entry->epoch;
	if (ledger->wait) {
		qb_list_add_tail(&copy->link, &ledger->kept);
	} else {
		entry_order(copy);
	}
}

unsigned rig_ledger_run(struct rig *rig)
{
	unsigned count = 0;

	while (!qb_list_empty(&rig->ledger.kept)) {
		struct kept_entry *entry =
			qb_list_first_entry(&rig->ledger.kept, struct kept_entry, link);

		qb_list_del(&entry->link);
		entry_order(entry);
		count++;
	}
	return count;
}

void rig_ledger_join(struct rig *rig, struct rig *other)
{
	rig->ledger.members[rig->ledger.member_count++] = other;
	other->ledger.ops.ctx = &rig->ledger;
}

/* ----- the rig ------------------------------------------------------------------------------- */

static void rig_conf_fill(struct rig *rig, uint64_t buffer_bytes)
{
	struct conf *conf = &rig->conf;

	rig->controllers[0] = (struct conf_controller){
		.name = "a", .id = 1, .portals = &rig->portals[0], .portal_count = 2};
	rig->controllers[1] = (struct conf_controller){
		.name = "b", .id = 2, .portals = &rig->portals[2], .portal_count = 1};
	rig->groups[0] = (struct conf_group){.name = "g1", .home = 1};
	rig->groups[1] = (struct conf_group){.name = "g2", .home = 2};
	for (unsigned i = 0; i < RIG_EXTENTS; i++) {
		static const char *const names[] = {"disk0", "disk1", "disk2"};
		static const char *const serials[] = {"serial0", "serial1", "serial2"};

		rig->extents[i] = (struct conf_extent){.name = names[i],
			.type = i == 0 ? EXTENT_FILE : EXTENT_RAM,
			.block_size = i == 1 ? 4096 : 512,
			.physical_block_size = 4096,
			.read_only = i == 2,
			.rotational_known = true,
			.rotation_rpm = 1,
			.serial = serials[i],
			.group = i == 2 ? 1 : 0,
			.thin = i == 0};
		memcpy(rig->extents[i].uuid,
			"\x0a\x1b\x2c\x3d\x4e\x5f\x60\x71\x82\x93\xa4\xb5\xc6\xd7\xe8", 15);
		rig->extents[i].uuid[15] = (uint8_t)i;
		rig->luns[i] = (struct conf_lun){.lun = (uint16_t)i, .extent = (uint16_t)i};
	}
	rig->luns[RIG_EXTENTS] = (struct conf_lun){.lun = 300, .extent = 0};
	rig->targets[0] = (struct conf_target){
		.name = RIG_TARGET, .luns = rig->luns, .lun_count = ARRAY_SIZE(rig->luns)};
	*conf = (struct conf){.cluster = "lab",
		.hold_limit_ms = 1500,
		.hold_answer = CONF_HOLD_BUSY,
		.buffer_bytes = buffer_bytes,
		.vendor = "YOKE",
		.product = "array",
		.controllers = rig->controllers,
		.controller_count = 2,
		.groups = rig->groups,
		.group_count = 2,
		.extents = rig->extents,
		.extent_count = RIG_EXTENTS,
		.targets = rig->targets,
		.target_count = 1};
}

static void rig_moved(void *arg, uint16_t group, uint8_t controller,
	void (*done)(void *done_arg, enum scsi_move_result result), void *done_arg)
{
	struct rig_move *move = arg;

	move->asked++;
	move->group = group;
	move->to = controller;
	move->done = done;
	move->arg = done_arg;
}

/* Makes the device server. */
static void rig_start(struct rig *rig)
{
	struct scsi_setup setup;
	char error[256] = "";

	setup = (struct scsi_setup){.conf = &rig->conf,
		.controller = rig->controller,
		.control = &rig->control,
		.reactors = rig->reactors,
		.reactor_count = RIG_REACTORS,
		.ship = &rig->ship_ops,
		.ledger = &rig->ledger.ops,
		.move = rig_moved,
		.move_arg = &rig->move};
	rig->scsi = scsi_new(&setup, error, sizeof(error));
	if (!rig->scsi) {
		fail_msg("scsi_new: %s", error);
	}
	rig->serve = scsi_serve(rig->scsi);
}

void rig_restart(struct rig *rig)
{
	scsi_free(rig->scsi);
	rig_start(rig);
}

struct rig *rig_new(uint8_t controller, uint64_t buffer_bytes)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	memset(&rig_store, 0, sizeof(rig_store));
	kept_count = 0;
	rig_conf_fill(rig, buffer_bytes);
	assert_int_equal(mailbox_open(&rig->control), 0);
	for (unsigned i = 0; i < RIG_REACTORS; i++) {
		struct reactor_config config = {.index = i, .buffer_bytes = buffer_bytes};

		rig->reactors[i] = reactor_new(&config);
		assert_non_null(rig->reactors[i]);
	}
	rig->ship_ops = (struct group_ship){
		.ctx = &rig->ship, .task = ship_task, .abort = ship_abort, .tmf = ship_tmf};
	rig->ledger.ops = (struct ledger){.ctx = &rig->ledger, .submit = ledger_submit};
	rig->ledger.members[0] = rig;
	rig->ledger.member_count = 1;
	qb_list_init(&rig->ledger.kept);
	qb_list_init(&rig->ledger.ordered);
	qb_list_init(&rig->ledger.behind);
	rig->controller = controller;
	rig_start(rig);
	return rig;
}

void rig_free(struct rig *rig)
{
	for (unsigned i = 0; i < RIG_REACTORS; i++) {
		if (rig->nexus[i]) {
			scsi_nexus_close(rig->nexus[i], NULL, NULL);
		}
	}
	rig_run(rig);
	scsi_free(rig->scsi);
	for (unsigned i = 0; i < RIG_REACTORS; i++) {
		assert_int_equal(buf_pool_used(reactor_buffers(rig->reactors[i])), 0);
		reactor_free(rig->reactors[i]);
	}
	mailbox_close(&rig->control);
	free(rig);
}

void rig_run(struct rig *rig)
{
	/* No message of ours goes through more than a few hands. */
	for (int pass = 0; pass < 8; pass++) {
		for (unsigned i = 0; i < RIG_REACTORS; i++) {
			reactor_run_once(rig->reactors[i], 0);
		}
		mailbox_run(&rig->control);
	}
}

static void count_applied(void *arg)
{
	++*(unsigned *)arg;
}

void rig_publish(struct rig *rig, uint16_t group, enum group_access access, uint8_t owner,
	uint64_t epoch, uint32_t table)
{
	struct group_view view = {.group = group,
		.owner = owner,
		.preferred = owner,
		.epoch = epoch,
		.table = table,
		.access = access,
		.hold_limit_s = 2};
	unsigned applied = 0;

	view.tpg[1] = owner == 1 ? ALUA_OPTIMIZED : ALUA_NON_OPTIMIZED;
	view.tpg[2] = owner == 2 ? ALUA_OPTIMIZED : ALUA_NON_OPTIMIZED;
	rig->serve->publish(rig->serve->ctx, &view, count_applied, &applied);
	rig_run(rig);
	assert_int_equal(applied, 1);
}

struct scsi_identity rig_identity(const char *host, uint16_t rtpi)
{
	struct scsi_identity who = {.rtpi = rtpi, .controller = (uint8_t)(rtpi >> 8)};

	snprintf(who.initiator, sizeof(who.initiator), "iqn.1993-08.org.debian:01:%s", host);
	memcpy(who.isid, "\x80\x12\x34\x56\x78\x9a", 6);
	memcpy(who.target, RIG_TARGET, sizeof(RIG_TARGET));
	return who;
}

struct scsi_nexus *rig_nexus(struct rig *rig, unsigned reactor, const char *host, uint16_t rtpi)
{
	struct scsi_identity who = rig_identity(host, rtpi);
	struct scsi_nexus *nexus = scsi_nexus_new(rig->scsi, rig->reactors[reactor], &who);

	assert_non_null(nexus);
	return nexus;
}

void rig_calm(struct rig *rig, struct scsi_nexus *nexus)
{
	static const unsigned luns[] = {0, 1, 2, 300};

	for (unsigned i = 0; i < ARRAY_SIZE(luns); i++) {
		struct rig_task t;

		while (rig_do(rig, &t, nexus, luns[i], RIG_CDB(0, 0, 0, 0, 0, 0), NULL, 0) !=
			SCSI_GOOD) {
			assert_int_equal(t.sense[2] & 0xf, 6);
		}
	}
}

void rig_serve(struct rig *rig)
{
	uint8_t id = rig->scsi->controller;

	rig_publish(rig, 0, GROUP_LOCAL, id, 1, 1);
	rig_publish(rig, 1, GROUP_LOCAL, id, 1, 1);
	for (unsigned i = 0; i < RIG_REACTORS; i++) {
		rig->nexus[i] = rig_nexus(rig, i, i ? "host2" : "host1", (uint16_t)(id * 256 + 1));
		rig_calm(rig, rig->nexus[i]);
	}
}

static void rig_task_done(struct scsi_task *task)
{
	struct rig_task *t = container_of(task, struct rig_task, task);

	t->dones++;
	t->status = task->status;
	t->aborted = task->aborted;
	t->again = task->again;
	t->sense_length = task->sense_length;
	memcpy(t->sense, task->sense, sizeof(t->sense));
	t->in_length = task->in_length;
	if (task->in_length) {
		memcpy(t->in, task->buf->data,
			task->in_length < sizeof(t->in) ? task->in_length : sizeof(t->in));
	}
	scsi_task_end(task);
}

void rig_task_set(struct rig_task *t, struct scsi_nexus *nexus, unsigned lun, const uint8_t *cdb,
	unsigned length)
{
	static uint64_t tag;

	memset(t, 0, sizeof(*t));
	t->task.nexus = nexus;
	t->task.reactor = nexus->core->reactor;
	t->task.lun[0] = lun > 255 ? (uint8_t)(0x40 | lun >> 8) : 0;
	t->task.lun[1] = (uint8_t)lun;
	t->task.tag = ++tag;
	memcpy(t->task.cdb, cdb, length);
	t->task.cdb_length = (uint8_t)(length > 16 ? length : 16);
	t->task.done = rig_task_done;
}

enum scsi_start rig_task_go(struct rig_task *t, const void *out, uint32_t out_length)
{
	enum scsi_start start = scsi_task_start(&t->task);

	switch (start) {
	case SCSI_START_DONE:
		rig_task_done(&t->task);
		return start;
	case SCSI_START_OUT:
		t->task.buf = buf_get(reactor_buffers(t->task.reactor), t->task.out_bytes);
		assert_non_null(t->task.buf);
		t->task.out_length =
			out_length < t->task.out_bytes ? out_length : t->task.out_bytes;
		if (out) {
			memcpy(t->task.buf->data, out, t->task.out_length);
		}
		break;
	case SCSI_START_READY:
		break;
	}
	scsi_task_run(&t->task);
	return start;
}

uint32_t rig_outcome(const struct rig_task *t)
{
	if (t->status != SCSI_CHECK_CONDITION) {
		return t->status;
	}
	assert_int_equal(t->sense_length, 18);
	assert_int_equal(t->sense[0] & 0x7f, 0x70);
	return (uint32_t)t->sense[2] << 16 | (uint32_t)t->sense[12] << 8 | t->sense[13];
}

uint32_t rig_do(struct rig *rig, struct rig_task *t, struct scsi_nexus *nexus, unsigned lun,
	const uint8_t *cdb, unsigned length, const void *out, uint32_t out_length)
{
	rig_task_set(t, nexus, lun, cdb, length);
	rig_task_go(t, out, out_length);
	rig_run(rig);
	assert_int_equal(t->dones, 1);
	return rig_outcome(t);
}

void rig_cdb_make(uint8_t cdb[RIG_CDB_BYTES], unsigned opcode, unsigned action)
{
	memset(cdb, 0, RIG_CDB_BYTES);
	cdb[0] = (uint8_t)opcode;
	if (opcode == SCSI_VARIABLE_CDB) {
		cdb[7] = RIG_CDB_BYTES - 8;
		be16_put(cdb + 8, (uint16_t)action);
	} else {
		cdb[1] = (uint8_t)action;
	}
}

void rig_assert_hex(const uint8_t *got, size_t length, const char *expected)
{
	char text[3 * 512 + 1];

	assert_true(length <= 512);
	text[0] = '\0';
	for (size_t i = 0, at = 0; i < length; i++) {
		at += (size_t)snprintf(text + at, sizeof(text) - at, i ? " %02x" : "%02x", got[i]);
	}
	assert_string_equal(text, expected);
}
