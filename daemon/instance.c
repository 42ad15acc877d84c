/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order of things. Start: reactors, interconnect, device server, iSCSI server, cluster layer,
 * management interface; the portals open when the cluster's state is known, or at once when there
 * is no cluster. End: groups handed over, portals closed, then everything in reverse.
 */
#include "instance.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include <qb/qbdefs.h>

#include "yoke/control.h"
#include "yoke/ha.h"
#include "yoke/iscsi.h"
#include "yoke/log.h"
#include "yoke/mailbox.h"
#include "yoke/reactor.h"
#include "yoke/scsi.h"
#include "yoke/util.h"

#define INSTANCE_REACTORS_MAX	  64
#define INSTANCE_CLAIM_TIMEOUT_MS 10000
/* Beyond the hand-overs themselves: for hosts that do not close their connections. */
#define INSTANCE_STOP_GRACE_MS 3000

enum instance_state {
	INSTANCE_RUNNING,
	INSTANCE_GROUPS_STOPPING, /* hand-overs under way */
	INSTANCE_PORTALS_STOPPING, /* connections being closed */
	INSTANCE_STOPPED,
};

struct instance {
	const struct conf *conf;
	uint8_t controller;
	qb_loop_t *loop;
	struct mailbox mailbox; /* the control thread's */
	bool mailbox_open;
	struct reactor **reactors;
	unsigned reactor_count, reactors_running;
	struct ship *ship;
	struct scsi *scsi;
	struct iscsi *iscsi;
	struct ha *ha;
	struct control *control;
	enum instance_state state;
	int exit_code;
	unsigned groups_pending; /* hand-overs, claims or releases that have not ended */
	qb_loop_timer_handle stop_timer;
	bool stop_timer_set;
};

/* A call about one group without a cluster. */
struct instance_group {
	struct instance *instance;
	uint16_t group;
};

static void instance_portals_stop(struct instance *in);

/* ----- mail for the control thread ----------------------------------------------------------- */

static int32_t instance_mail(int32_t fd, int32_t revents, void *data)
{
	struct instance *in = data;

	mailbox_awake(&in->mailbox);
	do {
		mailbox_run(&in->mailbox);
	} while (!mailbox_sleep(&in->mailbox));
	return 0;
}

static int instance_mailbox_open(struct instance *in)
{
	int err = mailbox_open(&in->mailbox);

	if (err < 0) {
		return err;
	}
	in->mailbox_open = true;
	err = qb_loop_poll_add(in->loop, QB_LOOP_HIGH, in->mailbox.fd, POLLIN, in, instance_mail);
	/* From now on the control thread counts as asleep but for the moments in instance_mail().
	 */
	while (err == 0 && !mailbox_sleep(&in->mailbox)) {
		mailbox_run(&in->mailbox);
	}
	return err;
}

/* ----- portals ------------------------------------------------------------------------------- */

static void instance_fail(struct instance *in)
{
	in->exit_code = EX_UNAVAILABLE;
	instance_stop(in);
}

static void instance_portals_open(struct instance *in)
{
	char error[256];

	if (in->state != INSTANCE_RUNNING) {
		return;
	}
	if (iscsi_listen(in->iscsi, error, sizeof(error)) < 0) {
		log_err("%s", error);
		instance_fail(in);
		return;
	}
	log_notice("controller %s: portals are open",
		conf_controller_by_id(in->conf, in->controller)->name);
}

/* ----- cluster ------------------------------------------------------------------------------- */

static void instance_ha_ready(void *arg)
{
	instance_portals_open(arg);
}

static void instance_ha_lost(void *arg, const char *reason)
{
	struct instance *in = arg;

	log_err("contact with the cluster is lost: %s; commands are held, the daemon ends", reason);
	in->exit_code = EX_UNAVAILABLE;
	/* There is nobody to hand over to: straight to the portals. */
	if (in->state == INSTANCE_RUNNING || in->state == INSTANCE_GROUPS_STOPPING) {
		instance_portals_stop(in);
	}
}

static unsigned instance_sessions(void *arg)
{
	struct instance *in = arg;

	return iscsi_session_count(in->iscsi);
}

/* ----- groups without a cluster: this controller owns them all ------------------------------- */

static void instance_group_published(void *arg)
{
	struct instance_group *call = arg;
	struct instance *in = call->instance;

	free(call);
	if (--in->groups_pending == 0) {
		instance_portals_open(in);
	}
}

static void instance_group_claimed(void *arg, int err)
{
	struct instance_group *call = arg;
	struct instance *in = call->instance;
	const struct group_serve *serve = scsi_serve(in->scsi);
	struct group_view view = {
		.group = call->group,
		.owner = in->controller,
		.preferred = in->controller,
		.epoch = 1,
		.table = 1,
		.access = GROUP_LOCAL,
	};

	if (err < 0) {
		log_err("group %s: an extent cannot be used: %s; is another daemon using it?",
			in->conf->groups[call->group].name, strerror(-err));
		free(call);
		instance_fail(in);
		return;
	}
	for (unsigned i = 0; i <= YOKE_CONTROLLERS; i++) {
		view.tpg[i] = ALUA_UNAVAILABLE;
	}
	view.tpg[in->controller] = ALUA_OPTIMIZED;
	serve->publish(serve->ctx, &view, instance_group_published, call);
}

