/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration of a controller, and what changes in it while commands run: LUN 2, which is LU
 * 0 once more, comes and goes, and the time that commands are held is another. A file is a number,
 * and so is its digest. The daemon's part is that of daemon/reload.c in short.
 */
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"
#include "yoke/util.h"

static const char *const extent_names[SIM_LUS] = {"disk0", "disk1"};
static const char *const serials[SIM_LUS] = {"serial0", "serial1"};
static const char *const paths[] = {"0", "1", "2"};

void conf_fill(struct node *node)
{
	static struct conf_address interconnect = {.length = 1, .text = "interconnect"};

	node->controllers[0] = (struct conf_controller){.name = "a",
		.id = 1,
		.portals = &node->portals[0],
		.portal_count = 1,
		.interconnect = interconnect};
	node->controllers[1] = (struct conf_controller){.name = "b",
		.id = 2,
		.portals = &node->portals[1],
		.portal_count = 1,
		.interconnect = interconnect};
	node->groups[0] = (struct conf_group){.name = "g1", .home = 1};
	node->groups[1] = (struct conf_group){
		.name = "g2", .home = 2, .failback = CONF_FAILBACK_AUTO, .failback_delay_s = 2};
	for (unsigned i = 0; i < SIM_LUS; i++) {
		node->extents[i] = (struct conf_extent){.name = extent_names[i],
			.type = EXTENT_BLOCK,
			.path = paths[node->id],
			.block_size = SIM_BLOCK,
			.physical_block_size = SIM_BLOCK,
			.serial = serials[i],
			.group = (uint16_t)i};
		memset(node->extents[i].uuid, (int)(0x50 + i), sizeof(node->extents[i].uuid));
		node->luns[i] = (struct conf_lun){.lun = (uint16_t)i, .extent = (uint16_t)i};
	}
	node->target = (struct conf_target){
		.name = "iqn.2026-01.org.example:sim", .luns = node->luns, .lun_count = SIM_LUS};
	node->conf = (struct conf){.path = "(simulated)",
		.cluster = "sim",
		.reactors = SIM_REACTORS,
		.buffer_bytes = 16u << 20,
		.state_dir = "(simulated)",
		.hold_limit_ms = 1500,
		.hold_answer = CONF_HOLD_BUSY,
		.handover_timeout_ms = 2000,
		.vendor = "YOKE",
		.product = "array",
		.controllers = node->controllers,
		.controller_count = 2,
		.groups = node->groups,
		.group_count = SIM_GROUPS,
		.extents = node->extents,
		.extent_count = SIM_LUS,
		.targets = &node->target,
		.target_count = 1};
}

/* ----- files ----------------------------------------------------------------------------------
 */

struct sim_conf {
	struct conf conf;
	struct conf_target target;
	struct conf_lun luns[SIM_LUNS];
	uint64_t file;
	bool first; /* of its daemon, which keeps pointers into it */
};

static struct sim_conf *file_load(struct node *node, uint64_t file)
{
	struct sim_conf *loaded = sim_memory(node->sim, sizeof(*loaded));

	loaded->file = file;
	loaded->conf = node->conf;
	loaded->conf.hold_limit_ms = file % 3 == 2 ? 700 : 1500;
	memcpy(loaded->conf.digest, &file, sizeof(file));
	loaded->target = node->target;
	loaded->target.luns = loaded->luns;
	loaded->target.lun_count = file % 2 ? SIM_LUNS : SIM_LUS;
	memcpy(loaded->luns, node->luns, sizeof(node->luns));
	loaded->luns[SIM_LUNS - 1] = (struct conf_lun){.lun = SIM_LUNS - 1, .extent = 0};
	loaded->conf.targets = &loaded->target;
	return loaded;
}

const struct conf *change_start(struct node *node)
{
	node->running = file_load(node, node->file);
	node->running->first = true;
	node->next = NULL;
	node->change = NULL;
	node->changing = node->wanted_due = false;
	return &node->running->conf;
}

/* ----- the daemon's part ----------------------------------------------------------------------
 */

