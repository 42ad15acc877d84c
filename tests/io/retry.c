/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/io/retry.h"

#include <stddef.h>

#include "yoke/cursor.h"
#include "yoke/util.h"

#define ANY -1

/* First match counts; -1 matches everything. */
static const struct {
	int status, key, asc, ascq;
	enum retry_action action;
} retry_table[] = {
	{0x00, ANY, ANY, ANY, RETRY_DONE}, {0x04, ANY, ANY, ANY, RETRY_DONE},
	{0x08, ANY, ANY, ANY, RETRY_LATER}, /* BUSY */
	{0x28, ANY, ANY, ANY, RETRY_LATER}, /* TASK SET FULL */
	{0x18, ANY, ANY, ANY, RETRY_FAIL}, /* RESERVATION CONFLICT */
	{0x40, ANY, ANY, ANY, RETRY_COUNTED}, /* TASK ABORTED */
	{0x02, 0x6, 0x2a, 0x06, RETRY_REREAD}, {0x02, 0x6, ANY, ANY, RETRY_NOW},
	{0x02, 0x2, 0x04, 0x01, RETRY_LATER}, {0x02, 0x2, 0x04, 0x0a, RETRY_LATER},
	{0x02, 0x2, 0x04, 0x0b, RETRY_PATH}, {0x02, 0x2, 0x04, 0x0c, RETRY_PATH},
	{0x02, 0x2, 0x04, 0x12, RETRY_PATH}, {0x02, 0x2, ANY, ANY, RETRY_FAIL},
	{0x02, 0x1, ANY, ANY, RETRY_DONE}, /* RECOVERED ERROR */
	{0x02, 0x3, 0x11, ANY, RETRY_FAIL}, {0x02, 0x3, 0x13, ANY, RETRY_FAIL},
	{0x02, 0x3, 0x14, ANY, RETRY_FAIL}, {0x02, 0x3, ANY, ANY, RETRY_COUNTED},
	{0x02, 0xb, 0x10, ANY, RETRY_FAIL}, {0x02, 0xb, ANY, ANY, RETRY_COUNTED},
	{ANY, ANY, ANY, ANY, RETRY_FAIL}, /* among them 05/25/00, 04/xx, 07/xx */
};

const char *retry_action_name(enum retry_action action)
{
	switch (action) {
	case RETRY_DONE:
		return "done";
	case RETRY_NOW:
		return "now";
	case RETRY_REREAD:
		return "re-read";
	case RETRY_LATER:
		return "later";
	case RETRY_COUNTED:
		return "counted";
	case RETRY_PATH:
		return "other path";
	case RETRY_FAIL:
		return "fail";
	}
	return "?";
}

static bool retry_matches(int want, int have)
{
	return want == ANY || want == have;
}

enum retry_action retry_decide(uint8_t status, uint8_t key, uint8_t asc, uint8_t ascq)
{
	for (size_t i = 0; i < ARRAY_SIZE(retry_table); i++) {
		if (retry_matches(retry_table[i].status, status) &&
			retry_matches(retry_table[i].key, key) &&
			retry_matches(retry_table[i].asc, asc) &&
			retry_matches(retry_table[i].ascq, ascq)) {
			return retry_table[i].action;
		}
	}
	return RETRY_FAIL;
}

int mpath_priority(const struct mpath_path *path)
{
	int priority;

	switch (path->state) {
	case -1: /* no ALUA */
		return 1;
	case 0x0:
		return 50;
	case 0x1:
		priority = 10;
		break;
	case 0x2:
		priority = 1;
		break;
	case 0x4:
		priority = 5;
		break;
	default:
		priority = 0;
		break;
	}
	return priority + (path->preferred ? 80 : 0);
}

static bool mpath_usable(const struct mpath_path *path)
{
	return path->up && !path->barred && mpath_priority(path) > 1;
}

static bool mpath_usable_at_all(const struct mpath_path *path)
{
	return path->up && !path->barred;
}

static int mpath_best(
	const struct mpath *mpath, bool (*usable)(const struct mpath_path *), unsigned turn)
{
	int best = -1;

	for (unsigned i = 0; i < mpath->count; i++) {
		unsigned n = (turn + i) % mpath->count;

		if (usable(&mpath->path[n]) &&
			(best < 0 || (!mpath->everywhere &&
					     mpath_priority(&mpath->path[n]) >
						     mpath_priority(&mpath->path[best])))) {
			best = (int)n;
		}
	}
	return best;
}

int mpath_pick(struct mpath *mpath)
{
	int best = mpath_best(mpath, mpath_usable, mpath->turn);

	/* Without a good one the host tries what it has: standby, unavailable, no ALUA. */
	if (best < 0) {
		best = mpath_best(mpath, mpath_usable_at_all, mpath->turn);
	}
	if (best >= 0) {
		mpath->turn = (unsigned)best + 1;
	}
	return best;
}

bool mpath_rtpg_apply(struct mpath *mpath, const uint8_t *data, uint32_t length, bool extended)
{
	struct cursor c = cursor_reader(data, length);
	uint32_t left = cursor_get_u32(&c);

	if (left > cursor_left(&c)) {
		return false; /* cut off: the caller asks again with more room */
	}
	c.size = c.pos + left;
	if (extended) {
		cursor_take(&c, 4);
	}
	while (cursor_left(&c) >= 8) {
		uint8_t state = cursor_get_u8(&c);
		int group, ports;

		cursor_take(&c, 1);
		group = cursor_get_u16(&c);
		cursor_take(&c, 3);
		ports = cursor_get_u8(&c);
		cursor_take(&c, (size_t)ports * 4);
		for (unsigned i = 0; i < mpath->count && cursor_ok(&c); i++) {
			if (mpath->path[i].group == group) {
				mpath->path[i].state = state & 0x0f;
				mpath->path[i].preferred = state & 0x80;
				mpath->path[i].barred = false;
			}
		}
	}
	return cursor_ok(&c) && cursor_left(&c) == 0;
}

int mpath_vpd83_group(const uint8_t *data, uint32_t length)
{
	struct cursor c = cursor_reader(data, length);
	uint32_t left;

	cursor_take(&c, 2);
	left = cursor_get_u16(&c);
	if (left < cursor_left(&c)) {
		c.size = c.pos + left;
	}
	while (cursor_left(&c) >= 4) {
		uint8_t type, bytes;
		const uint8_t *p;

		cursor_take(&c, 1);
		type = cursor_get_u8(&c);
		cursor_take(&c, 1);
		bytes = cursor_get_u8(&c);
		p = cursor_take(&c, bytes);
		if (p && (type & 0x3f) == 0x15 && bytes == 4) { /* association port, type 5 */
			return be16_get(p + 2);
		}
	}
	return -1;
}
