/* SPDX-License-Identifier: BSD-3-Clause */
#include "yoke/reload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yoke/log.h"
#include "yoke/util.h"

#define CONF_NAME_MAX	 64 /* of an extent, with its NUL */
#define SECRETS_LIMIT_MS 1500 /* the control thread waits: less than the lease of the reactors */
#define RELOAD_WHY_BYTES 8192 /* every complaint, cut when there are very many */

struct reload {
	struct reload_setup setup;
	struct ha *ha;
	const struct conf *conf; /* that runs */
	struct conf *own; /* the same when it came by a reload */
	struct conf *next; /* prepared */
	struct conf_secrets *secrets; /* in use */
	struct conf_secrets *next_secrets; /* prepared with `next`, if secrets_read */
	bool secrets_read; /* else they stay */
	bool staged; /* and the file that says so stands beside yoke.yaml */
	struct scsi_change *change;
	struct conf *retired; /* was in use until a moment ago */
	struct conf_secrets *retired_secrets;
	unsigned users; /* parts that may still use them */
	uint8_t wanted[32];
	bool job_added;
};

/* ----- texts ---------------------------------------------------------------------------------- */

static void why_add(char *why, size_t size, const char *fmt, ...) YOKE_PRINTF(3, 4);

static void why_add(char *why, size_t size, const char *fmt, ...)
{
	size_t length = strlen(why);
	va_list args;

	if (length && length + 1 < size) {
		why[length++] = '\n';
		why[length] = '\0';
	}
	va_start(args, fmt);
	vsnprintf(why + length, size - length, fmt, args);
	va_end(args);
}

static void change_text(const struct conf_change *change, char *out, size_t size)
{
	if (change->kind == CONF_CHANGED) {
		snprintf(out, size, "%s: changed from \"%s\" to \"%s\"", change->where,
			change->from, change->to);
	} else {
		snprintf(out, size, "%s: %s", change->where, conf_change_kind_name(change->kind));
	}
}

/* ----- checking ------------------------------------------------------------------------------- */

/* Places in these lists are numbers that others have: RTPIs, group indexes. */
static bool order_kept(const struct conf *from, const struct conf *to)
{
	bool kept = from->group_count == to->group_count &&
		    from->controller_count == to->controller_count;

	for (unsigned i = 0; kept && i < from->group_count; i++) {
		kept = strcmp(from->groups[i].name, to->groups[i].name) == 0;
	}
	for (unsigned i = 0; kept && i < from->controller_count; i++) {
		kept = from->controllers[i].id == to->controllers[i].id;
	}
	return kept;
}

/* What may not change online; how many changes there are at all, -1 when out of memory. */
static int changes_check(
	const struct reload *reload, const struct conf *conf, char *why, size_t size, bool tell)
{
	struct conf_change *changes;
	char text[CONF_CHANGE_WHERE + 300];
	int count = 0;

	if (conf_diff(reload->conf, conf, &changes) < 0) {
		why_add(why, size, "out of memory");
		return -1;
	}
	for (const struct conf_change *c = changes; c; c = c->next, count++) {
		change_text(c, text, sizeof(text));
		if (!c->online) {
			why_add(why, size, "%s, which a reload cannot do; %s", text, c->remedy);
		} else if (tell) {
			log_notice("configuration: %s", text);
		}
	}
	conf_changes_free(changes);
	return count;
}

/* "resize NAME BYTES", as the other controller may send it. */
struct edit {
	char extent[CONF_NAME_MAX];
	uint64_t bytes;
};

static bool edit_parse(const char *text, struct edit *edit)
{
	static const char verb[] = "resize ";
	const char *name = text + sizeof(verb) - 1, *blank;
	char *end;

	if (strncmp(text, verb, sizeof(verb) - 1) != 0) {
		return false;
	}
	blank = strchr(name, ' ');
	if (!blank || blank == name || (size_t)(blank - name) >= sizeof(edit->extent) ||
		blank[1] < '0' || blank[1] > '9') {
		return false;
	}
	memcpy(edit->extent, name, (size_t)(blank - name));
	edit->extent[blank - name] = '\0';
	edit->bytes = strtoull(blank + 1, &end, 10);
	return *end == '\0';
}

/* Does the configuration give the extent's size, so that it has to be changed there? */
static bool size_is_given(const struct conf *conf, const char *extent)
{
	for (unsigned i = 0; i < conf->extent_count; i++) {
		if (strcmp(conf->extents[i].name, extent) == 0) {
			return conf->extents[i].size_bytes != 0;
		}
	}
	return false;
}

/*
 * The file's text after the edit; NULL with the reason. Nothing else in it may be other than what
 * runs: that would be put in place together with the size.
 */
