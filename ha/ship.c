/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_private.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "yoke/log.h"
#include "yoke/util.h"

static const struct ship_timing ship_timing_default = {
	.ping_ms = 500,
	.silence_ms = 2000,
	.greeting_ms = 3000,
	.backoff_min_ms = 50,
	.backoff_max_ms = 1000,
	.park_ms = 100,
};

/* ----- what the device server calls ------------------------------------------------------------
 */

static struct ship_port *ship_port_of(struct ship *ship, const struct reactor *r)
{
	return &ship->ports[reactor_index(r)];
}

static void ship_op_task(void *ctx, struct scsi_task *task, const struct group_view *view,
	const uint8_t lu[16], const struct scsi_identity *who)
{
	ship_out_task(ship_port_of(ctx, task->reactor), task, view->epoch, lu, who);
}

static void ship_op_abort(void *ctx, struct scsi_task *task)
{
	ship_out_abort(ship_port_of(ctx, task->reactor), task);
}

static void ship_op_tmf(void *ctx, struct reactor *r, enum scsi_tmf_function function,
	const uint8_t lu[16], const struct scsi_identity *who, void (*done)(void *arg), void *arg)
{
	ship_out_tmf(ship_port_of(ctx, r), function, lu, who, done, arg);
}

static void ship_op_nexus_gone(void *ctx, struct reactor *r, const struct scsi_identity *who)
{
	ship_out_nexus_gone(ship_port_of(ctx, r), who);
}

const struct group_ship *ship_ops(struct ship *ship)
{
	return &ship->ops;
}

/* ----- greeting --------------------------------------------------------------------------------
 */

void ship_hello_fill(const struct ship *ship, struct ship_hello *hello)
{
	*hello = (struct ship_hello){
		.controller = ship->controller,
		.reactors = (uint16_t)ship->port_count,
		.window_commands = SHIP_WINDOW_COMMANDS,
		.window_bytes = SHIP_WINDOW_BYTES,
		.incarnation = ship->incarnation,
	};
	memcpy(hello->digest, ship->conf->digest, sizeof(hello->digest));
	snprintf(hello->cluster, sizeof(hello->cluster), "%s", ship->conf->cluster);
}

enum ship_refusal ship_hello_check(const struct ship_port *port, const struct ship_hello *hello)
{
	const struct ship *ship = port->ship;

	if (strcmp(hello->cluster, ship->conf->cluster) != 0) {
		return SHIP_REFUSE_CLUSTER;
	}
	if (hello->controller != ship->peer) {
		return SHIP_REFUSE_CONTROLLER;
	}
	if (!port->peer_up) {
		return SHIP_REFUSE_NO_MEMBER;
	}
	if (hello->incarnation != port->peer_incarnation || hello->expected != ship->incarnation) {
		return SHIP_REFUSE_INCARNATION;
	}
	if (memcmp(hello->digest, ship->conf->digest, sizeof(hello->digest)) != 0) {
		return SHIP_REFUSE_CONFIG;
	}
	return SHIP_WELCOME;
}

void ship_conf_set(struct ship *ship, const struct conf *conf)
{
	atomic_store_explicit(&ship->conf, conf, memory_order_release);
}

/* ----- link ------------------------------------------------------------------------------------
 */

static void ship_link_run(struct mailbox_msg *msg)
{
	struct ship *ship = container_of(msg, struct ship, link_msg);
	bool up;

	atomic_store(&ship->link_posted, false);
	up = atomic_load(&ship->open_count) == ship->port_count;
	if (up == ship->link_up) {
		return;
	}
	ship->link_up = up;
	if (up) {
		log_notice("interconnect: link to controller %u at %s is up", ship->peer,
			ship_peer_address(ship));
	} else {
		log_warning("interconnect: link to controller %u at %s is down", ship->peer,
			ship_peer_address(ship));
	}
	if (ship->link) {
		ship->link(ship->link_arg, up);
	}
}

void ship_link_changed(struct ship *ship, bool open)
{
	if (open) {
		atomic_fetch_add(&ship->open_count, 1);
	} else {
		atomic_fetch_sub(&ship->open_count, 1);
	}
	if (!atomic_exchange(&ship->link_posted, true)) {
		mailbox_post(ship->control, &ship->link_msg);
	}
}

void ship_link_set(struct ship *ship, void (*link)(void *arg, bool up), void *arg)
{
	ship->link = link;
	ship->link_arg = arg;
}

bool ship_link_is_up(const struct ship *ship)
{
	return ship->link_up;
}

