/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/daemon.h"
#include "daemon/adoption.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <qb/qbloop.h>

#include "daemon/ledger_local.h"
#include "yoke/control.h"
#include "yoke/ha.h"
#include "yoke/iscsi.h"
#include "yoke/isns.h"
#include "yoke/log.h"
#include "yoke/reload.h"
#include "yoke/scsi.h"
#include "yoke/util.h"

#define DAEMON_REACTORS_MAX 64

/* Without a cluster: how long another holder of the extents is waited for. */
#define DAEMON_CLAIM_TRIES    5
#define DAEMON_CLAIM_PAUSE_MS 300

/* A stop in good order hands groups over and says goodbye to initiators; it never takes longer. */
#define DAEMON_STOP_LIMIT_MS 8000

/* A move that a host has asked for: its command waits so long, and with it a reset of the LU. */
#define DAEMON_MOVE_LIMIT_MS 8000

enum daemon_phase {
	DAEMON_RUNNING,
	DAEMON_HANDING_OVER,
	DAEMON_CLOSING,
	DAEMON_ENDED
};

struct daemon {
	const struct conf *conf;
	struct conf_secrets *secrets; /* until there is `reload` */
	const struct conf_controller *controller;
	qb_loop_t *loop;
	struct mailbox mailbox;
	bool mailbox_polled;
	struct reactor *reactors[DAEMON_REACTORS_MAX];
	unsigned reactor_count;
	struct ship *ship;
	struct ledger ledger; /* what scsi submits to; filled in when there is one */
	struct ledger_local *ledger_local;
	struct scsi *scsi;
	struct iscsi *iscsi;
	struct adoption *adoption; /* NULL: the portals' addresses are not ours */
	struct ha *ha;
	struct isns *isns;
	struct control *control;
	struct reload *reload;
	enum daemon_phase phase;
	unsigned groups_left; /* while handing over */
	unsigned parts_left; /* while closing */
	int exit_status;
	qb_loop_timer_handle stop_timer;
	qb_loop_signal_handle signals[3];
};

static int daemon_mail(int32_t fd, int32_t revents, void *data)
{
	struct daemon *daemon = data;

	(void)fd;
	(void)revents;
	do {
		mailbox_awake(&daemon->mailbox);
		mailbox_run(&daemon->mailbox);
	} while (!mailbox_sleep(&daemon->mailbox));
	return 0;
}

static void daemon_end(struct daemon *daemon)
{
	daemon->phase = DAEMON_ENDED;
	qb_loop_stop(daemon->loop);
}

/* One of the two ends: initiators are sent away and name servers are told side by side. */
static void daemon_part_stopped(void *arg)
{
	struct daemon *daemon = arg;

	if (--daemon->parts_left == 0) {
		daemon_end(daemon);
	}
}

static void daemon_close(struct daemon *daemon)
{
	daemon->phase = DAEMON_CLOSING;
	daemon->parts_left = 2;
	isns_stop(daemon->isns, daemon_part_stopped, daemon);
	iscsi_stop(daemon->iscsi, daemon_part_stopped, daemon);
}

static void daemon_group_stopped(void *arg, enum ha_result result, const char *message)
{
	struct daemon *daemon = arg;

	if (result != HA_OK) {
		log_warning("stop: a group was not handed over: %s: %s", ha_result_name(result),
			message);
	}
	if (--daemon->groups_left == 0 && daemon->phase == DAEMON_HANDING_OVER) {
		daemon_close(daemon);
	}
}

static void daemon_stop_late(void *data)
{
	struct daemon *daemon = data;

	log_warning("stop: not done after %d ms, ending now", DAEMON_STOP_LIMIT_MS);
	daemon_end(daemon);
}

static void daemon_stop(void *arg)
{
	struct daemon *daemon = arg;

	if (daemon->phase != DAEMON_RUNNING) {
		return;
	}
	log_notice("stopping");
	daemon->phase = DAEMON_HANDING_OVER;
	qb_loop_timer_add(daemon->loop, QB_LOOP_HIGH,
		(uint64_t)DAEMON_STOP_LIMIT_MS * QB_TIME_NS_IN_MSEC, daemon, daemon_stop_late,
		&daemon->stop_timer);
	if (!daemon->ha) {
		daemon_close(daemon);
		return;
	}
	/* One more than there are groups: a stop that ends inside the call must not end the loop
	 * below. */
	daemon->groups_left = daemon->conf->group_count + 1;
	for (unsigned i = 0; i < daemon->conf->group_count; i++) {
		ha_group_stop(
			daemon->ha, daemon->conf->groups[i].name, daemon_group_stopped, daemon);
	}
	daemon_group_stopped(daemon, HA_OK, "");
}

