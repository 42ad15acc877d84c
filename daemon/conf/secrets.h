/* SPDX-License-Identifier: BSD-3-Clause */
/* The secrets file, between its rules (secrets.c) and the way it is read (secrets_load.c). */
#ifndef CONF_SECRETS_H
#define CONF_SECRETS_H

#include "loader.h"

#define SECRETS_USERS_MAX 4096u

/* Complains about users whom the configuration names and who are not there, or lack a secret. */
void conf_secrets_suit(
	struct conf_loader *l, const struct conf_secrets *secrets, const struct conf *conf);

#endif
