/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A change of the configuration, in two steps of the total order. PROPOSE names the new file by its
 * digest, and may bring an edit that leads to it (the size of an extent, "resize NAME BYTES");
 * every member looks at its own file, prepares it and says READY, or REFUSE with the reason. The
 * READY with which every member in sync has said so is the place at which all put it in place.
 * Members come to that place one after the other: each says DONE when it uses the new one alone,
 * and the answer to the proposer's administrator waits for them, so that "in place at both" is true
 * and the next change finds nobody busy with this one. REFUSE, CANCEL by the proposer (its time is
 * up), and any change of membership before that end the attempt, and nothing has changed anywhere.
 *
 * A daemon that is killed on the way comes back with its file. When that is not what the other one
 * runs, and the other one's own file is the same, that one goes over to it (machine_conf_changed()
 * makes a new round); so both end with either the old or the new.
 */
#include <stdio.h>
#include <string.h>

#include "ledger.h"
#include "machine.h"
#include "yoke/log.h"

#define CONFIG_LIMIT_MS	     20000
#define CONFIG_DONE_LIMIT_MS 5000 /* a login under way may keep the old one in use for longer */

static void own_end(struct machine *m, enum ha_result result, const char *message)
{
	ha_done_fn *done = m->config.done;
	void *arg = m->config.arg;

	m->config.done = NULL;
	m->config.own_op = 0;
	m->config.answer_ms = 0;
	if (done) {
		done(arg, result, message);
	}
}

static bool is_current(const struct machine *m, const struct message *msg)
{
	return m->config.active && msg->op == m->config.op && msg->controller == m->config.proposer;
}

static void config_send(
	struct machine *m, enum message_type type, const struct ha_config *c, const char *text)
{
	struct message msg = {.type = type, .op = c->op, .controller = c->proposer};

	memcpy(msg.digest, c->digest, sizeof(msg.digest));
	snprintf(msg.text, sizeof(msg.text), "%s", text);
	m->ops->send(m->ctx, &msg);
}

/* Whatever was prepared is forgotten; `why` is for the one who asked. */
static void config_off(struct machine *m, const char *why)
{
	bool own = m->config.proposer == m->self;

	if (!m->config.active) {
		return;
	}
	m->config.active = false;
	if (m->config.prepared) {
		m->config.prepared = false;
		m->ops->conf_drop(m->ctx);
	}
	log_warning("configuration: the change is off, nothing has changed: %s", why);
	if (own) {
		own_end(m, HA_FAILED, why);
	}
}

static void propose_deliver(struct machine *m, const struct message *msg)
{
	struct ha_config *c = &m->config;
	char why[MESSAGE_TEXT_BYTES] = "";

	if (c->active || m->syncing) {
		if (msg->sender == m->self && msg->op == c->own_op) {
			own_end(m, HA_BUSY, "another change is under way; try again in a moment");
		}
		return;
	}
	c->active = true;
	c->op = msg->op;
	c->proposer = msg->sender;
	c->ready = 0;
	memcpy(c->digest, msg->digest, sizeof(c->digest));
	c->prepared = m->ops->conf_prepare(m->ctx, c->digest, msg->text, why, sizeof(why));
	config_send(m, c->prepared ? MESSAGE_CONF_READY : MESSAGE_CONF_REFUSE, c, why);
}

static void ready_deliver(struct machine *m, const struct message *msg)
{
	struct ha_config *c = &m->config;

	if (!is_current(m, msg)) {
		return;
	}
	c->ready |= (uint8_t)HA_BIT(msg->sender);
	if (m->sync & ~c->ready) {
		return;
	}
	c->active = false;
	c->prepared = false;
	c->placed_op = c->op;
	c->placed_proposer = c->proposer;
	if (c->proposer == m->self) {
		c->deadline_ms = 0;
		c->done_by = 0;
		c->answer_ms = m->ops->now_ms(m->ctx) + CONFIG_DONE_LIMIT_MS;
	}
	m->ops->conf_activate(m->ctx);
}

