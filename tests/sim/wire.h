/* SPDX-License-Identifier: BSD-3-Clause */
/* What the reactors of virtual.c ask of the sockets of wire.c. */
#ifndef YOKE_TEST_SIM_WIRE_H
#define YOKE_TEST_SIM_WIRE_H

#include "yoke/reactor.h"

int wire_watch(struct reactor *r, struct reactor_fd *rfd, uint32_t events);
void wire_unwatch(struct reactor_fd *rfd);
struct node *reactor_node(const struct reactor *r);

#endif
