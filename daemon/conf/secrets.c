// SPDX-License-Identifier: BSD-3-Clause
/* The secrets file: CHAP names and secrets, kept out of the configuration, of logs and of cores. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "loader.h"

#define SECRETS_USERS_MAX  4096u
#define SECRETS_FILE_MAX   (CONF_BYTES_MAX + 1) /* one more than is accepted */
#define SECRETS_SPACE	   (16u << 20) /* address space of the result; only what is used counts */
#define SECRETS_ERRORS_MAX 32u
#define SECRETS_REMEDY	   "make it with: install -m 600 /dev/null FILE"

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

static void check_policies(
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
			if (!l.error_count) {
				check_policies(&l, secrets, conf);
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

/* --- the file --- */

/* The whole file; a negative errno with a message. */
static ssize_t secrets_read(const char *path, char *text, size_t size, char *why, size_t why_size)
{
	int fd cleanup_close = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t used = 0;
	struct stat st;
	ssize_t n = 0;

	if (fd < 0 || fstat(fd, &st) < 0) {
		snprintf(why, why_size, "cannot be read: %s; " SECRETS_REMEDY, strerror(errno));
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(why, why_size, "is not a regular file; " SECRETS_REMEDY);
		return -1;
	}
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		snprintf(why, why_size,
			"belongs to user %u; it must belong to root: chown root %.120s",
			(unsigned)st.st_uid, path);
		return -1;
	}
	if (st.st_mode & (S_IRWXG | S_IRWXO)) {
		snprintf(why, why_size,
			"others than its owner have access (mode %04o); chmod 600 %.120s, and "
			"change the secrets if they may have been read",
			(unsigned)(st.st_mode & 07777), path);
		return -1;
	}
	while (used < size && (n = read(fd, text + used, size - used)) != 0) {
		if (n < 0 && errno != EINTR) {
			snprintf(why, why_size, "cannot be read: %s", strerror(errno));
			return -1;
		}
		used += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)used;
}

/* What the parsing process leaves behind, at the same address in both: pointers stay good. */
struct secrets_space {
	struct conf_secrets secrets;
	bool ended; /* the process has done its work */
	bool good;
	unsigned error_count;
	struct conf_error errors[SECRETS_ERRORS_MAX];
	size_t used; /* of bytes */
	char bytes[];
};

static void *space_get(struct secrets_space *space, size_t bytes)
{
	size_t need = (bytes + 15) & ~(size_t)15;

	if (need > SECRETS_SPACE - sizeof(*space) - space->used) {
		return NULL;
	}
	space->used += need;
	return space->bytes + space->used - need;
}

static bool space_copy(struct secrets_space *space, const char *text, const char **copy)
{
	size_t size = text ? strlen(text) + 1 : 0;
	char *to = text ? space_get(space, size) : NULL;

	*copy = to;
	if (to) {
		memcpy(to, text, size);
	}
	return !text || to;
}

static bool space_fill(struct secrets_space *space, const struct conf_secrets *from)
{
	bool ok = true;

	/* The list is aligned: it comes first. */
	space->secrets.users = space_get(space, from->user_count * sizeof(*from->users));
	for (unsigned i = 0; ok && space->secrets.users && i < from->user_count; i++) {
		struct conf_user *to = &space->secrets.users[i];

		ok = space_copy(space, from->users[i].name, &to->name) &&
		     space_copy(space, from->users[i].secret, &to->secret) &&
		     space_copy(space, from->users[i].peer_name, &to->peer_name) &&
		     space_copy(space, from->users[i].peer_secret, &to->peer_secret);
		space->secrets.user_count = i + 1;
	}
	return ok && space->secrets.users;
}

/* In the process that parses: its heap goes with it. */
static void secrets_child(struct secrets_space *space, const struct conf *conf)
{
	struct conf_error *errors = NULL, whole = {0};
	struct conf_secrets *secrets = NULL;
	char *text = malloc(SECRETS_FILE_MAX);
	char why[400] = "out of memory";
	ssize_t length =
		text ? secrets_read(conf->secrets_path, text, SECRETS_FILE_MAX, why, sizeof(why))
		     : -1;

	if (length >= 0) {
		secrets =
			conf_secrets_parse(conf, text, (size_t)length, conf->secrets_path, &errors);
	} else {
		snprintf(whole.text, sizeof(whole.text), "%.120s: %.380s", conf->secrets_path, why);
		errors = &whole;
	}
	for (; errors && space->error_count < SECRETS_ERRORS_MAX; errors = errors->next) {
		memcpy(space->errors[space->error_count++].text, errors->text,
			sizeof(errors->text));
	}
	space->good = secrets && space_fill(space, secrets);
}

static void errors_add(struct conf_error **errors, const char *text)
{
	struct conf_error *error = calloc(1, sizeof(*error));

	while (*errors) {
		errors = &(*errors)->next;
	}
	if (error) {
		snprintf(error->text, sizeof(error->text), "%s", text);
		*errors = error;
	}
}

static void secrets_parse_apart(struct secrets_space *space, const struct conf *conf)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		secrets_child(space, conf);
		space->ended = true;
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
}

struct conf_secrets *conf_secrets_load(const struct conf *conf, struct conf_error **errors)
{
	struct secrets_space *space = mmap(NULL, SECRETS_SPACE, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char text[256];

	*errors = NULL;
	if (space == MAP_FAILED || madvise(space, SECRETS_SPACE, MADV_DONTDUMP) < 0) {
		snprintf(text, sizeof(text), "%.120s: no memory for it: %s", conf->secrets_path,
			strerror(errno));
		errors_add(errors, text);
		if (space != MAP_FAILED) {
			munmap(space, SECRETS_SPACE);
		}
		return NULL;
	}
	secrets_parse_apart(space, conf);
	madvise(space, SECRETS_SPACE, MADV_DONTFORK);
	space->secrets.memory = space;
	space->secrets.memory_bytes = SECRETS_SPACE;
	if (space->ended && space->good) {
		mprotect(space, SECRETS_SPACE, PROT_READ);
		return &space->secrets;
	}
	for (unsigned i = 0; space->ended && i < space->error_count; i++) {
		errors_add(errors, space->errors[i].text);
	}
	if (!*errors) {
		snprintf(text, sizeof(text), "%.120s: could not be parsed: out of memory",
			conf->secrets_path);
		errors_add(errors, text);
	}
	conf_secrets_free(&space->secrets);
	return NULL;
}

void conf_secrets_free(struct conf_secrets *secrets)
{
	if (!secrets) {
		return;
	}
	if (!secrets->memory_bytes) {
		conf_arena_free(secrets->memory);
		return;
	}
	struct secrets_space *space = secrets->memory;

	mprotect(space, SECRETS_SPACE, PROT_READ | PROT_WRITE);
	explicit_bzero(space->bytes, space->used);
	munmap(space, SECRETS_SPACE);
}
