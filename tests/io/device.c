/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/io/device.h"

#include <stdio.h>
#include <string.h>

#include "tests/io/clock.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

#define DEVICE_AGAIN_NS (20 * CLOCK_MS)

const char *path_step_name(enum path_step step)
{
	static const char *const names[] = {
		[PATH_DOWN] = "down",
		[PATH_IDENTIFY] = "identify",
		[PATH_CAPACITY] = "capacity",
		[PATH_TABLE] = "table",
		[PATH_CHECK] = "check",
		[PATH_IDLE] = "idle",
	};

	return names[step];
}

/* What each step asks; the answer goes to path->answer. */
static const struct {
	uint8_t cdb[16];
	uint8_t length;
	uint32_t in_bytes;
} path_steps[] = {
	[PATH_IDENTIFY] = {{0x12, 0x01, 0x83, DEVICE_ANSWER_BYTES >> 8, DEVICE_ANSWER_BYTES & 0xff},
		6, DEVICE_ANSWER_BYTES},
	[PATH_CAPACITY] = {{0x9e, 0x10, [13] = 32}, 16, 32},
	[PATH_TABLE] =
		{{0xa3, 0x2a, [8] = DEVICE_ANSWER_BYTES >> 8, [9] = DEVICE_ANSWER_BYTES & 0xff}, 12,
			DEVICE_ANSWER_BYTES},
	[PATH_CHECK] = {{0x00}, 6, 0},
};

static void path_answered(void *arg, const struct session_result *result);

static void path_ask(struct path *path, enum path_step step)
{
	path->step = step;
	if (session_command(path->session, path->device->lun, path_steps[step].cdb,
		    path_steps[step].length,
		    path_steps[step].in_bytes ? SESSION_READ : SESSION_NONE, path->answer,
		    path_steps[step].in_bytes, path_answered, path) == 0) {
		path->busy = true;
	}
}

static void path_up_set(struct path *path, bool up)
{
	struct mpath_path *mp = &path->device->mpath.path[path->index];

	if (mp->up != up) {
		mp->up = up;
		engine_event(path->device->engine, up ? "path up" : "path down", path->device,
			path->index, path->session->why ? path->session->why : "");
	}
	if (!up) {
		path->whole_interval = false;
	}
	mp->barred = false;
}

void device_path_changed(struct device *device, unsigned index)
{
	struct path *path = &device->paths[index];

	if (path->session->state == SESSION_UP) {
		path->seen_up = false;
		path->again_ns = 0;
		path->step = PATH_IDENTIFY;
		return;
	}
	path->step = PATH_DOWN;
	path_up_set(path, false);
}

static void path_capacity(struct path *path)
{
	struct device *device = path->device;

	if (device->lu_block_bytes) {
		return;
	}
	device->lu_block_bytes = be32_get(path->answer + 8);
	device->lu_bytes = (be64_get(path->answer) + 1) * device->lu_block_bytes;
	if (!engine_device_sized(device)) {
		device->lu_block_bytes = 0;
	}
}

static void path_table(struct path *path, const struct session_result *result)
{
	struct device *device = path->device;

	if (!mpath_rtpg_apply(&device->mpath, path->answer, result->in_length, true)) {
		engine_event(device->engine, "bad RTPG answer", device, path->index, "");
	}
	device->reread_due_ns = clock_ns() + engine_options_get(device->engine)->reread_ns;
}

/* A step has its answer: what it says, then the next step. */
static void path_step_good(struct path *path, const struct session_result *result)
{
	switch (path->step) {
	case PATH_IDENTIFY:
		path->device->mpath.path[path->index].group =
			mpath_vpd83_group(path->answer, result->in_length);
		path->step = PATH_CAPACITY;
		break;
	case PATH_CAPACITY:
		path_capacity(path);
		path->step = PATH_TABLE;
		break;
	case PATH_TABLE:
		path_table(path, result);
		path->step = PATH_CHECK;
		break;
	case PATH_CHECK:
		path->check_due_ns =
			clock_ns() + engine_options_get(path->device->engine)->checker_ns;
		path->step = PATH_IDLE;
		path->seen_up = true;
		path_up_set(path, true);
		break;
	case PATH_DOWN:
	case PATH_IDLE:
		break;
	}
}

static void path_answered(void *arg, const struct session_result *result)
{
	struct path *path = arg;
	enum retry_action action;

	path->busy = false;
	engine_sense_add(path->device->engine, result);
	if (result->status == SESSION_STATUS_LOST) {
		return; /* device_path_changed() follows */
	}
	action = retry_decide((uint8_t)result->status, result->key, result->asc, result->ascq);
	if (action == RETRY_REREAD) {
		device_table_changed(path->device, path->index);
	}
	if (action == RETRY_DONE) {
		path_step_good(path, result);
	} else if (action == RETRY_FAIL && path->step == PATH_TABLE) {
		path->step = PATH_CHECK; /* a target without ALUA */
	} else if (path->step == PATH_CHECK && action == RETRY_PATH) {
		/* "ghost": there, but not for I/O */
		path->check_due_ns =
			clock_ns() + engine_options_get(path->device->engine)->checker_ns;
		path->step = PATH_IDLE;
	} else {
		path->again_ns =
			clock_ns() +
			(action == RETRY_NOW || action == RETRY_REREAD ? 0 : DEVICE_AGAIN_NS);
	}
}

void device_table_changed(struct device *device, unsigned path)
{
	struct engine_counts *counts = engine_counts_get(device->engine);

	counts->ua_2a06++;
	device->paths[path].uas++;
	device->reread = true;
}

static void path_turn(struct path *path, uint64_t now_ns)
{
	if (path->busy || path->step == PATH_DOWN || path->session->state != SESSION_UP ||
		now_ns < path->again_ns) {
		return;
	}
	if (path->step != PATH_IDLE) {
		path_ask(path, path->step);
	} else if (path->device->reread || now_ns >= path->device->reread_due_ns) {
		/* One path asks for all: every port gives the same answer. */
		path->device->reread = false;
		path->device->reread_due_ns =
			now_ns + engine_options_get(path->device->engine)->reread_ns;
		path_ask(path, PATH_TABLE);
	} else if (now_ns >= path->check_due_ns) {
		path_ask(path, PATH_CHECK);
	}
}

void device_turn(struct device *device, uint64_t now_ns)
{
	for (unsigned i = 0; i < device->mpath.count; i++) {
		path_turn(&device->paths[i], now_ns);
	}
}
