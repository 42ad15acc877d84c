/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * REPORT TARGET PORT GROUPS (SPC-4 6.37), from the published view and the configuration: the same
 * bytes at every port of both controllers, at any time, also while the group is held.
 */
#include "daemon/scsi/commands.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/sense.h"
#include "daemon/scsi/stpg.h"

#define FORMAT_SHIFT	5
#define FORMAT_LENGTH	0
#define FORMAT_EXTENDED 1
#define PREF		0x80
#define STATUS_NONE	0x00 /* not told: also where hosts may have changed it */
#define STATUS_IMPLICIT 0x02 /* the state was changed by the target */
#define SUPPORTS_ONE	0x01 /* AO_SUP: a single controller knows nothing else */
#define SUPPORTS_PAIR	0x8b /* T_SUP, U_SUP, AN_SUP, AO_SUP: the states that we use */

bool scsi_rtpg_decode(struct scsi_task *task)
{
	const struct conf *conf = task->nexus->core->scsi->conf;
	uint32_t most = 8;

	if (task->cdb[1] >> FORMAT_SHIFT > FORMAT_EXTENDED) {
		scsi_set_cdb_field(task, 1, 7);
		return false;
	}
	for (unsigned i = 0; i < conf->controller_count; i++) {
		most += 8 + 4 * conf->controllers[i].portal_count;
	}
	return scsi_parameter_decode(task, be32_get(task->cdb + 6), most);
}

static void group_put(struct cursor *c, const struct scsi *scsi,
	const struct conf_controller *controller, const struct group_view *view)
{
	bool pair = atomic_load_explicit(&scsi->conf, memory_order_acquire)->controller_count > 1;

	cursor_put_u8(c, (uint8_t)((view->preferred == controller->id ? PREF : 0) |
				   (view->tpg[controller->id] & 0xf)));
	cursor_put_u8(c, pair ? SUPPORTS_PAIR : SUPPORTS_ONE);
	cursor_put_u16(c, controller->id);
	cursor_put_u8(c, 0);
	cursor_put_u8(c, pair && !scsi_stpg_allowed(scsi) ? STATUS_IMPLICIT : STATUS_NONE);
	cursor_put_u8(c, 0);
	cursor_put_u8(c, (uint8_t)controller->portal_count);
	for (unsigned i = 0; i < controller->portal_count; i++) {
		cursor_put_u16(c, 0);
		cursor_put_u16(c, (uint16_t)(controller->id * 256u + i + 1));
	}
}

void scsi_rtpg_run(struct scsi_task *task)
{
	const struct scsi_core *core = task->nexus->core;
	const struct conf *conf = core->scsi->conf;
	const struct group_view *view = &core->groups[task->lu->group].view;
	struct cursor c = scsi_parameter_begin(task);

	cursor_put_u32(&c, 0);
	if (task->cdb[1] >> FORMAT_SHIFT == FORMAT_EXTENDED) {
		cursor_put_u8(&c, FORMAT_EXTENDED << 4);
		cursor_put_u8(&c, view->hold_limit_s);
		cursor_put_u16(&c, 0);
	}
	for (uint8_t id = 1; id <= YOKE_CONTROLLERS; id++) {
		const struct conf_controller *controller = conf_controller_by_id(conf, id);

		if (controller) {
			group_put(&c, core->scsi, controller, view);
		}
	}
	if (cursor_ok(&c)) {
		be32_put(c.base, (uint32_t)(c.pos - 4));
	}
	scsi_parameter_end(task, &c);
}