/* Whoever sent SIGHUP looks into the log. */
static void daemon_reloaded(void *arg, enum ha_result result, const char *message)
{
	if (result == HA_OK) {
		log_notice("SIGHUP: %s", message);
	} else {
		log_warning("SIGHUP: nothing has changed: %s: %s", ha_result_name(result), message);
	}
}

static void daemon_reload(void *arg, ha_done_fn *done, void *done_arg)
{
	struct daemon *daemon = arg;

	reload_request(daemon->reload, done, done_arg);
}

static void daemon_resize(
	void *arg, const char *extent, const char *size, ha_done_fn *done, void *done_arg)
{
	struct daemon *daemon = arg;

	reload_resize(daemon->reload, extent, size, done, done_arg);
}

/* Another configuration counts. Controllers and groups are the same in it. */
static void daemon_conf_changed(void *arg, const struct conf *conf)
{
	struct daemon *daemon = arg;

	if (conf->log_level != daemon->conf->log_level) {
		yoke_log_level_set(conf->log_level);
	}
	daemon->conf = conf;
	if (daemon->ha) {
		ha_conf_set(daemon->ha, conf);
	}
	if (daemon->control) {
		control_conf_set(daemon->control, conf);
	}
	isns_conf_set(daemon->isns, conf);
}

static int daemon_reload_make(struct daemon *daemon, char *error, size_t error_size)
{
	const struct reload_setup setup = {
		.conf = daemon->conf,
		.secrets = daemon->secrets,
		.loop = daemon->loop,
		.scsi = daemon->scsi,
		.iscsi = daemon->iscsi,
		.ship = daemon->ship,
		.changed = daemon_conf_changed,
		.arg = daemon,
	};

	daemon->reload = reload_new(&setup);
	if (!daemon->reload) {
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	daemon->secrets = NULL; /* are its own now */
	return 0;
}

static int32_t daemon_signal(int32_t number, void *data)
{
	struct daemon *daemon = data;

	if (number == SIGHUP) {
		log_notice("SIGHUP: reading %s again", daemon->conf->path);
		reload_request(daemon->reload, daemon_reloaded, daemon);
		return 0;
	}
	log_notice("signal %d", number);
	daemon_stop(daemon);
	return 0;
}

static void daemon_cluster_ready(void *arg)
{
	struct daemon *daemon = arg;
	char error[512];

	if ((daemon->adoption && adoption_open(daemon->adoption, error, sizeof(error)) < 0) ||
		iscsi_listen(daemon->iscsi, error, sizeof(error)) < 0) {
		log_err("%s", error);
		daemon->exit_status = 1;
		daemon_stop(daemon);
		return;
	}
	isns_start(daemon->isns);
}

static int daemon_adopt(void *arg)
{
	struct daemon *daemon = arg;

	return adoption_take(daemon->adoption);
}

static void daemon_give_back(void *arg)
{
	struct daemon *daemon = arg;

	adoption_give_back(daemon->adoption);
}

static void daemon_peer_hosts(void *arg, const void *bytes, size_t size)
{
	struct daemon *daemon = arg;

	if (daemon->adoption) {
		adoption_peer_hosts(daemon->adoption, bytes, size);
	}
}

static void daemon_cluster_lost(void *arg, const char *reason)
{
	struct daemon *daemon = arg;

	log_err("contact with the cluster is lost: %s; ending, so that no command is acknowledged "
		"here",
		reason);
	daemon->exit_status = 1;
	daemon_end(daemon);
}

static unsigned daemon_sessions(void *arg)
{
	struct daemon *daemon = arg;

	return iscsi_session_count(daemon->iscsi);
}

static int daemon_reactors_make(struct daemon *daemon, char *error, size_t error_size)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned count =
		daemon->conf->reactors ? daemon->conf->reactors : (unsigned)(cores > 0 ? cores : 1);

	if (count > DAEMON_REACTORS_MAX) {
		count = DAEMON_REACTORS_MAX;
	}
	for (unsigned i = 0; i < count; i++) {
		struct reactor_config config = {
			.index = i,
			.buffer_bytes = daemon->conf->buffer_bytes,
			.spin_us = daemon->conf->spin_us,
		};

		daemon->reactors[i] = reactor_new(&config);
		if (!daemon->reactors[i]) {
			snprintf(
				error, error_size, "reactor %u could not be made (see the log)", i);
			return -ENOMEM;
		}
		daemon->reactor_count = i + 1;
	}
	return 0;
}

