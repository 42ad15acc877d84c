// SPDX-License-Identifier: BSD-3-Clause
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "value.h"

/* ----- values that no two objects share ------------------------------------------------------ */

struct unique {
	const char *text;
	const struct conf_node *item;
	unsigned index;
};

static int unique_compare(const void *a, const void *b)
{
	const struct unique *x = a, *y = b;
	int order = strcmp(x->text, y->text);

	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static unsigned key_line(const struct conf_node *item, const char *key)
{
	const struct conf_node *value = conf_node_get(item, key);

	return value ? value->line : item->line;
}

void conf_check_unique(struct conf_loader *l, const struct conf_key *list,
	const struct conf_key *key, const struct conf_node *node, const void *items, unsigned count)
{
	const struct conf_node *item = node->first;
	struct unique *all = conf_loader_get(l, count * sizeof(*all));
	unsigned used = 0;

	for (unsigned i = 0; all && i < count && item; i++, item = item->next) {
		const void *field = (const char *)items + i * list->size + key->offset;
		const struct conf_node *value = conf_node_get(item, key->name);
		char text[CONF_VALUE_MAX];

		/* What is not in the file, or wrong there, has its own complaint or default. */
		if (!value || value->bad || !conf_value_format(l->conf, key, field, text)) {
			continue;
		}
		all[used] = (struct unique){conf_arena_copy(l->arena, text, strlen(text)), item, i};
		if (!all[used].text) {
			l->out_of_memory = true;
			return;
		}
		used++;
	}
	if (used) {
		qsort(all, used, sizeof(*all), unique_compare);
	}
	for (unsigned i = 1; i < used; i++) {
		if (!strcmp(all[i].text, all[i - 1].text)) {
			conf_complain(l, key_line(all[i].item, key->name),
				"the %s %s is used twice, before in line %u; allowed: once in the "
				"list",
				key->name, conf_quote(all[i].text).text,
				key_line(all[i - 1].item, key->name));
		}
	}
}

/* ----- rules over several keys --------------------------------------------------------------- */

/* Walks the objects of a top-level list together with their nodes. */
struct walk {
	const struct conf_node *item;
	unsigned i;
	size_t back;
};

static struct walk walk_list(const struct conf_node *root, const char *name)
{
	const struct conf_node *list = conf_node_get(root, name);

	return (struct walk){.item = list ? list->first : NULL};
}

/* Complains about `key` of an object: at the key's line when it is there. */
#define complain_key(l, list, name, item, key, ...)                 \
	do {                                                        \
		size_t back_ = complain_where(l, list, name, key);  \
                                                                    \
		conf_complain(l, key_line(item, key), __VA_ARGS__); \
		conf_where_back(l, back_);                          \
	} while (0)

static size_t complain_where(
	struct conf_loader *l, const char *list, const char *name, const char *key)
{
	size_t back = conf_where_key(l, list);

	if (name) {
		conf_where_item(l, name);
	}
	conf_where_key(l, key);
	return back;
}

/* Is the key given, with a value that was understood? What was refused has its complaint already.
 */
static bool value_is_good(const struct conf_node *item, const char *key)
{
	const struct conf_node *value = conf_node_get(item, key);

	return value && !value->bad;
}

static void check_portals(
	struct conf_loader *l, const struct conf_controller *c, const struct conf_node *item)
{
	const struct conf *conf = l->conf;

	for (unsigned p = 0; p < c->portal_count; p++) {
		for (const struct conf_controller *o = conf->controllers; o <= c; o++) {
			unsigned end = o == c ? p : o->portal_count;

			for (unsigned q = 0; q < end; q++) {
				if (c->portals[p].length &&
					conf_address_equal(&c->portals[p], &o->portals[q])) {
					complain_key(l, "controllers", c->name, item, "portals",
						"%s is used twice; allowed: an address and port "
						"once",
						c->portals[p].text);
				}
			}
		}
		for (unsigned o = 0; o < conf->controller_count; o++) {
			if (c->portals[p].length && conf_address_equal(&c->portals[p],
							    &conf->controllers[o].interconnect)) {
				complain_key(l, "controllers", c->name, item, "portals",
					"%s is an interconnect address, too; allowed: another "
					"address "
					"or port",
					c->portals[p].text);
			}
		}
	}
}

static void check_interconnects(struct conf_loader *l, const struct conf_node *item)
{
	const struct conf_controller *a = &l->conf->controllers[0], *b = &l->conf->controllers[1];

	if (!a->interconnect.length || !b->interconnect.length) {
		return;
	}
	if (conf_address_equal(&a->interconnect, &b->interconnect)) {
		complain_key(l, "controllers", b->name, item, "interconnect",
			"%s is the other controller's, too; allowed: an address of its own",
			b->interconnect.text);
	}
	if (a->interconnect.addr.ss_family != b->interconnect.addr.ss_family) {
		complain_key(l, "controllers", b->name, item, "interconnect",
			"%s and %s are not of one family; allowed: both IPv4 or both IPv6",
			a->interconnect.text, b->interconnect.text);
	}
}

static bool has_interface(const struct conf_controller *c, const struct conf_address *portal)
{
	for (unsigned i = 0; i < c->interface_count; i++) {
		if (conf_network_has(&c->interfaces[i].network, &portal->addr)) {
			return true;
		}
	}
	return !portal->length; /* complained about already */
}

/* With adoption either controller may have to serve any portal. */
static void check_adoption(
	struct conf_loader *l, const struct conf_controller *c, const struct conf_node *item)
{
	for (unsigned o = 0; o < l->conf->controller_count; o++) {
		const struct conf_controller *other = &l->conf->controllers[o];

		for (unsigned p = 0; p < other->portal_count; p++) {
			if (!has_interface(c, &other->portals[p])) {
				complain_key(l, "controllers", c->name, item, "interfaces",
					"none is for portal %s of controller %s, which "
					"settings.portal_adoption needs; add the interface and its "
					"network",
					other->portals[p].text, other->name ? other->name : "?");
			}
		}
	}
}

static void check_controllers(struct conf_loader *l, const struct conf_node *root)
{
	const struct conf_node *list = conf_node_get(root, "controllers");
	struct walk w = walk_list(root, "controllers");
	unsigned needed = l->clustered ? YOKE_CONTROLLERS : 1;
	struct conf *conf = l->conf;

	if (!list || list->type != CONF_NODE_LIST) {
		return;
	}
	if (list->count != needed) {
		size_t back = conf_where_key(l, "controllers");

		conf_complain(l, list->line, "has %u items; allowed: %s", list->count,
			l->clustered ? "exactly 2 with a cluster (or cluster: none)"
				     : "exactly 1 without a cluster");
		conf_where_back(l, back);
	}
	for (; w.item && w.i < conf->controller_count; w.item = w.item->next, w.i++) {
		const struct conf_controller *c = &conf->controllers[w.i];

		check_portals(l, c, w.item);
		if (conf->portal_adoption && l->clustered) {
			check_adoption(l, c, w.item);
		}
		if (!l->clustered && conf_node_get(w.item, "interconnect")) {
			complain_key(l, "controllers", c->name, w.item, "interconnect",
				"is given without a cluster; remove it, or name the cluster");
		}
		if (l->clustered && w.i == 1) {
			check_interconnects(l, w.item);
		}
	}
}

static void check_groups(struct conf_loader *l, const struct conf_node *root)
{
	const struct conf_node *list = conf_node_get(root, "groups");
	struct conf *conf = l->conf;
	size_t back;

	if (conf->group_count) {
		return;
	}
	if (l->clustered) {
		if (list && list->type == CONF_NODE_LIST) {
			back = conf_where_key(l, "groups");
			conf_complain(l, list->line,
				"has no items; allowed: 1 to %u with a cluster", YOKE_GROUPS_MAX);
			conf_where_back(l, back);
		}
		return;
	}
	conf->groups = conf_loader_get(l, sizeof(*conf->groups));
	if (conf->groups) {
		conf->groups[0].name = "local";
		conf->groups[0].home = conf->controller_count ? conf->controllers[0].id : 1;
		conf->groups[0].failback = CONF_FAILBACK_MANUAL;
		conf->groups[0].failback_delay_s = 60;
		conf->group_count = 1;
	}
}

/* What a type needs and what it has no use for. */
static const struct {
	enum extent_type type;
	const char *name;
	const char *key;
	bool needed; /* else: not allowed */
} extent_rules[] = {
	{EXTENT_FILE, "file", "path", true},
	{EXTENT_BLOCK, "block", "path", true},
	{EXTENT_BLOCK, "block", "size", false},
	{EXTENT_RAM, "ram", "path", false},
	{EXTENT_RAM, "ram", "size", true},
};

static void check_extent_type(
	struct conf_loader *l, const struct conf_extent *e, const struct conf_node *item)
{
	if (!value_is_good(item, "type")) {
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(extent_rules); i++) {
		const char *key = extent_rules[i].key, *type = extent_rules[i].name;
		bool given = conf_node_get(item, key);

		if (e->type != extent_rules[i].type || given == extent_rules[i].needed) {
			continue;
		}
		if (given) {
			complain_key(l, "extents", e->name, item, key,
				"is of no use to type %s; remove it", type);
		} else {
			complain_key(l, "extents", e->name, item, key,
				"is missing; type %s needs it", type);
		}
	}
	if (l->clustered && e->type == EXTENT_RAM) {
		complain_key(l, "extents", e->name, item, "type",
			"ram is at one controller only; allowed with a cluster: file or block");
	}
}

static void check_extent_sizes(
	struct conf_loader *l, struct conf_extent *e, const struct conf_node *item)
{
	uint32_t physical = e->physical_block_size;

	if (!conf_node_get(item, "physical_block_size")) {
		e->physical_block_size = physical = 4096;
	}
	if (!e->block_size || !physical) {
		return;
	}
	if (e->size_bytes % e->block_size) {
		complain_key(l, "extents", e->name, item, "size",
			"is not a multiple of block_size; allowed: multiples of %u", e->block_size);
	}
	if ((physical & (physical - 1)) || physical < e->block_size) {
		complain_key(l, "extents", e->name, item, "physical_block_size",
			"%u is no power of two or less than block_size; allowed: powers of two "
			"from %u "
			"to 65536",
			physical, e->block_size);
	}
	if (e->lowest_aligned_lba >= physical / e->block_size && e->lowest_aligned_lba) {
		complain_key(l, "extents", e->name, item, "lowest_aligned_lba",
			"%u is not inside the first physical block; allowed: 0 to %u",
			e->lowest_aligned_lba,
			physical < e->block_size ? 0 : physical / e->block_size - 1);
	}
	if (e->rotation_rpm > 1 && e->rotation_rpm < 1025) {
		complain_key(l, "extents", e->name, item, "rotation_rpm",
			"%u has no meaning; allowed: 0, 1, 1025 to 65534", e->rotation_rpm);
	}
	e->rotational_known = e->rotation_rpm != 0;
}

/*
 * Without a cluster name the scope is the name of the first target that has the extent, which is
 * world-wide unique: two single targets with an extent "disk1" each must not present one and the
 * same disk to a host. By extent; NULL for those without a target.
 */
static const char **extent_scopes(struct conf_loader *l)
{
	const struct conf *conf = l->conf;
	const char **scopes = conf_loader_get(l, (conf->extent_count + 1u) * sizeof(*scopes));

	for (unsigned t = 0; scopes && t < conf->target_count; t++) {
		for (unsigned i = 0; i < conf->targets[t].lun_count; i++) {
			unsigned extent = conf->targets[t].luns[i].extent;

			if (extent < conf->extent_count && !scopes[extent]) {
				scopes[extent] = conf->targets[t].name;
			}
		}
	}
	return scopes;
}

static void check_extent_identity(struct conf_loader *l, struct conf_extent *e, const char *scope,
	const struct conf_node *item)
{
	char text[37], serial[33];
	unsigned n = 0;

	if (!e->name) {
		return;
	}
	if (!conf_node_get(item, "uuid") && !conf_uuid_derive(l->conf->cluster ? l->conf->cluster
							      : scope	       ? scope
									       : "local",
						    e->name, e->uuid)) {
		complain_key(l, "extents", e->name, item, "uuid",
			"cannot be derived, SHA-1 is not available; give a uuid");
	}
	if (e->serial) {
		return;
	}
	conf_uuid_format(e->uuid, text);
	for (const char *p = text; *p; p++) {
		if (*p != '-') {
			serial[n++] = *p;
		}
	}
	serial[n] = '\0';
	e->serial = conf_arena_copy(l->arena, serial, n);
	l->out_of_memory |= !e->serial;
}

static bool amount_given(const struct conf_amount *amount)
{
	return amount->bytes || amount->percent;
}

/* Thresholds are for stores that allocate as they are written, and can tell how much. */
static void check_thresholds(
	struct conf_loader *l, const struct conf_extent *e, const struct conf_node *item)
{
	const struct {
		const char *key;
		const struct conf_amount *amount;
		bool fits;
	} rows[] = {
		{"threshold_used", &e->threshold_used, e->type != EXTENT_BLOCK},
		{"threshold_available", &e->threshold_available, e->type == EXTENT_FILE},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!amount_given(rows[i].amount) || !value_is_good(item, "type")) {
			continue;
		}
		if (!rows[i].fits) {
			complain_key(l, "extents", e->name, item, rows[i].key,
				"is of no use to type %s, whose store does not tell; remove it",
				e->type == EXTENT_RAM ? "ram" : "block");
		} else if (!e->thin) {
			complain_key(l, "extents", e->name, item, rows[i].key,
				"is given, but thin is no; allowed: with thin: yes");
		}
	}
	if (e->size_bytes && e->threshold_used.bytes >= e->size_bytes) {
		complain_key(l, "extents", e->name, item, "threshold_used",
			"is not less than size and would never be reached");
	}
}

