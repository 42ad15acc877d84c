/* SPDX-License-Identifier: BSD-3-Clause */
/* Listening sockets: opened by the control thread, served by reactor 0. */
#ifndef YOKE_ISCSI_LISTENER_H
#define YOKE_ISCSI_LISTENER_H

#include "daemon/iscsi/server.h"

/* Binds and listens; 0 or a negative errno with a message that names the address. Control thread.
 */
int iscsi_listener_open(struct iscsi_listener *listener, char *error, size_t error_size);

/* Begins to accept. Reactor 0. */
void iscsi_listener_start(struct iscsi_listener *listener);

/* Stops accepting and closes the socket; idempotent. Reactor 0, or after it has stopped. */
void iscsi_listener_close(struct iscsi_listener *listener);

#endif