static bool prepare(void *arg, const uint8_t digest[32], const char *edit, char *why, size_t size)
{
	struct node *node = arg;
	uint64_t file;

	(void)edit;
	memcpy(&file, digest, sizeof(file));
	if (node->next || node->changing || file != node->file || file == node->running->file) {
		snprintf(why, size, "busy, or another file");
		return false;
	}
	node->next = file_load(node, file);
	node->change = scsi_change_new(node->scsi, &node->next->conf, why, size);
	if (!node->change) {
		sim_wrong(node->sim, "a configuration is refused: %s", why);
		node->next = NULL;
	}
	return node->change != NULL;
}

static void in_use(void *arg)
{
	struct node *node = arg;

	node->changing = false;
	if (!node->former->first) {
		memset(node->former, 0xa5, sizeof(*node->former));
	}
	ha_conf_done(node->ha);
}

static void activate(void *arg)
{
	struct node *node = arg;

	sim_trace(node->sim, "controller %u: configuration %llu is in place", node->id,
		(unsigned long long)node->next->file);
	node->sim->totals->changes++;
	node->changing = true;
	node->former = node->running;
	node->running = node->next;
	node->next = NULL;
	scsi_change_apply(node->change, in_use, node);
	node->change = NULL;
	ship_conf_set(node->ship, &node->running->conf);
	ha_conf_set(node->ha, &node->running->conf);
}

static void drop(void *arg)
{
	struct node *node = arg;

	scsi_change_drop(node->change);
	node->change = NULL;
	node->next = NULL;
}

static void catch_up(void *arg)
{
	struct node *node = arg;
	char why[256];

	node->wanted_due = false;
	if (prepare(node, node->wanted, "", why, sizeof(why))) {
		activate(node);
	}
}

static void catch_up_event(void *arg)
{
	sim_control_do(arg, catch_up, arg);
}

static void wanted(void *arg, const uint8_t digest[32])
{
	struct node *node = arg;

	memcpy(node->wanted, digest, sizeof(node->wanted));
	if (!node->wanted_due) {
		node->wanted_due = true;
		sim_at(node->sim, node, sim_delay(node->sim, 10 * US, 5 * MS), catch_up_event,
			node);
	}
}

const struct ha_conf_ops change_ops = {
	.prepare = prepare, .activate = activate, .drop = drop, .wanted = wanted};

/* ----- the administrator ----------------------------------------------------------------------
 */

static void ended(void *arg, enum ha_result result, const char *message)
{
	struct node *node = arg;

	sim_trace(node->sim, "controller %u: reload: %s: %s", node->id, ha_result_name(result),
		message);
}

static void reload(void *arg)
{
	struct node *node = arg;
	uint8_t digest[32] = {0};

	memcpy(digest, &node->file, sizeof(node->file));
	if (!node->next && !node->changing && node->file != node->running->file) {
		ha_conf_change(node->ha, digest, "", ended, node);
	}
}

static void reload_event(void *arg)
{
	sim_control_do(arg, reload, arg);
}

void change_reload(struct node *node)
{
	if (node->alive && !node->frozen) {
		sim_at(node->sim, node, sim_delay(node->sim, 1 * MS, 50 * MS), reload_event, node);
	}
}

/* The new file goes to both, or to one only. */
void change_files(struct sim *sim, bool both)
{
	uint64_t file =
		1 + (sim->node[1].file > sim->node[2].file ? sim->node[1].file : sim->node[2].file);
	unsigned only = 1 + sim_below(sim, 2);

	for (unsigned i = 1; i <= 2; i++) {
		if (sim->node[i].up && (both || i == only)) {
			sim->node[i].file = file;
		}
	}
}

/* He sees that the two differ, or that what runs is not what the file says. */
void change_mend(struct sim *sim, bool restart)
{
	uint64_t newest =
		sim->node[1].file > sim->node[2].file ? sim->node[1].file : sim->node[2].file;

	for (unsigned i = 1; i <= 2; i++) {
		struct node *node = &sim->node[i];

		node->file = newest;
		if (node->alive && !change_is_over(node) && restart) {
			node_kill(node);
		} else {
			change_reload(node);
		}
	}
}

bool change_is_over(const struct node *node)
{
	return node->running->file == node->file;
}

bool change_has_lun(const struct node *node)
{
	return node->running->target.lun_count == SIM_LUNS;
}