static int instance_groups_claim(struct instance *in)
{
	const struct group_serve *serve = scsi_serve(in->scsi);

	in->groups_pending = in->conf->group_count;
	for (unsigned i = 0; i < in->conf->group_count; i++) {
		struct instance_group *call = calloc(1, sizeof(*call));

		if (!call) {
			return -ENOMEM;
		}
		call->instance = in;
		call->group = (uint16_t)i;
		serve->claim(serve->ctx, call->group, 1, INSTANCE_CLAIM_TIMEOUT_MS,
			instance_group_claimed, call);
	}
	return 0;
}

/* ----- start --------------------------------------------------------------------------------- */

static int instance_reactors_new(struct instance *in, char *error, size_t error_size)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned count =
		in->conf->reactors ? in->conf->reactors : (unsigned)(cores > 0 ? cores : 1);

	count = count > INSTANCE_REACTORS_MAX ? INSTANCE_REACTORS_MAX : count;
	in->reactors = calloc(count, sizeof(*in->reactors));
	if (!in->reactors) {
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	for (unsigned i = 0; i < count; i++) {
		const struct reactor_config config = {
			.index = i,
			.buffer_bytes = in->conf->buffer_bytes,
			.spin_us = in->conf->spin_us,
		};

		in->reactors[i] = reactor_new(&config);
		if (!in->reactors[i]) {
			snprintf(error, error_size,
				"reactor %u: the kernel refuses io_uring or epoll; see "
				"kernel.io_uring_disabled and RLIMIT_MEMLOCK",
				i);
			return -ENOMEM;
		}
		in->reactor_count++;
	}
	return 0;
}

static int instance_ship_new(struct instance *in, char *error, size_t error_size)
{
	const struct ship_setup setup = {
		.conf = in->conf,
		.controller = in->controller,
		.control = &in->mailbox,
		.reactors = in->reactors,
		.reactor_count = in->reactor_count,
	};

	in->ship = ship_new(&setup, error, error_size);
	return in->ship ? 0 : -EIO;
}

static int instance_serve_new(struct instance *in, char *error, size_t error_size)
{
	const struct scsi_setup scsi_setup = {
		.conf = in->conf,
		.controller = in->controller,
		.control = &in->mailbox,
		.reactors = in->reactors,
		.reactor_count = in->reactor_count,
		.ship = in->ship ? ship_ops(in->ship) : NULL,
	};
	struct iscsi_setup iscsi_setup = {
		.conf = in->conf,
		.controller = in->controller,
		.control = &in->mailbox,
		.reactors = in->reactors,
		.reactor_count = in->reactor_count,
	};

	in->scsi = scsi_new(&scsi_setup, error, error_size);
	if (!in->scsi) {
		return -EIO;
	}
	if (in->ship) {
		ship_serve_set(in->ship, scsi_serve(in->scsi));
	}
	iscsi_setup.scsi = in->scsi;
	in->iscsi = iscsi_new(&iscsi_setup, error, error_size);
	return in->iscsi ? 0 : -EIO;
}

static int instance_reactors_start(struct instance *in, char *error, size_t error_size)
{
	for (unsigned i = 0; i < in->reactor_count; i++) {
		int err = reactor_start(in->reactors[i]);

		if (err < 0) {
			snprintf(error, error_size, "reactor %u: cannot start its thread: %s", i,
				strerror(-err));
			return err;
		}
		in->reactors_running++;
	}
	return 0;
}

static int instance_ha_new(struct instance *in, char *error, size_t error_size)
{
	const struct ha_setup setup = {
		.conf = in->conf,
		.controller = in->controller,
		.control = &in->mailbox,
		.loop = in->loop,
		.serve = scsi_serve(in->scsi),
		.ship = in->ship,
		.ready = instance_ha_ready,
		.lost = instance_ha_lost,
		.sessions = instance_sessions,
		.arg = in,
	};

	in->ha = ha_new(&setup, error, error_size);
	return in->ha ? 0 : -EIO;
}

static void instance_stop_asked(void *arg)
{
	instance_stop(arg);
}

static int instance_control_new(struct instance *in, char *error, size_t error_size)
{
	const struct control_setup setup = {
		.conf = in->conf,
		.controller = in->controller,
		.loop = in->loop,
		.scsi = in->scsi,
		.iscsi = in->iscsi,
		.ha = in->ha,
		.ship = in->ship,
		.stop = instance_stop_asked,
		.arg = in,
		.started_unix_s = (uint64_t)time(NULL),
	};

	in->control = control_new(&setup, error, error_size);
	return in->control ? 0 : -EIO;
}

