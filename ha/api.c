/* SPDX-License-Identifier: BSD-3-Clause */
/* yoke/ha.h: names and views of what the machine knows, and the actions by name. */
#include <string.h>

#include "glue.h"
#include "yoke/log.h"

const char *ha_result_name(enum ha_result result)
{
	switch (result) {
	case HA_OK:
		return "ok";
	case HA_FAILED:
		return "failed";
	case HA_NOT_IN_SYNC:
		return "not-in-sync";
	case HA_NO_QUORUM:
		return "no-quorum";
	case HA_TIMEOUT:
		return "timeout";
	case HA_NO_PEER:
		return "no-peer";
	case HA_BUSY:
		return "busy";
	case HA_UNKNOWN:
		return "unknown";
	}
	return "(none)";
}

const char *ha_role_name(enum ha_role role)
{
	switch (role) {
	case HA_ROLE_STOPPED:
		return "stopped";
	case HA_ROLE_UNPROMOTED:
		return "unpromoted";
	case HA_ROLE_PROMOTED:
		return "promoted";
	case HA_ROLE_FAILED:
		return "failed";
	}
	return "(none)";
}

/* ----- actions ------------------------------------------------------------------------------- */

static bool group_find(struct ha *ha, const char *name, uint16_t *group)
{
	const struct conf *conf = ha->setup.conf;

	for (unsigned i = 0; i < conf->group_count; i++) {
		if (strcmp(conf->groups[i].name, name) == 0) {
			*group = (uint16_t)i;
			return true;
		}
	}
	return false;
}

void ha_group_start(
	struct ha *ha, const char *group, const char *resource, ha_done_fn *done, void *arg)
{
	uint16_t i;

	if (!group_find(ha, group, &i)) {
		done(arg, HA_UNKNOWN, "no such group in the configuration");
	} else if (pacemaker_resource_set(ha->pacemaker, i, resource) != 0) {
		done(arg, HA_UNKNOWN, "that is no name of a Pacemaker resource");
	} else {
		machine_group_start(ha->machine, i, done, arg);
		ha_settled(ha);
	}
}

void ha_group_stop(struct ha *ha, const char *group, ha_done_fn *done, void *arg)
{
	uint16_t i;

	if (!group_find(ha, group, &i)) {
		done(arg, HA_UNKNOWN, "no such group in the configuration");
		return;
	}
	machine_group_stop(ha->machine, i, done, arg);
	ha_settled(ha);
}

void ha_group_promote(struct ha *ha, const char *group, ha_done_fn *done, void *arg)
{
	uint16_t i;

	if (!group_find(ha, group, &i)) {
		done(arg, HA_UNKNOWN, "no such group in the configuration");
		return;
	}
	machine_group_promote(ha->machine, i, done, arg);
	ha_settled(ha);
}

void ha_group_demote(struct ha *ha, const char *group, ha_done_fn *done, void *arg)
{
	uint16_t i;

	if (!group_find(ha, group, &i)) {
		done(arg, HA_UNKNOWN, "no such group in the configuration");
		return;
	}
	machine_group_demote(ha->machine, i, done, arg);
	ha_settled(ha);
}

void ha_group_move(struct ha *ha, const char *group, const char *controller, unsigned timeout_ms,
	ha_done_fn *done, void *arg)
{
	const struct conf *conf = ha->setup.conf;
	uint8_t id = 0;
	uint16_t i;

	for (unsigned k = 0; k < conf->controller_count; k++) {
		if (strcmp(conf->controllers[k].name, controller) == 0) {
			id = conf->controllers[k].id;
		}
	}
	if (!group_find(ha, group, &i)) {
		done(arg, HA_UNKNOWN, "no such group in the configuration");
	} else if (!id) {
		done(arg, HA_UNKNOWN, "no such controller in the configuration");
	} else {
		machine_group_move(ha->machine, i, id, timeout_ms, done, arg);
		ha_settled(ha);
	}
}