static char *file_edit(const struct reload *reload, const struct edit *edit, char *why, size_t size)
{
	const char *path = reload->conf->path;
	cleanup_free char *text = conf_file_text(path);
	struct conf_error *errors = NULL;
	struct conf *conf = text ? conf_parse(text, strlen(text), path, &errors) : NULL;
	bool same = conf && memcmp(conf->digest, reload->conf->digest, 32) == 0;
	char *edited = NULL;

	if (!same) {
		snprintf(why, size,
			"%s is not what runs; put it in place first (yokectl config reload)", path);
	} else if (!size_is_given(conf, edit->extent)) {
		edited = strdup(text);
	} else {
		edited = conf_text_resize(text, edit->extent, edit->bytes);
		if (!edited) {
			snprintf(why, size,
				"the size of extent %s cannot be changed in %s; change it by hand "
				"and use yokectl config reload",
				edit->extent, path);
		}
	}
	conf_errors_free(errors);
	conf_free(conf);
	return edited;
}

/* The file as it is now, or as `edit` makes it. */
static struct conf *edited_load(const struct reload *reload, const struct edit *edit,
	struct conf_error **errors, char *why, size_t size)
{
	cleanup_free char *text = edit ? file_edit(reload, edit, why, size) : NULL;

	*errors = NULL;
	if (!edit) {
		return conf_load(reload->conf->path, errors);
	}
	return text ? conf_parse(text, strlen(text), reload->conf->path, errors) : NULL;
}

static void why_errors(char *why, size_t size, struct conf_error *errors)
{
	for (const struct conf_error *e = errors; e; e = e->next) {
		why_add(why, size, "%s", e->text);
	}
	conf_errors_free(errors);
}

/* The file as it is to be, if it may be put in place: NULL with every reason why not. */
static struct conf *file_load(
	const struct reload *reload, const struct edit *edit, char *why, size_t size)
{
	struct conf_error *errors;
	struct conf *conf;

	why[0] = '\0';
	conf = edited_load(reload, edit, &errors, why, size);
	if (!conf) {
		why_errors(why, size, errors);
		return NULL;
	}
	changes_check(reload, conf, why, size, false);
	if (!order_kept(reload->conf, conf) && !why[0]) {
		why_add(why, size,
			"the order of groups or controllers has changed, which a reload cannot "
			"do; put them back into their order");
	}
	if (why[0]) {
		conf_free(conf);
		return NULL;
	}
	return conf;
}

/* The secrets that this configuration needs, NULL when it needs none; false with every reason. */
static bool secrets_load(
	const struct conf *conf, struct conf_secrets **secrets, char *why, size_t size)
{
	struct conf_error *errors;

	*secrets = NULL;
	if (!conf->secrets_path) {
		return true;
	}
	*secrets = conf_secrets_load(conf, SECRETS_LIMIT_MS, &errors);
	if (!*secrets) {
		why_errors(why, size, errors);
	}
	return *secrets != NULL;
}

/* ----- preparing, putting in place ------------------------------------------------------------ */

static void reload_drop(void *arg)
{
	struct reload *reload = arg;

	scsi_change_drop(reload->change);
	conf_free(reload->next);
	conf_secrets_free(reload->next_secrets);
	reload->change = NULL;
	reload->next = NULL;
	reload->next_secrets = NULL;
	if (reload->staged) {
		conf_file_unstage(reload->conf->path);
		reload->staged = false;
	}
}

/* What an edit needs beyond the change of the configuration. */
static bool edit_prepare(struct reload *reload, const struct edit *edit, char *why, size_t size)
{
	cleanup_free char *text = NULL;
	int err;

	if (!size_is_given(reload->next, edit->extent)) {
		return scsi_change_grow(reload->change, edit->extent, edit->bytes, why, size);
	}
	text = file_edit(reload, edit, why, size);
	err = text ? conf_file_stage(reload->conf->path, text) : -EINVAL;
	if (text && err) {
		snprintf(why, size,
			"%s cannot be written: %s; change the size there by hand and use yokectl "
			"config reload",
			reload->conf->path, strerror(-err));
	}
	reload->staged = !err;
	return !err;
}

/* `digest`: of the file that is meant; NULL: whatever it is. `edit` may be NULL. */
static bool prepare(struct reload *reload, const uint8_t *digest, const struct edit *edit,
	char *why, size_t size)
{
	if (reload->next || reload->users) {
		snprintf(why, size, "another change is not over yet; try again in a moment");
		return false;
	}
	reload->next = file_load(reload, edit, why, size);
	if (!reload->next) {
		return false;
	}
	reload->secrets_read = !edit; /* an edit changes nothing else */
	if (digest && memcmp(digest, reload->next->digest, 32) != 0) {
		snprintf(why, size,
			"%s is another one here; copy the new one to both controllers first",
			reload->conf->path);
	} else if (edit || secrets_load(reload->next, &reload->next_secrets, why, size)) {
		reload->change = scsi_change_new(reload->setup.scsi, reload->next, why, size);
	}
	if (!reload->change || (edit && !edit_prepare(reload, edit, why, size))) {
		reload_drop(reload);
		return false;
	}
	return true;
}

