/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text of a login: login.c brings complete text in login->in, this part takes the initiator's
 * declarations in, checks who may go where, and answers its proposals. Private to the login phase
 * and text negotiation.
 */
#ifndef YOKE_ISCSI_NEGOTIATE_H
#define YOKE_ISCSI_NEGOTIATE_H

#include "daemon/iscsi/keys.h"
#include "daemon/iscsi/login.h"

/* The defaults of RFC 7143 13. */
void iscsi_negotiate_defaults(struct iscsi_params *params);

/*
 * Reads all of login->in once: syntax, keys that may not stand here, keys that came before; takes
 * declarations in. Anything but SUCCESS ends the login.
 */
enum iscsi_login_status iscsi_negotiate_scan(struct iscsi_login *login);

/* After the first text: are the names there, is the target, may this initiator use it? */
enum iscsi_login_status iscsi_negotiate_admit(struct iscsi_login *login);

/*
 * Answers proposals of login->in from login->in_pos on, whole pairs only, as long as they fit in
 * `out`. *done: nothing is left.
 */
enum iscsi_login_status iscsi_negotiate_answer(
	struct iscsi_login *login, struct cursor *out, bool *done);

/*
 * What we have to declare ourselves, once each. `out` is a whole reply, with nothing in it yet: all
 * of it fits.
 */
void iscsi_negotiate_declare(struct iscsi_login *login, struct cursor *out);

/* At the end: values that have to fit each other are made to. */
void iscsi_negotiate_finish(struct iscsi_login *login);

/*
 * Takes in a declaration that is legal in a login and in full feature phase: InitiatorAlias. Shared
 * by both.
 */
void iscsi_negotiate_alias(struct iscsi_login *login, const struct iscsi_pair *pair);

/* Writes login->reason; what is not printable ASCII becomes '?'. */
void iscsi_login_reason(struct iscsi_login *login, const char *format, ...) YOKE_PRINTF(2, 3);

#endif
