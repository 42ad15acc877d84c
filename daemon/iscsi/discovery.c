/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/iscsi/discovery.h"

#include <strings.h>

#include "daemon/iscsi/pairs.h"

const struct conf_target *iscsi_target_find(const struct conf *conf, const char *name)
{
	for (unsigned i = 0; i < conf->target_count; i++) {
		if (strcasecmp(conf->targets[i].name, name) == 0) {
			return &conf->targets[i];
		}
	}
	return NULL;
}

static bool name_is_member(const struct conf_initiator_group *group, const char *initiator)
{
	for (unsigned i = 0; i < group->initiator_count; i++) {
		if (strcasecmp(group->initiators[i], initiator) == 0) {
			return true;
		}
	}
	return group->initiator_count == 0;
}

static bool address_is_member(
	const struct conf_initiator_group *group, const struct sockaddr_storage *address)
{
	for (unsigned i = 0; i < group->network_count; i++) {
		if (conf_network_has(&group->networks[i], address)) {
			return true;
		}
	}
	return group->network_count == 0;
}

bool iscsi_target_allows(const struct conf *conf, const struct conf_target *target,
	const struct iscsi_visitor *visitor, const struct conf_initiator_group **group)
{
	for (unsigned i = 0; i < target->initiator_group_count; i++) {
		const struct conf_initiator_group *one =
			&conf->initiator_groups[target->initiator_groups[i]];

		if (name_is_member(one, visitor->initiator) &&
			address_is_member(one, visitor->address)) {
			if (group) {
				*group = one;
			}
			return true;
		}
	}
	if (group) {
		*group = NULL;
	}
	return target->initiator_group_count == 0;
}

/* Moves on to the first target from list->target on that the initiator may see. */
static void target_seek(
	struct iscsi_discovery *list, const struct conf *conf, const struct iscsi_visitor *visitor)
{
	while (list->target < conf->target_count) {
		const struct conf_target *target = &conf->targets[list->target];

		if ((!list->only || list->only == target) &&
			iscsi_target_allows(conf, target, visitor, NULL)) {
			return;
		}
		list->target++;
	}
	list->active = false;
}

/* One pair of the current target; false when it does not fit. */
static bool pair_write(struct iscsi_discovery *list, const struct conf *conf, struct cursor *out)
{
	const struct conf_controller *controller;

	if (!list->named) {
		list->named = true;
		list->controller = list->portal = 0;
		if (!iscsi_pair_putf(out, "TargetName", "%s", conf->targets[list->target].name)) {
			list->named = false;
		}
		return list->named;
	}
	controller = &conf->controllers[list->controller];
	if (list->portal < controller->portal_count) {
		if (!iscsi_pair_putf(out, "TargetAddress", "%s,%u",
			    controller->portals[list->portal].text, (unsigned)controller->id)) {
			return false;
		}
		list->portal++;
	}
	if (list->portal == controller->portal_count) {
		list->portal = 0;
		list->controller++;
	}
	return true;
}

void iscsi_discovery_start(
	struct iscsi_discovery *list, const struct conf *conf, const struct conf_target *only)
{
	*list = (struct iscsi_discovery){.only = only, .active = conf->target_count > 0};
	if (only) {
		list->target = (unsigned)(only - conf->targets);
	}
}

void iscsi_discovery_next(struct iscsi_discovery *list, const struct conf *conf,
	const struct iscsi_visitor *visitor, struct cursor *out)
{
	while (list->active) {
		if (!list->named) {
			target_seek(list, conf, visitor);
			if (!list->active) {
				return;
			}
		} else if (list->controller == conf->controller_count) {
			list->named = false;
			list->target++;
			continue;
		}
		if (!pair_write(list, conf, out)) {
			return;
		}
	}
}