static void unused(void *arg)
{
	struct reload *reload = arg;

	if (--reload->users == 0) {
		conf_free(reload->retired);
		conf_secrets_free(reload->retired_secrets);
		reload->retired = NULL;
		reload->retired_secrets = NULL;
		log_notice("configuration: the change is complete");
		if (reload->ha) {
			ha_conf_done(reload->ha);
		}
	}
}

static void secrets_activate(struct reload *reload, const struct conf *conf)
{
	if (!reload->secrets_read) {
		return;
	}
	if (reload->next_secrets && !conf_secrets_equal(reload->secrets, reload->next_secrets)) {
		log_notice("configuration: %s has changed: it counts for logins from now on, "
			   "sessions go on",
			conf->secrets_path);
	}
	reload->retired_secrets = reload->secrets;
	reload->secrets = reload->next_secrets;
	reload->next_secrets = NULL;
}

static void reload_activate(void *arg)
{
	struct reload *reload = arg;
	struct conf *next = reload->next;
	char why[RELOAD_WHY_BYTES] = "";

	changes_check(reload, next, why, sizeof(why), true);
	if (reload->staged) {
		int err = conf_file_commit(next->path);

		reload->staged = false;
		if (err) {
			log_err("configuration: %s cannot be replaced: %s; a start would find the "
				"old size: write the new one there",
				next->path, strerror(-err));
		}
	}
	log_notice("configuration: %s is in place, digest %02x%02x%02x%02x", next->path,
		next->digest[0], next->digest[1], next->digest[2], next->digest[3]);
	reload->users = 2;
	reload->retired = reload->own;
	reload->own = next;
	reload->conf = next;
	reload->next = NULL;
	secrets_activate(reload, next);
	scsi_change_apply(reload->change, unused, reload);
	reload->change = NULL;
	if (reload->setup.ship) {
		ship_conf_set(reload->setup.ship, next);
	}
	reload->setup.changed(reload->setup.arg, next); /* the cluster layer counts the LUs anew */
	iscsi_conf_set(reload->setup.iscsi, next, reload->secrets, unused, reload);
}

/* ----- the administrator ---------------------------------------------------------------------- */

/*
 * Is there nothing to do? In a cluster the other controller's secrets may be other ones although
 * these are not: so it is asked whenever there are any.
 */
static bool is_what_runs(
	const struct reload *reload, const struct conf *conf, const struct conf_secrets *secrets)
{
	return memcmp(conf->digest, reload->conf->digest, sizeof(conf->digest)) == 0 &&
	       conf_secrets_equal(secrets, reload->secrets) && !(reload->ha && secrets);
}

void reload_request(struct reload *reload, ha_done_fn *done, void *arg)
{
	struct conf_secrets *secrets = NULL;
	char why[RELOAD_WHY_BYTES];
	struct conf *conf;

	if (reload->next || reload->users) {
		done(arg, HA_BUSY, "another change is not over yet; try again in a moment");
		return;
	}
	conf = file_load(reload, NULL, why, sizeof(why));
	if (!conf || !secrets_load(conf, &secrets, why, sizeof(why))) {
		log_warning("configuration: %s is not put in place, nothing has changed: %s",
			reload->conf->path, why);
		done(arg, HA_FAILED, why);
	} else if (is_what_runs(reload, conf, secrets)) {
		done(arg, HA_OK, "nothing to do: the file is what runs");
	} else if (reload->ha) {
		ha_conf_change(reload->ha, conf->digest, "", done, arg);
	} else if (!prepare(reload, NULL, NULL, why, sizeof(why))) {
		log_warning("configuration: nothing has changed: %s", why);
		done(arg, HA_FAILED, why);
	} else {
		reload_activate(reload);
		done(arg, HA_OK, "in place");
	}
	conf_secrets_free(secrets);
	conf_free(conf);
}

enum resize {
	RESIZE_GO,
	RESIZE_NOTHING, /* it is so large */
	RESIZE_REFUSED
};

/* The size that is asked for, or that the store has; else why there is nothing to be done. */
static enum resize resize_bytes(const struct reload *reload, const char *extent, const char *text,
	uint64_t *bytes, char *why, size_t size)
{
	uint64_t now, store;
	char problem[128] = "";

	if (!scsi_lu_measure(reload->setup.scsi, extent, &now, &store)) {
		snprintf(why, size, "there is no extent %s", extent);
		return RESIZE_REFUSED;
	}
	*bytes = store;
	if (text && !conf_size_parse(text, bytes, problem, sizeof(problem))) {
		snprintf(why, size, "%s %s; a size is a number with a unit, such as 20GiB", text,
			problem);
		return RESIZE_REFUSED;
	}
	if (*bytes == now) {
		snprintf(why, size, "nothing to do: extent %s has %llu bytes", extent,
			(unsigned long long)now);
		return RESIZE_NOTHING;
	}
	if (*bytes < now) {
		snprintf(why, size,
			"extent %s has %llu bytes, and an LU never shrinks: hosts would lose what "
			"is "
			"behind its new end. Make a new, smaller extent and copy what is to stay",
			extent, (unsigned long long)now);
		return RESIZE_REFUSED;
	}
	return RESIZE_GO;
}

