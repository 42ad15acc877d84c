/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one iSNS server knows of this controller, by way of libisns. For the program yoke-isns,
 * which has one thread and may wait; libisns keeps its sockets and settings in globals, and ends
 * the process when it is at a loss.
 *
 * A storage node belongs to one network entity only (RFC 4171 3.1), and both controllers have the
 * same targets: so they register into one entity, each its own portals and portal groups, and each
 * takes out only these. The last one to go takes the entity with it.
 */
#ifndef YOKE_ISNS_REGISTRATION_H
#define YOKE_ISNS_REGISTRATION_H

#include <stdbool.h>
#include <stdint.h>

struct registration;

struct registration_granted {
	uint32_t period_s; /* 0 = no limit */
	uint32_t esi_interval_s; /* the shortest; 0 = no inquiries */
};

/* `server` is "address:port". NULL when out of memory. */
struct registration *registration_new(const char *server);
void registration_free(struct registration *reg);

/*
 * Before registration_ready(). The texts are copied; false: out of memory, or no such address.
 * registration_went() names a target that the server may still have.
 */
bool registration_entity(struct registration *reg, const char *identifier);
void registration_period(struct registration *reg, uint32_t period_s);
void registration_esi(struct registration *reg, uint32_t interval_s);
void registration_tag(struct registration *reg, uint32_t tag);
bool registration_portal(struct registration *reg, const char *address);
bool registration_target(struct registration *reg, const char *name, const char *alias);
bool registration_went(struct registration *reg, const char *name);
/* Everything is there: makes the objects, opens a socket for inquiries at each portal. */
bool registration_ready(struct registration *reg);
/*
 * The targets change: those that follow are all, then registration_ready() once more. What is not
 * among them any more, and what has lost its alias, is taken out by the next registration_send().
 */
void registration_change(struct registration *reg);

/* NULL = done; otherwise why not, for people. Each may take several seconds. */
const char *registration_send(struct registration *reg, struct registration_granted *granted);
/* Does the server still have our portals? Asking also renews the registration. */
const char *registration_check(struct registration *reg, bool *there);
const char *registration_withdraw(struct registration *reg);

/* Waits up to `ms` for a message from the server; how many inquiries were answered since the last
 * time. */
unsigned registration_listen(struct registration *reg, unsigned ms);

#endif