static int daemon_secrets_load(struct daemon *daemon, char *error, size_t error_size)
{
	struct conf_error *errors = NULL;

	if (!daemon->conf->secrets_path) {
		return 0;
	}
	daemon->secrets = conf_secrets_load(daemon->conf, CONF_SECRETS_PATIENT_MS, &errors);
	if (!daemon->secrets) {
		snprintf(error, error_size, "%s", errors ? errors->text : "out of memory");
	}
	conf_errors_free(errors);
	return daemon->secrets ? 0 : -EINVAL;
}

struct daemon_move {
	void (*done)(void *arg, enum scsi_move_result result);
	void *arg;
};

static void daemon_moved(void *arg, enum ha_result result, const char *message)
{
	struct daemon_move *move = arg;

	switch (result) {
	case HA_OK:
		move->done(move->arg, SCSI_MOVED);
		break;
	case HA_BUSY:
	case HA_NOT_IN_SYNC:
	case HA_NO_QUORUM:
		move->done(move->arg, SCSI_MOVE_BUSY);
		break;
	case HA_FAILED:
	case HA_TIMEOUT:
	case HA_NO_PEER:
	case HA_UNKNOWN:
		log_warning("a move that a host has asked for: %s: %s", ha_result_name(result),
			message);
		move->done(move->arg, SCSI_MOVE_FAILED);
		break;
	}
	free(move);
}

/* A host's move is the administrator's: Pacemaker follows the scores, and does not move it back. */
static void daemon_move(void *arg, uint16_t group, uint8_t controller,
	void (*done)(void *done_arg, enum scsi_move_result result), void *done_arg)
{
	struct daemon *daemon = arg;
	const struct conf_controller *to = conf_controller_by_id(daemon->conf, controller);
	struct daemon_move *move = daemon->ha ? calloc(1, sizeof(*move)) : NULL;

	if (!move || !to) {
		free(move);
		done(done_arg, SCSI_MOVE_BUSY);
		return;
	}
	move->done = done;
	move->arg = done_arg;
	ha_group_move(daemon->ha, daemon->conf->groups[group].name, to->name, DAEMON_MOVE_LIMIT_MS,
		daemon_moved, move);
}

/* Until there is a ledger nothing can be changed; the gate looks again. */
static void daemon_ledger_none(void *ctx, const struct ledger_entry *entry,
	void (*done)(void *arg, enum ledger_outcome outcome, uint32_t result), void *arg)
{
	done(arg, LEDGER_AGAIN, 0);
}