void reload_resize(
	struct reload *reload, const char *extent, const char *size, ha_done_fn *done, void *arg)
{
	char why[RELOAD_WHY_BYTES] = "", text[CONF_NAME_MAX + 40];
	struct edit edit = {.bytes = 0};
	enum resize resize;
	struct conf *conf;

	if (reload->next || reload->users) {
		done(arg, HA_BUSY, "another change is not over yet; try again in a moment");
		return;
	}
	resize = resize_bytes(reload, extent, size, &edit.bytes, why, sizeof(why));
	if (resize != RESIZE_GO) {
		done(arg, resize == RESIZE_NOTHING ? HA_OK : HA_FAILED, why);
		return;
	}
	snprintf(edit.extent, sizeof(edit.extent), "%s", extent);
	snprintf(text, sizeof(text), "resize %s %llu", extent, (unsigned long long)edit.bytes);
	conf = file_load(reload, &edit, why, sizeof(why));
	if (!conf) {
		done(arg, HA_FAILED, why);
	} else if (reload->ha) {
		ha_conf_change(reload->ha, conf->digest, text, done, arg);
	} else if (!prepare(reload, NULL, &edit, why, sizeof(why))) {
		done(arg, HA_FAILED, why);
	} else {
		reload_activate(reload);
		done(arg, HA_OK, "in place");
	}
	conf_free(conf);
}

/* ----- the cluster ---------------------------------------------------------------------------- */

static bool reload_prepare(
	void *arg, const uint8_t digest[32], const char *text, char *why, size_t size)
{
	struct reload *reload = arg;
	struct edit edit;

	if (text[0] && !edit_parse(text, &edit)) {
		snprintf(why, size, "the change that is asked for is not known here: %s", text);
		return false;
	}
	if (!text[0] && memcmp(digest, reload->conf->digest, 32) == 0 &&
		!reload->conf->secrets_path) {
		snprintf(why, size, "it is in place here already");
		return false;
	}
	return prepare(reload, digest, text[0] ? &edit : NULL, why, size);
}

/* Out of the state machine's hands: not inside its call. */
static void catch_up(void *data)
{
	struct reload *reload = data;
	char why[RELOAD_WHY_BYTES];

	reload->job_added = false;
	if (memcmp(reload->wanted, reload->conf->digest, 32) == 0) {
		return;
	}
	if (prepare(reload, reload->wanted, NULL, why, sizeof(why))) {
		log_notice("configuration: the other controller runs what %s says here, too: "
			   "going over to it",
			reload->conf->path);
		reload_activate(reload);
	} else {
		log_warning(
			"configuration: cannot go over to that of the other controller: %s", why);
	}
}

static void reload_wanted(void *arg, const uint8_t digest[32])
{
	struct reload *reload = arg;

	memcpy(reload->wanted, digest, sizeof(reload->wanted));
	if (!reload->job_added) {
		reload->job_added =
			qb_loop_job_add(reload->setup.loop, QB_LOOP_MED, reload, catch_up) == 0;
	}
}

const struct ha_conf_ops *reload_ha_ops(void)
{
	static const struct ha_conf_ops ops = {
		.prepare = reload_prepare,
		.activate = reload_activate,
		.drop = reload_drop,
		.wanted = reload_wanted,
	};

	return &ops;
}

void reload_ha_set(struct reload *reload, struct ha *ha)
{
	reload->ha = ha;
}

struct reload *reload_new(const struct reload_setup *setup)
{
	struct reload *reload = calloc(1, sizeof(*reload));

	if (reload) {
		reload->setup = *setup;
		reload->conf = setup->conf;
		reload->secrets = setup->secrets;
	}
	return reload;
}

void reload_stop(struct reload *reload)
{
	if (!reload) {
		return;
	}
	if (reload->job_added) {
		qb_loop_job_del(reload->setup.loop, QB_LOOP_MED, reload, catch_up);
		reload->job_added = false;
	}
	reload_drop(reload);
}

void reload_free(struct reload *reload)
{
	if (!reload) {
		return;
	}
	conf_free(reload->retired);
	conf_free(reload->own);
	conf_secrets_free(reload->retired_secrets);
	conf_secrets_free(reload->secrets);
	free(reload);
}