static void check_extents(struct conf_loader *l, const struct conf_node *root)
{
	const char **scopes = extent_scopes(l);
	struct walk w = walk_list(root, "extents");
	struct conf *conf = l->conf;

	for (; scopes && w.item && w.i < conf->extent_count; w.item = w.item->next, w.i++) {
		struct conf_extent *e = &conf->extents[w.i];

		if (w.item->type != CONF_NODE_MAP) {
			continue;
		}
		check_extent_type(l, e, w.item);
		check_extent_sizes(l, e, w.item);
		check_thresholds(l, e, w.item);
		check_extent_identity(l, e, scopes[w.i], w.item);
		if (!conf_node_get(w.item, "group") && conf->group_count > 1) {
			complain_key(l, "extents", e->name, w.item, "group",
				"is missing; there are several groups, name one");
		}
	}
}

static int lun_compare(const void *a, const void *b)
{
	const struct conf_lun *x = a, *y = b;

	return (x->lun > y->lun) - (x->lun < y->lun);
}

static void check_targets(struct conf_loader *l)
{
	for (unsigned t = 0; t < l->conf->target_count; t++) {
		struct conf_target *target = &l->conf->targets[t];

		if (target->lun_count) {
			qsort(target->luns, target->lun_count, sizeof(*target->luns), lun_compare);
		}
	}
}