static int daemon_isns_make(struct daemon *daemon, char *error, size_t error_size)
{
	struct isns_setup isns = {
		.conf = daemon->conf,
		.controller = daemon->controller->id,
		.loop = daemon->loop,
		.program = YOKE_LIBEXECDIR "/yoke-isns",
	};

	daemon->isns = isns_new(&isns);
	if (!daemon->isns) {
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	return 0;
}

static int daemon_server_make(struct daemon *daemon, char *error, size_t error_size)
{
	struct scsi_setup scsi = {
		.conf = daemon->conf,
		.controller = daemon->controller->id,
		.control = &daemon->mailbox,
		.reactors = daemon->reactors,
		.reactor_count = daemon->reactor_count,
		.ledger = &daemon->ledger,
		.move = daemon_move,
		.move_arg = daemon,
	};
	struct iscsi_setup iscsi = {
		.conf = daemon->conf,
		.secrets = daemon->secrets,
		.controller = daemon->controller->id,
		.control = &daemon->mailbox,
		.reactors = daemon->reactors,
		.reactor_count = daemon->reactor_count,
	};
	struct ship_setup ship = {
		.conf = daemon->conf,
		.controller = daemon->controller->id,
		.control = &daemon->mailbox,
		.reactors = daemon->reactors,
		.reactor_count = daemon->reactor_count,
	};

	daemon->ledger.submit = daemon_ledger_none;
	if (daemon->conf->cluster) {
		daemon->ship = ship_new(&ship, error, error_size);
		if (!daemon->ship) {
			return -EINVAL;
		}
		scsi.ship = ship_ops(daemon->ship);
	}
	daemon->scsi = scsi_new(&scsi, error, error_size);
	if (!daemon->scsi) {
		return -EINVAL;
	}
	if (daemon->ship) {
		ship_serve_set(daemon->ship, scsi_serve(daemon->scsi));
	}
	iscsi.scsi = daemon->scsi;
	daemon->iscsi = iscsi_new(&iscsi, error, error_size);
	return daemon->iscsi ? daemon_isns_make(daemon, error, error_size) : -EINVAL;
}

struct daemon_claim {
	bool done;
	int err;
};

static void daemon_claimed(void *arg, int err)
{
	struct daemon_claim *claim = arg;

	claim->done = true;
	claim->err = err;
}

/*
 * The extents belong to one daemon at a time also without a cluster. What a killed daemon left in
 * the kernel may hold them for a moment: tried for a while. With a time-out of 0 claim() answers at
 * once, unless it has atomic writes to complete.
 */
static int daemon_claim_alone(struct daemon *daemon, uint16_t group, char *error, size_t error_size)
{
	const struct group_serve *serve = scsi_serve(daemon->scsi);
	struct daemon_claim claim = {.err = -EAGAIN};

	for (int i = 0; i < DAEMON_CLAIM_TRIES && claim.err; i++) {
		if (i > 0) {
			poll(NULL, 0, DAEMON_CLAIM_PAUSE_MS);
		}
		claim.done = false;
		serve->claim(serve->ctx, group, 1, 0, daemon_claimed, &claim);
		while (!claim.done) { /* the loop does not run yet */
			poll(NULL, 0, 1);
			mailbox_run(&daemon->mailbox);
		}
	}
	if (claim.err) {
		snprintf(error, error_size,
			"the extents cannot be claimed: %s; the log names the one; does another "
			"daemon serve it "
			"(lslocks)?",
			claim.err == -ETIMEDOUT ? "another process holds them"
						: strerror(-claim.err));
	}
	return claim.err;
}

/* Without a cluster this controller owns everything, from the start and for ever. */
static int daemon_serve_alone(struct daemon *daemon, char *error, size_t error_size)
{
	const struct group_serve *serve = scsi_serve(daemon->scsi);
	struct ledger_local_setup ledger = {
		.conf = daemon->conf,
		.controller = daemon->controller->id,
		.control = &daemon->mailbox,
		.loop = daemon->loop,
		.serve = scsi_ledger_serve(daemon->scsi),
	};

	daemon->ledger_local = ledger_local_new(&ledger, error, error_size);
	if (!daemon->ledger_local) {
		return -EINVAL;
	}
	daemon->ledger = *ledger_local_ops(daemon->ledger_local);
	for (unsigned i = 0; i < daemon->conf->group_count; i++) {
		struct group_view view = {
			.group = (uint16_t)i,
			.owner = daemon->controller->id,
			.preferred = daemon->controller->id,
			.epoch = 1,
			.table = 1,
			.access = GROUP_LOCAL,
		};
		int err = daemon_claim_alone(daemon, (uint16_t)i, error, error_size);

		if (err < 0) {
			return err;
		}

		for (unsigned c = 0; c <= YOKE_CONTROLLERS; c++) {
			view.tpg[c] =
				c == daemon->controller->id ? ALUA_OPTIMIZED : ALUA_UNAVAILABLE;
		}
		serve->publish(serve->ctx, &view, NULL, NULL);
	}
	if (iscsi_listen(daemon->iscsi, error, error_size) < 0) {
		return -EINVAL;
	}
	isns_start(daemon->isns);
	return 0;
}

static int daemon_cluster_join(struct daemon *daemon, char *error, size_t error_size)
{
	struct ha_setup ha = {
		.conf = daemon->conf,
		.controller = daemon->controller->id,
		.control = &daemon->mailbox,
		.loop = daemon->loop,
		.serve = scsi_serve(daemon->scsi),
		.ledger = scsi_ledger_serve(daemon->scsi),
		.ship = daemon->ship,
		.ready = daemon_cluster_ready,
		.lost = daemon_cluster_lost,
		.sessions = daemon_sessions,
		.adopt = daemon_adopt,
		.give_back = daemon_give_back,
		.peer_hosts = daemon_peer_hosts,
		.arg = daemon,
		.conf_ops = reload_ha_ops(),
		.conf_arg = daemon->reload,
	};

	if (ship_listen(daemon->ship, error, error_size) < 0) {
		return -EINVAL;
	}
	if (daemon->conf->portal_adoption) {
		daemon->adoption = adoption_new(
			daemon->conf, daemon->controller->id, daemon->loop, daemon->iscsi);
		if (!daemon->adoption) {
			snprintf(error, error_size, "out of memory");
			return -ENOMEM;
		}
	}
	daemon->ha = ha_new(&ha, error, error_size);
	if (!daemon->ha) {
		return -EINVAL;
	}
	reload_ha_set(daemon->reload, daemon->ha);
	daemon->ledger = *ha_ledger(daemon->ha);
	if (daemon->adoption) {
		adoption_start(daemon->adoption, daemon->ha);
	}
	return 0;
}

static void daemon_ledger_status(void *arg, struct ledger_status *status)
{
	struct daemon *daemon = arg;

	if (daemon->ha) {
		ha_ledger_status(daemon->ha, status);
	} else {
		ledger_local_status(daemon->ledger_local, status);
	}
}

static int daemon_control_make(struct daemon *daemon, char *error, size_t error_size)
{
	struct control_setup control = {
		.conf = daemon->conf,
		.controller = daemon->controller->id,
		.loop = daemon->loop,
		.scsi = daemon->scsi,
		.iscsi = daemon->iscsi,
		.ha = daemon->ha,
		.ship = daemon->ship,
		.isns = daemon->isns,
		.stop = daemon_stop,
		.ledger = daemon_ledger_status,
		.reload = daemon_reload,
		.resize = daemon_resize,
		.arg = daemon,
		.started_unix_s = (uint64_t)time(NULL),
	};

	daemon->control = control_new(&control, error, error_size);
	return daemon->control ? 0 : -EINVAL;
}

static int daemon_loop_make(struct daemon *daemon, char *error, size_t error_size)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	daemon->loop = qb_loop_create();
	if (!daemon->loop || mailbox_open(&daemon->mailbox) < 0 ||
		qb_loop_poll_add(daemon->loop, QB_LOOP_HIGH, daemon->mailbox.fd, POLLIN, daemon,
			daemon_mail) < 0) {
		snprintf(error, error_size, "the control loop could not be made: %s",
			strerror(errno));
		return -ENOMEM;
	}
	daemon->mailbox_polled = true;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		qb_loop_signal_add(daemon->loop, QB_LOOP_HIGH, numbers[i], daemon, daemon_signal,
			&daemon->signals[i]);
	}
	return 0;
}

