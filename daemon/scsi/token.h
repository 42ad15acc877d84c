/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ROD tokens: a token stands for what its ranges held when POPULATE TOKEN ended. Nothing is copied
 * then, so a token lives only until a write to one of its ranges, and only under the epoch in which
 * this controller made it: after a move of the group the writes there were not seen here. Tokens
 * are few and under one mutex, which no read or write takes as long as its LU has none.
 *
 * How a write knows: making a token sets a flag at its LU on every reactor and waits until the
 * overlapping writes that were under way there have ended. A write that sees the flag looks its
 * ranges up before it goes to the store (scsi_tokens_written), so whoever reads what it has written
 * finds the token revoked.
 */
#ifndef YOKE_SCSI_TOKEN_H
#define YOKE_SCSI_TOKEN_H

#include "daemon/scsi/core.h"
#include "daemon/scsi/odx_list.h"

#define SCSI_TOKENS_MAX	       64u /* of this controller */
#define SCSI_TOKEN_PAUSE_MS    2 /* between two looks at writes that are under way */
#define SCSI_TOKEN_SHOWN_BYTES 96u /* without the secret: the ROD management token */

enum scsi_token_state {
	SCSI_TOKEN_MAKING,
	SCSI_TOKEN_LIVE,
	SCSI_TOKEN_REVOKED, /* its ranges were written, or its group has moved */
	SCSI_TOKEN_EXPIRED,
	SCSI_TOKEN_DELETED,
	SCSI_TOKEN_STATE_COUNT,
};
const char *scsi_token_state_name(enum scsi_token_state state);

struct scsi_token;
struct scsi_tokens;

struct scsi_tokens *scsi_tokens_new(void);
/* After the reactors have stopped. */
void scsi_tokens_free(struct scsi_tokens *tokens);

/*
 * Makes a token of the ranges for `task`, whose run() this is in; done(task, token) on its reactor
 * later: token->state is LIVE or REVOKED. NULL with the outcome set when there is no room.
 */
struct scsi_token *scsi_token_make(struct scsi_task *task, const struct odx_populate *list,
	void (*done)(struct scsi_task *task, struct scsi_token *token));
/* The maker is done with it. `keep`: others may use it from now on; otherwise it is forgotten. */
void scsi_token_made(struct scsi_token *token, bool keep);

enum scsi_token_state scsi_token_state(const struct scsi_token *token);
/* Its 512 bytes. */
const uint8_t *scsi_token_bytes(const struct scsi_token *token);
struct scsi_lu *scsi_token_lu(const struct scsi_token *token);
const struct odx_range *scsi_token_ranges(const struct scsi_token *token, unsigned *count);
/* Bytes of data that it stands for. */
uint64_t scsi_token_size(const struct scsi_token *token);

/*
 * Takes a token into use: it does not expire until scsi_token_put(). NULL with the sense that says
 * why not.
 */
struct scsi_token *scsi_token_get(
	struct scsi_core *core, const uint8_t bytes[ODX_TOKEN_BYTES], enum scsi_sense *why);
void scsi_token_put(struct scsi_core *core, struct scsi_token *token, bool delete_it);
/* Is what was just read under `epoch` still what the token stands for? */
bool scsi_token_is_fresh(const struct scsi_token *token, struct scsi_core *core, uint64_t epoch);

/*
 * Lets tokens expire that nobody has used for their time. Every function here does so by itself;
 * this is for those who bring the time along. Any thread.
 */
void scsi_tokens_expire(struct scsi_tokens *tokens, uint64_t now_ms);

/* A write is about to go to the store, and its LU has the flag. */
void scsi_tokens_written(struct scsi_task *task);

/* Calls fn for each live token of an LU that the nexus's target has. */
void scsi_tokens_each(const struct scsi_nexus *nexus,
	void (*fn)(void *arg, const struct scsi_token *token), void *arg);

#endif