/* A policy and its users in an object of `list`: whoever has to prove something can. */
struct check_auth {
	const char *list;
	const char *name; /* of the object; NULL */
	const struct conf_node *item;
	const char *method_key, *users_key;
	enum conf_auth method;
	unsigned users;
};

static void check_auth(struct conf_loader *l, const struct check_auth *a)
{
	const struct conf_node *method = conf_node_get(a->item, a->method_key);
	const struct conf_node *users = conf_node_get(a->item, a->users_key);

	if (method && method->bad) {
		return;
	}
	if (a->method == CONF_AUTH_NONE) {
		if (users && a->users) {
			complain_key(l, a->list, a->name, a->item, a->users_key,
				"is given, but nobody has to authenticate; set %s to chap or "
				"mutual, or remove it",
				a->method_key);
		}
		return;
	}
	if (!a->users && (!users || users->type == CONF_NODE_LIST)) {
		complain_key(l, a->list, a->name, a->item, a->users_key,
			"is missing; name the users that may authenticate");
	}
	if (!l->conf->secrets_path) {
		complain_key(l, a->list, a->name, a->item, a->method_key,
			"needs a file with secrets; name it with `secrets` under `settings`");
	}
}

static void check_initiator_groups(struct conf_loader *l, const struct conf_node *root)
{
	struct walk w = walk_list(root, "initiator_groups");

	for (; w.item && w.i < l->conf->initiator_group_count; w.item = w.item->next, w.i++) {
		const struct conf_initiator_group *group = &l->conf->initiator_groups[w.i];
		struct check_auth auth = {"initiator_groups", group->name, w.item, "auth", "users",
			group->auth, group->user_count};

		if (w.item->type == CONF_NODE_MAP) {
			check_auth(l, &auth);
		}
	}
}

static void check_iscsi(struct conf_loader *l, const struct conf_node *root)
{
	const struct conf_iscsi *iscsi = &l->conf->iscsi;
	const struct conf_node *node = conf_node_get(root, "iscsi");

	/* Zero: the value was refused and has been complained about. */
	if (node && iscsi->max_burst_bytes && iscsi->first_burst_bytes > iscsi->max_burst_bytes) {
		complain_key(l, "iscsi", NULL, node, "first_burst",
			"is larger than max_burst; allowed: at most %u bytes",
			iscsi->max_burst_bytes);
	}
	if (node && node->type == CONF_NODE_MAP) {
		struct check_auth auth = {"iscsi", NULL, node, "discovery_auth", "discovery_users",
			iscsi->discovery_auth, iscsi->discovery_user_count};

		check_auth(l, &auth);
	}
}

void conf_check(struct conf_loader *l, const struct conf_node *root)
{
	if (root->type != CONF_NODE_MAP) {
		return;
	}
	check_controllers(l, root);
	check_groups(l, root);
	check_extents(l, root);
	check_targets(l);
	check_initiator_groups(l, root);
	check_iscsi(l, root);
}