void ha_drill(struct ha *ha, unsigned seconds)
{
	struct message msg = {.type = MESSAGE_DRILL,
		.sender = ha->setup.controller,
		.incarnation = ha->incarnation,
		.controller = ha->other->id,
		.seconds = (uint16_t)seconds};
	int length = message_encode(&msg, ha->bytes, MESSAGE_BYTES_MAX);

	log_warning("drill: the daemon of controller %u is to %s", ha->other->id,
		seconds ? "stop for a while" : "die");
	if (length > 0 && ha->transport) {
		transport_send(ha->transport, ha->bytes, (size_t)length);
	}
}

/* ----- portals ---------------------------------------------------------------------------------
 */

void ha_given_back(struct ha *ha)
{
	machine_given_back(ha->machine);
	ha_settled(ha);
}

void ha_hosts_send(struct ha *ha, const void *bytes, size_t size)
{
	struct message msg = {.type = MESSAGE_HOSTS,
		.sender = ha->setup.controller,
		.incarnation = ha->incarnation,
		.blob = bytes,
		.blob_length = size};
	int length = message_encode(&msg, ha->bytes, MESSAGE_BYTES_MAX);

	if (length > 0 && ha->transport) {
		transport_send(ha->transport, ha->bytes, (size_t)length);
	}
}

/* ----- the configuration ---------------------------------------------------------------------- */

void ha_conf_change(
	struct ha *ha, const uint8_t digest[32], const char *edit, ha_done_fn *done, void *arg)
{
	machine_conf_propose(ha->machine, digest, edit, done, arg);
	ha_settled(ha);
}

void ha_conf_done(struct ha *ha)
{
	machine_conf_done(ha->machine);
}

void ha_conf_set(struct ha *ha, const struct conf *conf)
{
	ha->setup.conf = conf;
	pacemaker_conf_set(ha->pacemaker, conf);
	machine_conf_changed(ha->machine, conf);
}

/* ----- views --------------------------------------------------------------------------------- */

bool ha_group_info(struct ha *ha, unsigned index, struct ha_group_info *info)
{
	const struct ha_group *g;

	if (index >= ha->machine->group_count) {
		return false;
	}
	g = &ha->machine->groups[index];
	*info = (struct ha_group_info){
		.conf = &ha->setup.conf->groups[index],
		.role = machine_group_role(ha->machine, g),
		/* What is recorded here may have been overtaken while this controller was away. */
		.owner = machine_in_sync(ha->machine) ? g->owner : 0,
		.preferred = g->preferred ? g->preferred : ha->setup.conf->groups[index].home,
		.epoch = g->epoch,
		.phase = ha_phase_name(machine_in_sync(ha->machine) ? g->phase : PHASE_UNKNOWN),
		.access = g->view.access,
		.score = g->score < 0 ? -1 : g->score,
		.table = g->view.table,
		.last_move_unix_s = g->last_move_unix_s,
		.last_move_held_ms = g->last_held_ms,
		.last_move_kind = g->last_move_kind,
		.moves = group_moves(ha->machine, g),
		.failback_in_s = group_failback_in_s(ha->machine, g),
	};
	memcpy(info->tpg, g->view.tpg, sizeof(info->tpg));
	return true;
}

void ha_status(struct ha *ha, struct ha_status *status)
{
	const struct machine *m = ha->machine;

	*status = (struct ha_status){
		.quorate = m->quorate,
		.in_sync = machine_in_sync(m) && !m->dead,
		.waits_for_peer = machine_waits_for_peer(m),
		.peer_member = m->pids[m->other] != 0,
		.link_up = ha->setup.ship && ship_link_is_up(ha->setup.ship),
		.config_differs = m->differs,
		.adopted =
			m->adoption.phase == ADOPTION_HELD || m->adoption.phase == ADOPTION_GIVING,
		.incarnation = ha->incarnation,
	};
}

void ha_ledger_status(struct ha *ha, struct ledger_status *status)
{
	struct journal_status journal;

	machine_ledger_status(ha->machine, status);
	journal_status(ha->journal, &journal);
	status->journal_bytes = journal.bytes;
}
