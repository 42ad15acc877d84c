/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The messages that the daemons multicast over CPG: their bytes, and nothing else. The header
 * never changes, so that any version can tell whether it understands the rest:
 *
 *   0 magic   4 version   6 lowest version   8 type   10 sender   11 zero   12 incarnation
 *  20 group  22 zero     24 payload length  28 epoch  36 op id    44 payload
 */
#ifndef YOKE_HA_MESSAGE_H
#define YOKE_HA_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/ledger.h"
#include "yoke/task.h"

#define MESSAGE_MAGIC	     0x596f6b65u /* "Yoke" */
#define MESSAGE_VERSION	     2 /* 1 had no ledger */
#define MESSAGE_LOWEST	     1 /* that can read what this one sends */
#define MESSAGE_HEADER_BYTES 44
#define MESSAGE_GROUPS_MAX   1024
#define MESSAGE_BLOB_MAX     (60u << 10)
/* STATE with every group, or the longest entry. */
#define MESSAGE_BYTES_MAX (MESSAGE_HEADER_BYTES + 64 + LEDGER_ENTRY_BYTES_MAX)

enum message_type {
	MESSAGE_NONE = 0,
	MESSAGE_STATE = 1, /* all that the sender knows, as of the last membership change */
	MESSAGE_STATUS = 2, /* facts about the sender: link, sessions, started, healthy */
	MESSAGE_PREPARE = 3, /* the sender wants the group under `epoch`: hold */
	MESSAGE_DRAINED = 4, /* the sender has let go of the group and noted `epoch` durably */
	MESSAGE_COMMIT = 5, /* the sender is the owner under `epoch` */
	MESSAGE_SAVED = 6, /* the sender has that durably */
	MESSAGE_READY = 7, /* the sender can serve: publish */
	MESSAGE_ROLLBACK = 8, /* the move to `epoch` is off, if it comes before its COMMIT */
	MESSAGE_RELEASED = 9, /* the sender, owner under `epoch`, has let go: no owner */
	MESSAGE_OFFER = 10, /* the owner asks `controller` to take the group */
	MESSAGE_MOVE = 11, /* `controller` is the preferred owner from now on */
	MESSAGE_ALIVE = 12, /* comes back to its sender: it has seen every earlier change */
	MESSAGE_CURRENT = 13, /* the STATE with this op id is of the membership as it is */
	/* Since version 2. */
	MESSAGE_LEDGER = 14, /* the sender's ledger, in front of the STATE with the same op id */
	MESSAGE_ENTRY = 15, /* an entry for an LU of the group, made under `epoch` */
	MESSAGE_ACK = 16, /* the sender has published, and keeps, all entries up to an index */
	MESSAGE_SNAPSHOT = 17, /* a part of the states of all LUs */
	MESSAGE_LOADED = 18, /* the sender has taken the snapshot with this op id */
	MESSAGE_RESYNC = 19, /* `controller` has other states of LUs than the other: begin anew */
	/* The sender serves the portals of `controller`: its own, or the other's too. */
	MESSAGE_PORTALS = 20,
	/* The connections that hosts have at the sender's portals, for who may have to reset them.
	 */
	MESSAGE_HOSTS = 21,
	/* A change of the configuration; op id and controller are the proposer's. See config.c. */
	MESSAGE_CONF_PROPOSE = 22, /* the file with this digest is to be put in place */
	MESSAGE_CONF_READY = 23, /* the sender has it, has checked and prepared it */
	MESSAGE_CONF_REFUSE = 24, /* the sender cannot, and says why */
	MESSAGE_CONF_CANCEL = 25, /* the proposer has given it up */
	/* `yokectl drill`: the daemon of `controller` dies, or stops for `seconds`. */
	MESSAGE_DRILL = 26,
	/* The change with this op id is in use at the sender, and the one before it no more. */
	MESSAGE_CONF_DONE = 27,
};
#define MESSAGE_TYPES	    28
#define MESSAGE_DRILL_S_MAX 60
#define MESSAGE_TEXT_BYTES  400 /* with its NUL */
const char *message_type_name(enum message_type type);

/* Why a move was rolled back. */
enum message_reason {
	REASON_TIMEOUT = 0,
	REASON_STATE = 1, /* the state directory cannot be written */
	REASON_RELEASE = 2, /* the flush at the old owner failed */
	REASON_STOP = 3, /* the taker was stopped */
};
#define MESSAGE_REASONS 4
const char *message_reason_name(enum message_reason reason);

#define MESSAGE_STARTED	 0x01 /* the agent has started the group's resource there */
#define MESSAGE_HEALTHY	 0x02
#define MESSAGE_WAS_LOST 0x04 /* the move under way began without the owner */

#define MESSAGE_KEPT	 0x01 /* ACK: it is on the sender's disk, too */
#define MESSAGE_LAST	 0x01 /* SNAPSHOT: the last part */

/* The payload of the messages of the ledger; each has some of it. */
struct message_ledger {
	uint64_t index; /* LEDGER, ACK, SNAPSHOT: an entry's */
	/* ACK: the last one that is in the digest; LEDGER: when it lost the other controller */
	uint64_t applied;
	uint32_t digest; /* LEDGER, ACK: of all LUs; SNAPSHOT: CRC32C of all its parts */
	uint32_t part; /* SNAPSHOT: from 0 */
	uint8_t flags;
	uint8_t lu[16]; /* ENTRY */
	const uint8_t *bytes; /* ENTRY, SNAPSHOT; where the message is */
	size_t length;
};

/* One group in STATE; STATUS carries only the flags. `phase` is enum ha_phase. */
struct message_group {
	uint64_t epoch;
	uint64_t top;
	uint8_t owner;
	uint8_t preferred;
	uint8_t phase;
	uint8_t target;
	uint8_t waiting;
	uint8_t flags;
	uint32_t table;
};

/* The payload of STATE and STATUS. */
struct message_state {
	uint8_t digest[32];
	bool in_sync;
	uint32_t pids[YOKE_CONTROLLERS + 1]; /* the membership that the sender saw */
	bool link;
	uint32_t sessions;
	uint16_t group_count;
	struct message_group groups[MESSAGE_GROUPS_MAX];
};

struct message {
	enum message_type type;
	uint16_t version; /* of a message that came in */
	uint8_t sender; /* controller */
	uint64_t incarnation;
	uint16_t group;
	uint64_t epoch;
	uint64_t op;
	uint8_t controller; /* OFFER, MOVE, RESYNC, PORTALS, DRILL */
	uint16_t seconds; /* DRILL: 0 = for good */
	const uint8_t *blob; /* HOSTS: as the portals want it; lives as long as the bytes do */
	size_t blob_length;
	enum message_reason reason; /* ROLLBACK */
	const struct message_state *state; /* STATE, STATUS; else NULL */
	struct message_ledger ledger; /* LEDGER to LOADED */
	uint8_t digest[32]; /* CONF_* */
	char text[MESSAGE_TEXT_BYTES]; /* CONF_*: for people; printable */
};

/* Writes `msg` into at most `size` bytes; the length, or -EMSGSIZE. */
int message_encode(const struct message *msg, void *bytes, size_t size);

/*
 * Reads one message. `room` receives the payload of STATE and STATUS and is what msg->state then
 * points to. 0; -EBADMSG for anything malformed, out of range or with bytes left over; -ENOTSUP
 * for a message whose sender cannot speak our version, or of an unknown type.
 */
int message_decode(const void *bytes, size_t size, struct message *msg, struct message_state *room);

#endif
