/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the daemon tells Pacemaker and asks it, through Pacemaker's own tools, never waiting:
 * promotion scores, the death of the other controller's daemon, and whether that one was fenced.
 */
#ifndef YOKE_HA_PACEMAKER_H
#define YOKE_HA_PACEMAKER_H

#include <qb/qbloop.h>
#include <stdbool.h>
#include <stddef.h>

#include "yoke/conf.h"

struct pacemaker;

/* `other` is the other controller's node. proved() answers pacemaker_prove(). NULL = out of memory.
 */
struct pacemaker *pacemaker_new(qb_loop_t *loop, const struct conf *conf, const char *other,
	void (*proved)(void *arg, bool proven), void *arg);
void pacemaker_free(struct pacemaker *p);
/* Another configuration counts; its groups are the same. */
void pacemaker_conf_set(struct pacemaker *p, const struct conf *conf);

/* The resource of a group: "g1", or an instance of it ("g1:0"). 0, or -EINVAL for no such name. */
int pacemaker_resource_set(struct pacemaker *p, unsigned group, const char *resource);
/*
 * The resource of the controllers' daemons; NULL when this one was not started by Pacemaker. 0,
 * -ENOENT, or -EINVAL for no such name.
 */
int pacemaker_controller_set(struct pacemaker *p, const char *resource);
/* Sets (or, -1, deletes) this node's promotion score; the newest wins, and is retried until set. */
void pacemaker_score_set(struct pacemaker *p, unsigned group, int score);
/* The group's resource has failed at the other node: act now, not at the next monitor. */
void pacemaker_fail_other(struct pacemaker *p, unsigned group);
/* The other's daemon has died: start it again now. Nothing when its resource is not known. */
void pacemaker_fail_controller(struct pacemaker *p);
/*
 * The other's daemon is back and in sync: what was counted as failures of the groups because of its
 * death is forgotten, or Pacemaker would not start them there before their failure-timeout.
 */
void pacemaker_other_back(struct pacemaker *p);
/* Has the other node been fenced, or has it shut down cleanly? Ends in proved(). */
void pacemaker_prove(struct pacemaker *p);

/* Does what cibadmin printed about the node state of `node` say so? */
bool pacemaker_state_is_down(const char *xml, const char *node);

#endif