static void decided_end(struct machine *m)
{
	own_end(m, HA_OK,
		machine_has_peer(m) ? "in place at both controllers"
				    : "in place here; the other controller is away and "
				      "takes the file that it has when it starts");
}

static void done_deliver(struct machine *m, const struct message *msg)
{
	struct ha_config *c = &m->config;

	if (msg->controller != m->self || !c->answer_ms || msg->op != c->own_op) {
		return;
	}
	c->done_by |= (uint8_t)HA_BIT(msg->sender);
	if (!(m->sync & ~c->done_by)) {
		decided_end(m);
	}
}

void machine_conf_done(struct machine *m)
{
	struct ha_config c = {.proposer = m->config.placed_proposer, .op = m->config.placed_op};

	m->config.placed_op = 0;
	if (c.op && !m->dead) {
		config_send(m, MESSAGE_CONF_DONE, &c, "");
	}
}

static void end_deliver(struct machine *m, const struct message *msg)
{
	char why[MESSAGE_TEXT_BYTES + 40];

	if (is_current(m, msg)) {
		snprintf(why, sizeof(why), "controller %u: %s", msg->sender, msg->text);
		config_off(m, why);
	}
}

void config_deliver(struct machine *m, const struct message *msg)
{
	if (!machine_in_sync(m) || !(m->sync & HA_BIT(msg->sender))) {
		return;
	}
	if (msg->type == MESSAGE_CONF_PROPOSE) {
		propose_deliver(m, msg);
	} else if (msg->type == MESSAGE_CONF_READY) {
		ready_deliver(m, msg);
	} else if (msg->type == MESSAGE_CONF_DONE) {
		done_deliver(m, msg);
	} else {
		end_deliver(m, msg);
	}
}

void config_members_changed(struct machine *m)
{
	/* A PROPOSE that is still on its way comes to the members that there are then. */
	config_off(m, "the controllers that are members have changed; try again");
	if (m->config.answer_ms) {
		decided_end(m);
	}
}

void machine_conf_propose(
	struct machine *m, const uint8_t digest[32], const char *edit, ha_done_fn *done, void *arg)
{
	struct ha_config c = {.proposer = m->self};

	if (m->dead || !machine_in_sync(m) || m->syncing) {
		done(arg, HA_NOT_IN_SYNC,
			"this controller has not got the cluster's state yet; try again later");
		return;
	}
	if (!m->quorate || m->suspect) {
		done(arg, HA_NO_QUORUM, "without quorum nothing is changed");
		return;
	}
	if (m->config.active || m->config.own_op) {
		done(arg, HA_BUSY, "another change is under way; try again in a moment");
		return;
	}
	c.op = ++m->op;
	memcpy(c.digest, digest, sizeof(c.digest));
	m->config.own_op = c.op;
	m->config.done = done;
	m->config.arg = arg;
	m->config.deadline_ms = m->ops->now_ms(m->ctx) + CONFIG_LIMIT_MS;
	config_send(m, MESSAGE_CONF_PROPOSE, &c, edit);
}

void config_tick(struct machine *m)
{
	if (m->config.answer_ms && m->ops->now_ms(m->ctx) >= m->config.answer_ms) {
		own_end(m, HA_OK,
			"decided; not every controller has said yet that it uses the new one "
			"alone: "
			"a login that has not ended keeps the old one in use there, and an older "
			"yoked does not say so at all");
	}
	if (m->config.own_op && m->config.deadline_ms &&
		m->ops->now_ms(m->ctx) >= m->config.deadline_ms) {
		struct ha_config c = {.proposer = m->self, .op = m->config.own_op};

		m->config.deadline_ms = 0; /* CANCEL ends it where it is delivered */
		config_send(m, MESSAGE_CONF_CANCEL, &c, "the other one did not answer in time");
	}
}

void machine_conf_changed(struct machine *m, const struct conf *conf)
{
	m->conf = conf;
	ledger_conf_changed(m);
	if (m->joined && m->differs && !m->dead) {
		sync_state_send(m); /* the two may be of one mind now */
	}
}
