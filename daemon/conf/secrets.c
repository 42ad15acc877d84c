// SPDX-License-Identifier: BSD-3-Clause
/* The secrets file: its keys, its rules, and what the configuration wants of it. */
#include "secrets.h"

#include <stdio.h>
#include <string.h>

static const struct conf_key keys_user[] = {
	{
		.name = "name",
		.type = CONF_TYPE_TEXT,
		.offset = offsetof(struct conf_user, name),
		.size = sizeof(char *),
		.flags = CONF_REQUIRED | CONF_UNIQUE,
		.min = 1,
		.max = 255,
		.help = "The name that the initiator gives (CHAP_N); many give their iSCSI name.",
	},
	{
		.name = "secret",
		.type = CONF_TYPE_SECRET,
		.offset = offsetof(struct conf_user, secret),
		.size = sizeof(char *),
		.flags = CONF_REQUIRED,
		.min = 12,
		.max = 255,
		.help = "The secret that proves it. Windows takes 12 to 16 characters.",
	},
	{
		.name = "peer_name",
		.type = CONF_TYPE_TEXT,
		.offset = offsetof(struct conf_user, peer_name),
		.size = sizeof(char *),
		.min = 1,
		.max = 255,
		.help = "With mutual CHAP: the name that the target gives.",
	},
	{
		.name = "peer_secret",
		.type = CONF_TYPE_SECRET,
		.offset = offsetof(struct conf_user, peer_secret),
		.size = sizeof(char *),
		.min = 12,
		.max = 255,
		.help = "With mutual CHAP: the secret that proves the target. It differs from the "
			"secrets of all users.",
	},
};

static const struct conf_section section_user = {
	.name = "secrets file: users",
	.keys = keys_user,
	.key_count = ARRAY_SIZE(keys_user),
	.label = "name",
	.help = "Who authenticates, and how.",
};

static const struct conf_key keys_secrets[] = {
	{
		.name = "yoke",
		.type = CONF_TYPE_VERSION,
		.flags = CONF_REQUIRED,
		.min = 1,
		.max = 1,
		.help = "Version of this format.",
	},
	{
		.name = "users",
		.type = CONF_TYPE_LIST,
		.offset = offsetof(struct conf_secrets, users),
		.size = sizeof(struct conf_user),
		.count = offsetof(struct conf_secrets, user_count),
		.section = &section_user,
		.items_max = SECRETS_USERS_MAX,
		.help = "The users.",
	},
};

const struct conf_section conf_secrets_schema = {
	.name = "secrets file",
	.keys = keys_secrets,
	.key_count = ARRAY_SIZE(keys_secrets),
	.help = "The file that `secrets` under settings names: YAML as well, mode 0600, read when "
		"the daemon starts.",
};

/* --- rules over several keys --- */

static const struct conf_user *user_find(const struct conf_secrets *secrets, const char *name)
{
	for (unsigned i = 0; i < secrets->user_count; i++) {
		if (secrets->users[i].name && !strcmp(secrets->users[i].name, name)) {
			return &secrets->users[i];
		}
	}
	return NULL;
}

static unsigned user_line(const struct conf_node *root, unsigned index)
{
	const struct conf_node *list = conf_node_get(root, "users"), *item;

	item = list ? list->first : NULL;
	while (item && index-- > 0) {
		item = item->next;
	}
	return item ? item->line : 0;
}

/*
 * RFC 7143 9.2.1: whoever knows a secret of one direction must not be able to answer for the other,
 * whichever user's it is.
 */
static bool secret_is_shared(const struct conf_secrets *secrets, const char *peer_secret)
{
	for (unsigned i = 0; i < secrets->user_count; i++) {
		const char *secret = secrets->users[i].secret;

		if (secret && !strcmp(secret, peer_secret)) {
			return true;
		}
	}
	return false;
}