struct daemon *daemon_new(const struct conf *conf, const struct conf_controller *controller,
	char *error, size_t error_size)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));

	if (!daemon) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	daemon->conf = conf;
	daemon->controller = controller;
	daemon->mailbox.fd = -1;
	if (daemon_secrets_load(daemon, error, error_size) < 0 ||
		daemon_loop_make(daemon, error, error_size) < 0 ||
		daemon_reactors_make(daemon, error, error_size) < 0 ||
		daemon_server_make(daemon, error, error_size) < 0 ||
		daemon_reload_make(daemon, error, error_size) < 0) {
		goto fail;
	}
	for (unsigned i = 0; i < daemon->reactor_count; i++) {
		if (reactor_start(daemon->reactors[i]) < 0) {
			snprintf(error, error_size, "reactor %u could not be started (see the log)",
				i);
			goto fail;
		}
	}
	if (conf->cluster ? daemon_cluster_join(daemon, error, error_size) < 0
			  : daemon_serve_alone(daemon, error, error_size) < 0) {
		goto fail;
	}
	if (daemon_control_make(daemon, error, error_size) < 0) {
		goto fail;
	}
	return daemon;

fail:
	daemon_free(daemon);
	return NULL;
}

int daemon_run(struct daemon *daemon)
{
	qb_loop_run(daemon->loop);
	return daemon->exit_status;
}

void daemon_free(struct daemon *daemon)
{
	if (!daemon) {
		return;
	}
	control_free(daemon->control);
	isns_free(daemon->isns);
	adoption_free(daemon->adoption);
	if (daemon->reload) {
		reload_ha_set(daemon->reload, NULL);
	}
	ha_free(daemon->ha);
	ledger_local_free(daemon->ledger_local);
	for (unsigned i = 0; i < daemon->reactor_count; i++) {
		reactor_stop(daemon->reactors[i]);
	}
	reload_stop(daemon->reload);
	iscsi_free(daemon->iscsi);
	scsi_free(daemon->scsi);
	ship_free(daemon->ship);
	reload_free(daemon->reload);
	for (unsigned i = 0; i < daemon->reactor_count; i++) {
		reactor_free(daemon->reactors[i]);
	}
	if (daemon->mailbox_polled) {
		qb_loop_poll_del(daemon->loop, daemon->mailbox.fd);
	}
	mailbox_close(&daemon->mailbox);
	conf_secrets_free(daemon->secrets);
	if (daemon->loop) {
		qb_loop_destroy(daemon->loop);
	}
	free(daemon);
}