/* ----- the peer comes and goes -----------------------------------------------------------------
 */

/* One for each reactor and event; made in pairs, so that "down" cannot fail for want of memory. */
struct ship_peer_event {
	struct mailbox_msg msg;
	struct ship_port *port;
	uint64_t incarnation;
};

static void ship_peer_up_run(struct mailbox_msg *msg)
{
	struct ship_peer_event *event = container_of(msg, struct ship_peer_event, msg);
	struct ship_port *port = event->port;

	if (port->peer_incarnation != event->incarnation) {
		ship_out_peer_gone(port); /* with its former life */
	}
	port->peer_up = true;
	port->peer_unsure = false;
	port->peer_incarnation = event->incarnation;
	free(event);
	ship_out_peer_up(port);
}

static void ship_peer_down_run(struct mailbox_msg *msg)
{
	struct ship_peer_event *event = container_of(msg, struct ship_peer_event, msg);
	struct ship_port *port = event->port;

	port->peer_up = false;
	port->peer_unsure = true;
	free(event);
	ship_in_peer_down(port);
	ship_out_peer_down(port);
}

static void ship_peer_gone_run(struct mailbox_msg *msg)
{
	struct ship_peer_event *event = container_of(msg, struct ship_peer_event, msg);
	struct ship_port *port = event->port;

	free(event);
	if (!port->peer_up) {
		port->peer_unsure = false;
		ship_out_peer_gone(port);
	}
}

static void ship_peer_events_free(struct ship_peer_event **events, unsigned count)
{
	for (unsigned i = 0; events && i < count; i++) {
		free(events[i]);
	}
	free(events);
}

static struct ship_peer_event **ship_peer_events_new(
	struct ship *ship, uint64_t incarnation, void (*run)(struct mailbox_msg *msg))
{
	struct ship_peer_event **events = calloc(ship->port_count, sizeof(*events));

	for (unsigned i = 0; events && i < ship->port_count; i++) {
		events[i] = calloc(1, sizeof(*events[i]));
		if (!events[i]) {
			ship_peer_events_free(events, ship->port_count);
			return NULL;
		}
		events[i]->msg.fn = run;
		events[i]->port = &ship->ports[i];
		events[i]->incarnation = incarnation;
	}
	return events;
}

static void ship_peer_events_post(struct ship *ship, struct ship_peer_event **events)
{
	for (unsigned i = 0; i < ship->port_count; i++) {
		reactor_post(ship->ports[i].reactor, &events[i]->msg);
	}
	free(events);
}

void ship_peer_up(struct ship *ship, uint64_t incarnation)
{
	struct ship_peer_event **up;

	if (ship->down) {
		ship_peer_down(ship); /* a new life without a farewell of the old one */
	}
	ship_peer_events_free(ship->gone, ship->port_count);
	up = ship_peer_events_new(ship, incarnation, ship_peer_up_run);
	ship->down = ship_peer_events_new(ship, 0, ship_peer_down_run);
	ship->gone = ship_peer_events_new(ship, 0, ship_peer_gone_run);
	if (!up || !ship->down || !ship->gone) {
		log_err("interconnect: out of memory: controller %u is not connected, commands for "
			"it "
			"are held; restart this daemon",
			ship->peer);
		ship_peer_events_free(up, ship->port_count);
		ship_peer_events_free(ship->down, ship->port_count);
		ship_peer_events_free(ship->gone, ship->port_count);
		ship->down = ship->gone = NULL;
		return;
	}
	log_notice("interconnect: controller %u is a member, incarnation %016llx", ship->peer,
		(unsigned long long)incarnation);
	ship_peer_events_post(ship, up);
}

void ship_peer_down(struct ship *ship)
{
	if (ship->down) {
		log_notice("interconnect: controller %u is no member any more", ship->peer);
		ship_peer_events_post(ship, ship->down);
		ship->down = NULL;
	}
}

void ship_peer_gone(struct ship *ship)
{
	if (!ship->down && ship->gone) {
		ship_peer_events_post(ship, ship->gone);
		ship->gone = NULL;
	}
}

bool ship_awaits_peer(struct ship *ship)
{
	return atomic_load(&ship->tmfs_waiting) > 0;
}

/* ----- life ------------------------------------------------------------------------------------
 */

/* The interconnect address of a controller, NULL when the configuration has none. */
static const struct conf_address *ship_address(const struct conf *conf, uint8_t controller)
{
	for (unsigned i = 0; i < conf->controller_count; i++) {
		if (conf->controllers[i].id == controller) {
			return conf->controllers[i].interconnect.length > 0
				       ? &conf->controllers[i].interconnect
				       : NULL;
		}
	}
	return NULL;
}