static void check_users(
	struct conf_loader *l, const struct conf_secrets *secrets, const struct conf_node *root)
{
	for (unsigned i = 0; i < secrets->user_count; i++) {
		const struct conf_user *user = &secrets->users[i];
		size_t back = conf_where_item(l, user->name ? conf_quote(user->name).text : "?");

		if (!user->peer_name != !user->peer_secret) {
			conf_complain(l, user_line(root, i),
				"peer_name and peer_secret go together; give both or none");
		}
		if (user->peer_secret && secret_is_shared(secrets, user->peer_secret)) {
			conf_complain(l, user_line(root, i),
				"peer_secret is the secret of a user, too; allowed: one that is "
				"used nowhere else");
		}
		conf_where_back(l, back);
	}
}

/* Every user that the configuration names is there, with what the policy needs. */
static void check_policy(struct conf_loader *l, const struct conf_secrets *secrets,
	enum conf_auth method, const char **users, unsigned user_count, const char *who)
{
	for (unsigned i = 0; method != CONF_AUTH_NONE && i < user_count; i++) {
		const struct conf_user *user = user_find(secrets, users[i]);

		if (!user) {
			conf_complain(l, 0, "has no user %s, whom %.80s names; add it under users",
				conf_quote(users[i]).text, who);
		} else if (method == CONF_AUTH_MUTUAL && !user->peer_secret) {
			conf_complain(l, 0,
				"user %s has no peer_secret, which the mutual authentication of "
				"%.80s needs",
				conf_quote(users[i]).text, who);
		}
	}
}

void conf_secrets_suit(
	struct conf_loader *l, const struct conf_secrets *secrets, const struct conf *conf)
{
	check_policy(l, secrets, conf->iscsi.discovery_auth, conf->iscsi.discovery_users,
		conf->iscsi.discovery_user_count, "discovery_users");
	for (unsigned i = 0; i < conf->initiator_group_count; i++) {
		const struct conf_initiator_group *group = &conf->initiator_groups[i];
		char who[96];

		snprintf(who, sizeof(who), "initiator group %s", group->name);
		check_policy(l, secrets, group->auth, group->users, group->user_count, who);
	}
}

struct conf_secrets *conf_secrets_parse(const struct conf *conf, const char *text, size_t length,
	const char *name, struct conf_error **errors)
{
	struct conf_arena *nodes = conf_arena_new(), *arena = conf_arena_new();
	struct conf_loader l = {.file = name, .arena = arena, .quiet = true};
	struct conf_secrets *secrets = arena ? conf_arena_get(arena, sizeof(*secrets)) : NULL;
	struct conf_node_error problem;
	struct conf_node *root;

	if (!secrets || !nodes) {
		conf_complain(&l, 0, "out of memory; free some and try again");
	} else {
		secrets->memory = arena;
		root = conf_node_parse(nodes, text, length, &problem);
		if (!root) {
			conf_complain(&l, problem.line, "%s", problem.text);
		} else {
			conf_load_section(&l, &conf_secrets_schema, root, secrets);
			check_users(&l, secrets, root);
			if (!l.error_count && conf) {
				conf_secrets_suit(&l, secrets, conf);
			}
		}
	}
	if (l.out_of_memory && !l.error_count) {
		conf_complain(&l, 0, "out of memory; free some and try again");
	}
	conf_arena_free(nodes);
	*errors = l.errors;
	if (l.error_count) {
		conf_arena_free(arena);
		return NULL;
	}
	return secrets;
}

static bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool conf_secrets_equal(const struct conf_secrets *a, const struct conf_secrets *b)
{
	bool equal = a && b && a->user_count == b->user_count;

	for (unsigned i = 0; equal && i < a->user_count; i++) {
		const struct conf_user *x = &a->users[i], *y = &b->users[i];

		equal = text_equal(x->name, y->name) && text_equal(x->secret, y->secret) &&
			text_equal(x->peer_name, y->peer_name) &&
			text_equal(x->peer_secret, y->peer_secret);
	}
	return equal || (!a && !b);
}
