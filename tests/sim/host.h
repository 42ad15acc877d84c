/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files about hosts share. */
#ifndef YOKE_TEST_SIM_HOST_H
#define YOKE_TEST_SIM_HOST_H

#include "tests/sim/sim.h"

#define DEPTH	    3 /* commands of a host at a time */
#define ABORTER	    DEPTH /* the one beside them that only aborts others */
#define SLOTS	    (DEPTH + 1)
#define NEXUSES	    (SIM_HOSTS * 2)
#define SCANS	    (4 * SIM_SECTORS + 1)
#define KEY_SECTOR  1000 /* sector of the registration of nexus 0 */
#define MODE_SECTOR 2000 /* sector of the mode page */
/* PREEMPT AND ABORT, or without the abort? */
#define PREEMPT_ABORTS(command) ((command)->op.id % 3 != 0)
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
	PREEMPT,
	MODE, /* MODE SELECT of the control page: two of its bits */
	SENSE, /* MODE SENSE of it */
	RESET, /* LOGICAL UNIT RESET, TARGET WARM RESET, TARGET COLD RESET */
	ABORT, /* ABORT TASK */
	CLEAR, /* ABORT TASK SET, CLEAR TASK SET */
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
	struct attempt *victim; /* of an ABORT */
	struct history_op op;
};

/* A command on its way by one path, once. */
struct attempt {
	struct scsi_task task;
	struct scsi_tmf tmf; /* of a RESET, ABORT, CLEAR; its number is the task's tag */
	struct attempt *victims[DEPTH]; /* under way when an ABORT or CLEAR came */
	unsigned aborts; /* so many of its own host mean it, and are not answered yet */
	struct attempt *former; /* aborted before, by the same nexus */
	struct command *command; /* NULL: nobody waits for it any more */
	struct session *session;
	uint64_t number; /* of the session */
	bool done;
	uint32_t start_table[SIM_GROUPS];
	uint64_t start_epoch[SIM_GROUPS];
	uint8_t status;
	bool old; /* said while fencing lied about a controller */
	bool lied[3]; /* fencing did, about whom, when it began */
	uint32_t sense; /* key, ASC, ASCQ */
	uint8_t data[2 * SIM_BLOCK];
	uint32_t out_bytes, in_bytes;
};

struct host {
	struct sim *sim;
	unsigned index;
	struct session sessions[3]; /* by controller */
	struct command commands[SLOTS];
	unsigned scan; /* of the last reads */
};

struct hosts {
	struct host all[SIM_HOSTS];
	uint64_t ids, clock, numbers;
	uint64_t hurry_until_ns;
	uint64_t keys[NEXUSES], former_keys[NEXUSES]; /* acknowledged last, and before that */
	uint64_t threatened[NEXUSES]; /* keys that a PREEMPT has named last */
	bool preempted[NEXUSES]; /* may have been, once */
	uint64_t ended[SIM_LUS][NEXUSES]; /* tasks that came before number so and so are over */
	struct attempt *aborted[NEXUSES]; /* and these, the last one first */
	struct recorded *recorded; /* entries of the ledger that have been applied somewhere */
	bool draining, final;
};

static inline struct hosts *hosts_of(struct sim *sim)
{
	return sim->hosts;
}

/* manage.c */
bool preempt_draw(struct command *command, struct session *session);
void preempt_over(struct command *command, enum history_outcome outcome);
void registered_over(struct command *command, enum history_outcome outcome);
void mode_draw(struct command *command, bool select);
void mode_fill(struct attempt *attempt, const struct command *command);
void sense_answer(struct command *command, const struct attempt *attempt);
void tasks_ended(const struct attempt *attempt, const struct command *command);
bool abort_draw(struct command *command);
void aborts_answered(const struct attempt *attempt);
enum scsi_tmf_function reset_function(const struct command *command);
/* A task management function, which is no task. */
bool is_management(const struct command *command);
void management_run(struct attempt *attempt);

/* host.c */
/* A reset ends what has been reserved by RESERVE: when it comes, until its answer. */
void locks_reset(struct attempt *attempt);
void reset_outcome(struct attempt *attempt);
void abort_outcome(struct attempt *attempt);
/* Its host knows that nothing of it runs any more, and that nobody will answer. */
void victim_over(struct attempt *attempt);

/* The CDB and the data of an attempt, by what its command is (command.c). */
void attempt_fill(struct attempt *attempt, const struct command *command);
/* What a command that is free does next; false = nothing. */
bool command_draw(struct command *command);

#endif
