/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iSNS (RFC 4171): tells name servers which targets this controller has and where. Each server has
 * a program of its own (yoke-isns, on libisns) that does the talking, so that neither a server that
 * hangs nor one that sends rubbish can reach the daemon; this is the daemon's side of it. Control
 * thread only.
 */
#ifndef YOKE_ISNS_H
#define YOKE_ISNS_H

#include <stdbool.h>
#include <stdint.h>
#include <qb/qbloop.h>

#include "yoke/conf.h"

struct isns;

struct isns_setup {
	const struct conf *conf; /* outlives it; until the next change what stands in its targets */
	uint8_t controller;
	qb_loop_t *loop;
	const char *program; /* path of yoke-isns */
};

/* NULL: out of memory. Does nothing without servers in the configuration. */
struct isns *isns_new(const struct isns_setup *setup);
/* The portals are open: registers. */
void isns_start(struct isns *isns);
/*
 * Another configuration counts, with the same servers, controllers and portals: targets and aliases
 * that came, changed or went are registered and taken out at once. The one before is used no more,
 * but for the addresses of the first one's servers and portals.
 */
void isns_conf_set(struct isns *isns, const struct conf *conf);
/*
 * Takes this controller out of every server that knows it; done(arg) when that has been done, or
 * has taken too long; possibly inside the call.
 */
void isns_stop(struct isns *isns, void (*done)(void *arg), void *arg);
/* Ends what is left of the programs at once. */
void isns_free(struct isns *isns);

enum isns_state {
	ISNS_IDLE, /* not started, or stopped */
	ISNS_REGISTERING, /* the first answer is not there yet */
	ISNS_REGISTERED,
	ISNS_FAILED, /* tried again; see `problem` */
	ISNS_STOPPING,
	ISNS_STATES
};
const char *isns_state_name(enum isns_state state);

struct isns_info {
	const char *server; /* "10.0.0.9:3205" */
	enum isns_state state;
	const char *problem; /* for people; "" = none */
	uint32_t period_s; /* granted registration period; 0 = none */
	uint32_t esi_interval_s; /* granted; 0 = the server does not ask */
	uint64_t inquiries; /* status inquiries (ESI) that were answered */
	uint64_t registrations; /* how often everything was registered */
	uint64_t since_unix_s; /* of the last change of state */
};
/* Server `index` of the configuration; false past the end. */
bool isns_info(const struct isns *isns, unsigned index, struct isns_info *info);

#endif