struct ship *ship_new(const struct ship_setup *setup, char *error, size_t error_size)
{
	struct ship *ship = calloc(1, sizeof(*ship));

	if (!ship || setup->reactor_count == 0 || setup->reactor_count > SHIP_REACTORS_MAX) {
		snprintf(error, error_size, "interconnect: %s",
			ship ? "needs 1 to 256 reactors; change settings.reactors"
			     : "out of memory");
		free(ship);
		return NULL;
	}
	ship->conf = setup->conf;
	ship->controller = setup->controller;
	ship->peer = (uint8_t)(YOKE_CONTROLLERS + 1 - setup->controller);
	ship->control = setup->control;
	ship->link = setup->link;
	ship->link_arg = setup->arg;
	ship->link_msg.fn = ship_link_run;
	ship->timing = ship_timing_default;
	ship->ops = (struct group_ship){
		.ctx = ship,
		.task = ship_op_task,
		.abort = ship_op_abort,
		.tmf = ship_op_tmf,
		.nexus_gone = ship_op_nexus_gone,
	};
	ship->own_address = ship_address(setup->conf, ship->controller);
	ship->peer_address = ship_address(setup->conf, ship->peer);
	if (!setup->conf->cluster || !ship->own_address || !ship->peer_address) {
		snprintf(error, error_size,
			"interconnect: the configuration has no cluster of two controllers with an "
			"interconnect address each; add controllers[].interconnect");
		goto fail;
	}
	ship->port_count = setup->reactor_count;
	ship->ports = calloc(ship->port_count, sizeof(*ship->ports));
	if (!ship->ports) {
		snprintf(error, error_size, "interconnect: out of memory");
		goto fail;
	}
	for (unsigned i = 0; i < ship->port_count; i++) {
		struct ship_port *port = &ship->ports[i];

		port->ship = ship;
		port->reactor = setup->reactors[i];
		port->index = i;
		qb_list_init(&port->ins);
		ship_out_init(&port->out);
		reactor_slot_set(port->reactor, REACTOR_SLOT_SHIP, port);
	}
	if (getrandom(&ship->incarnation, sizeof(ship->incarnation), 0) !=
		(ssize_t)sizeof(ship->incarnation)) {
		snprintf(error, error_size, "interconnect: no random numbers: %s", strerror(errno));
		goto fail;
	}
	ship->tls = ship_tls_new(setup->conf, setup->controller, error, error_size);
	if (!ship->tls) {
		goto fail;
	}
	return ship;

fail:
	ship_free(ship);
	return NULL;
}

void ship_serve_set(struct ship *ship, const struct group_serve *serve)
{
	ship->serve = serve;
}

int ship_listen(struct ship *ship, char *error, size_t error_size)
{
	return ship_listener_open(ship, error, error_size);
}

void ship_free(struct ship *ship)
{
	if (!ship) {
		return;
	}
	ship_listener_close(ship);
	for (unsigned i = 0; ship->ports && i < ship->port_count; i++) {
		ship_in_free_all(&ship->ports[i].ins);
		ship_out_free(&ship->ports[i].out);
		reactor_slot_set(ship->ports[i].reactor, REACTOR_SLOT_SHIP, NULL);
	}
	ship_peer_events_free(ship->down, ship->port_count);
	ship_peer_events_free(ship->gone, ship->port_count);
	ship_tls_free(ship->tls);
	for (unsigned i = 0; ship->ports && i < ship->port_count; i++) {
		ship_kept_free(&ship->ports[i].kept);
	}
	free(ship->ports);
	free(ship);
}

uint64_t ship_incarnation(const struct ship *ship)
{
	return ship->incarnation;
}

void ship_stats(struct ship *ship, struct ship_stats *stats)
{
	*stats = (struct ship_stats){0};
	for (unsigned i = 0; i < ship->port_count; i++) {
		struct ship_counters *counters = &ship->ports[i].counters;

		stats->commands_out += atomic_load(&counters->commands_out);
		stats->commands_in += atomic_load(&counters->commands_in);
		stats->bytes_out += atomic_load(&counters->bytes_out);
		stats->bytes_in += atomic_load(&counters->bytes_in);
		stats->reconnects += atomic_load(&counters->reconnects);
		stats->refused_frames += atomic_load(&counters->refused_frames);
		stats->stale_frames += atomic_load(&counters->stale_frames);
	}
}
