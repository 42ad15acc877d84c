/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files about hosts share. */
#ifndef YOKE_TEST_SIM_HOST_H
#define YOKE_TEST_SIM_HOST_H

#include "tests/sim/sim.h"

#define DEPTH	   3 /* commands of a host at a time */
#define NEXUSES	   (SIM_HOSTS * 2)
#define SCANS	   (4 * SIM_SECTORS + 1)
#define KEY_SECTOR 1000 /* sector of the registration of nexus 0 */
#define NOTICE_NS                                                                      \
	(400 * MS) /* a connection is reset: given up, and nothing of it runs any more \
		    */
#define SILENCE_NS (3000 * MS) /* no answer: the same */
#define SLOW_NS	   (4000 * MS) /* while a disk is slow */

enum what {
	READ,
	WRITE,
	SWAP,
	SYNC,
	KEY, /* REGISTER */
	KEYS, /* READ KEYS */
	LOCK,
	UNLOCK,
	USE,
	WHATS
};

struct session {
	struct host *host;
	struct node *node;
	unsigned index; /* of its nexus */
	bool up;
	uint64_t life; /* of the daemon that it is with */
	uint64_t number; /* of the session */
	struct scsi_nexus *nexus;
	struct reactor *reactor;
	uint64_t key; /* as the host knows it */
	bool key_unsure;
	bool locked[SIM_LUS]; /* maybe */
	bool let_go[SIM_LUS]; /* the history says that it may have been, since the last lock */
	/* What it has been told of the ALUA table: at least, and at most. */
	uint32_t told_least[SIM_GROUPS], told_most[SIM_GROUPS];
};

struct command {
	struct host *host;
	bool busy;
	enum what what;
	unsigned lu;
	bool fixed; /* means one path: not sent by another */
	bool old; /* so its answer was */
	struct session *session; /* of the attempt under way; NULL = between attempts */
	struct attempt *attempt;
	struct history_op op;
};

/* A command on its way by one path, once. */
struct attempt {
	struct scsi_task task;
	struct command *command; /* NULL: nobody waits for it any more */
	struct session *session;
	uint64_t number; /* of the session */
	bool done;
	uint32_t start_table[SIM_GROUPS];
	uint64_t start_epoch[SIM_GROUPS];
	uint8_t status;
	bool old; /* said while fencing lied about a controller */
	uint32_t sense; /* key, ASC, ASCQ */
	uint8_t data[2 * SIM_BLOCK];
	uint32_t out_bytes, in_bytes;
};

struct host {
	struct sim *sim;
	unsigned index;
	struct session sessions[3]; /* by controller */
	struct command commands[DEPTH];
	unsigned scan; /* of the last reads */
};

struct hosts {
	struct host all[SIM_HOSTS];
	uint64_t ids, clock, numbers;
	uint64_t hurry_until_ns;
	uint64_t keys[NEXUSES], former_keys[NEXUSES]; /* acknowledged last, and before that */
	bool draining, final;
};

static inline struct hosts *hosts_of(struct sim *sim)
{
	return sim->hosts;
}

/* The CDB and the data of an attempt, by what its command is (command.c). */
void attempt_fill(struct attempt *attempt, const struct command *command);
/* What a command that is free does next; false = nothing. */
bool command_draw(struct command *command);

#endif
