/* SPDX-License-Identifier: BSD-3-Clause */
/* Portal adoption in this daemon: between ha, which decides, iscsi, which serves, and the
 * addresses. */
#ifndef YOKE_ADOPTION_H
#define YOKE_ADOPTION_H

#include <qb/qbloop.h>

#include "yoke/ha.h"
#include "yoke/iscsi.h"

struct adoption;

/*
 * Takes away what a former life left of the other controller's addresses. Only with
 * conf->portal_adoption. NULL = out of memory. Control thread, like all of it.
 */
struct adoption *adoption_new(
	const struct conf *conf, uint8_t controller, qb_loop_t *loop, struct iscsi *iscsi);
/* Takes every portal address away from this machine. */
void adoption_free(struct adoption *adoption);

/* Puts this controller's own addresses in place: 0, or a negative errno with a message. */
int adoption_open(struct adoption *adoption, char *error, size_t error_size);
/* From now on the other controller is told about the hosts here. */
void adoption_start(struct adoption *adoption, struct ha *ha);

/* For struct ha_setup. */
int adoption_take(struct adoption *adoption);
void adoption_give_back(struct adoption *adoption);
void adoption_peer_hosts(struct adoption *adoption, const void *bytes, size_t size);

#endif