/* The parts in their order; stops at the first that fails. */
static int instance_parts_new(struct instance *in, char *error, size_t error_size)
{
	bool clustered = in->conf->cluster != NULL;
	int err = instance_mailbox_open(in);

	if (err < 0) {
		snprintf(error, error_size, "cannot open the control thread's mailbox: %s",
			strerror(-err));
		return err;
	}
	err = instance_reactors_new(in, error, error_size);
	if (err == 0 && clustered) {
		err = instance_ship_new(in, error, error_size);
	}
	if (err == 0) {
		err = instance_serve_new(in, error, error_size);
	}
	if (err == 0) {
		err = instance_reactors_start(in, error, error_size);
	}
	if (err == 0 && clustered) {
		err = ship_listen(in->ship, error, error_size);
	}
	if (err == 0 && clustered) {
		err = instance_ha_new(in, error, error_size);
	}
	if (err == 0) {
		err = instance_control_new(in, error, error_size);
	}
	if (err == 0 && !clustered) {
		err = instance_groups_claim(in);
	}
	return err;
}

struct instance *instance_new(const struct conf *conf, uint8_t controller, qb_loop_t *loop,
	char *error, size_t error_size)
{
	struct instance *in = calloc(1, sizeof(*in));

	snprintf(error, error_size, "out of memory");
	if (!in) {
		return NULL;
	}
	in->conf = conf;
	in->controller = controller;
	in->loop = loop;
	if (instance_parts_new(in, error, error_size) < 0) {
		instance_free(in);
		return NULL;
	}
	return in;
}

/* ----- end ----------------------------------------------------------------------------------- */

static void instance_loop_stop(struct instance *in)
{
	in->state = INSTANCE_STOPPED;
	if (in->stop_timer_set) {
		qb_loop_timer_del(in->loop, in->stop_timer);
		in->stop_timer_set = false;
	}
	qb_loop_stop(in->loop);
}

static void instance_portals_stopped(void *arg)
{
	struct instance *in = arg;

	if (in->state == INSTANCE_PORTALS_STOPPING) {
		instance_loop_stop(in);
	}
}

static void instance_stop_late(void *arg)
{
	struct instance *in = arg;

	in->stop_timer_set = false;
	if (in->state == INSTANCE_GROUPS_STOPPING) {
		log_warning("groups were not handed over in time; the daemon ends all the same");
		instance_portals_stop(in);
	} else {
		log_warning("connections did not close in time; the daemon ends all the same");
		instance_loop_stop(in);
	}
}

static void instance_stop_timer_set(struct instance *in, uint64_t ms)
{
	if (in->stop_timer_set) {
		qb_loop_timer_del(in->loop, in->stop_timer);
	}
	in->stop_timer_set = qb_loop_timer_add(in->loop, QB_LOOP_HIGH, ms * QB_TIME_NS_IN_MSEC, in,
				     instance_stop_late, &in->stop_timer) == 0;
}

static void instance_portals_stop(struct instance *in)
{
	in->state = INSTANCE_PORTALS_STOPPING;
	instance_stop_timer_set(in, INSTANCE_STOP_GRACE_MS);
	iscsi_stop(in->iscsi, instance_portals_stopped, in);
}

static void instance_group_stopped(void *arg, enum ha_result result, const char *message)
{
	struct instance *in = arg;

	if (result != HA_OK) {
		log_warning("a group was not handed over: %s",
			message ? message : ha_result_name(result));
	}
	if (--in->groups_pending == 0 && in->state == INSTANCE_GROUPS_STOPPING) {
		instance_portals_stop(in);
	}
}

void instance_stop(struct instance *in)
{
	if (in->state != INSTANCE_RUNNING) {
		return;
	}
	log_notice("the daemon is ending");
	if (!in->ha) {
		instance_portals_stop(in);
		return;
	}
	in->state = INSTANCE_GROUPS_STOPPING;
	instance_stop_timer_set(in, in->conf->handover_timeout_ms + INSTANCE_STOP_GRACE_MS);
	/* One more than there are: an action may end inside the call. */
	in->groups_pending = in->conf->group_count + 1;
	for (unsigned i = 0; i < in->conf->group_count; i++) {
		ha_group_stop(in->ha, in->conf->groups[i].name, instance_group_stopped, in);
	}
	instance_group_stopped(in, HA_OK, NULL);
}

int instance_exit_code(const struct instance *in)
{
	return in->exit_code;
}

void instance_free(struct instance *in)
{
	if (!in) {
		return;
	}
	/* No reactor runs any more when the parts go. */
	control_free(in->control);
	for (unsigned i = 0; i < in->reactors_running; i++) {
		reactor_stop(in->reactors[i]);
	}
	if (in->ha) {
		ha_free(in->ha);
	}
	if (in->iscsi) {
		iscsi_free(in->iscsi);
	}
	if (in->ship) {
		ship_free(in->ship);
	}
	if (in->scsi) {
		scsi_free(in->scsi);
	}
	for (unsigned i = 0; i < in->reactor_count; i++) {
		reactor_free(in->reactors[i]);
	}
	free(in->reactors);
	if (in->mailbox_open) {
		qb_loop_poll_del(in->loop, in->mailbox.fd);
		mailbox_close(&in->mailbox);
	}
	free(in);
}
