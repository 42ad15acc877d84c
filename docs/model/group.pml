/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One group, two controllers, one shared disk: handover and takeover as ha/ does them (docs/ha.md),
 * commands that are shipped, a ledger entry, and what can go wrong. docs/model/README.md explains
 * what is in it and what is not.
 *
 * Bounds (-D): WRITES, MOVES, FREEZES, BREAKS, PRS.
 * Wrong on purpose (-D): NO_WRITE_KEY, EARLY_REPLY, NO_EPOCH_CHECK, NO_BARRIER, STALE_LEASE,
 * NO_SNAPSHOT, NO_DRAIN. HONEST: fencing never lies.
 */
#ifndef WRITES
#define WRITES 2
#endif
#ifndef MOVES
#define MOVES 1
#endif
#ifndef FREEZES
#define FREEZES 1
#endif
#ifndef BREAKS
#define BREAKS 0
#endif
#ifndef PRS
#define PRS 0
#endif

#define NOBODY	 2
#define OTHER(c) (1 - (c))
#define SLOTS	 2 /* of a controller's queue in the disk */

/* What travels in the total order. */
mtype = { PREPARE, DRAINED, COMMIT, SAVED, READY, LEDGER, LACK, LOST, EXPELLED };
/* Phases of the group, as a controller sees them. */
mtype = { SERVING, PREPARING, COMMITTING, TAKING, GONE, OUTSIDE };
/* What a controller does with a command. */
mtype = { HELD, LOCAL, REMOTE };
/* Where a host's write is at its ingress. */
mtype = { NONE, WAITS, SHIPPED, INDISK };

typedef controller {
	/* The machine. */
	bool alive, frozen, member, proven; /* proven: Pacemaker says the *other* is off */
	mtype phase = SERVING;
	mtype access;
	byte owner, epoch, top, target, waiting;
	bool said; /* this step's message is on its way */
	byte saved; /* durable epoch */
	bool lease;
	/* Ledger. */
	bool pr, pr_durable, lacked, asked;
	byte pr_acks;
	/* Commands. */
	mtype task = NONE; /* the write of the host that came in here */
	byte task_id;
	byte frame, frame_epoch; /* shipped by the other, not looked at yet; 0 = none */
	/* In the disk: write, its epoch, and whether the other shipped it. */
	byte slot[SLOTS], slot_epoch[SLOTS];
	bool slot_shipped[SLOTS];
	bool claimed; /* believes to have the key */
	bool key; /* has it: is registered with the disk */
};

controller ctl[2];
chan q[2] = [6] of { mtype, byte, byte }; /* message, sender, epoch */
bool link = true; /* the interconnect: frames and answers pass */
byte answer[2]; /* the write that the owner has answered, on its way to [c]; 0 = none */

/* The disk and the host. */
byte disk;
byte acked; /* newest write that was acknowledged */
byte issued;
byte path; /* the controller that the host uses; the other's word it does not hear */
bool host_done;
bool pr_good, pr_asked; /* the reservation was acknowledged, asked for */

/* What really is, for the assertions. */
byte active_owner, active_epoch;
byte moves, freezes, breaks;

#define running(c) (ctl[c].alive && !ctl[c].frozen)
#define is_idle(c) (ctl[c].slot[0] == 0 && ctl[c].slot[1] == 0)

/* Has a living controller ended what it was sent? */
#define settled(c) \
	(!running(c) || (is_idle(c) && ctl[c].frame == 0 && ctl[c].task == NONE))

#ifdef STALE_LEASE
#define leased(c) true
#else
#define leased(c) (ctl[c].lease)
#endif

#ifdef NO_DRAIN
#define drained(c) true
#else
#define drained(c) is_idle(c)
#endif
#ifdef NO_EPOCH_CHECK
#define epoch_fits(c) true
#define is_stale(c) (ctl[c].access == REMOTE)
#else
#define is_stale(c) (ctl[c].frame_epoch < ctl[c].epoch)
#define epoch_fits(c) (ctl[c].frame_epoch == ctl[c].epoch)
#endif
/* Has the owner ended every task of the broken connection? */
#ifdef NO_BARRIER
#define barrier(o) true
#else
#define barrier(o) (running(o) && ctl[o].frame == 0 && is_idle(o))
#endif
#ifdef EARLY_REPLY
#define everybody_has_it(c) true
#else
#define everybody_has_it(c) \
	(ctl[c].pr_acks == 3 || (!ctl[OTHER(c)].member && ctl[c].proven))
#endif
/* Does the holder's key carry an older epoch? A newer one is never thrown out. */
#define key_older(c) (ctl[c].epoch > active_epoch)

inline send(what_, sender_, number_)
{
	if
	:: ctl[0].member && ctl[0].alive -> q[0]!what_, sender_, number_
	:: else
	fi;
	if
	:: ctl[1].member && ctl[1].alive -> q[1]!what_, sender_, number_
	:: else
	fi
}

/* The view that follows from the phase: docs/ha.md, "Phases". */
inline publish(at_)
{
	if
	:: ctl[at_].phase == SERVING && ctl[at_].owner == at_ && ctl[at_].claimed ->
		ctl[at_].access = LOCAL
	:: ctl[at_].phase == SERVING && ctl[at_].owner == OTHER(at_) -> ctl[at_].access = REMOTE
	:: else -> ctl[at_].access = HELD
	fi
}

inline deliver(me_, what_, sender_, number_)
{
	if
	:: what_ == PREPARE && (ctl[me_].phase == SERVING || ctl[me_].phase == GONE) &&
		number_ == ctl[me_].top + 1 ->
		ctl[me_].top = number_;
		ctl[me_].target = sender_;
		ctl[me_].phase = PREPARING;
		/* Whoever is a member and owns it must let go. */
		ctl[me_].waiting = (ctl[OTHER(sender_)].member && !ctl[sender_].proven -> 1 : 0);
		ctl[me_].said = false
	:: what_ == DRAINED && ctl[me_].phase == PREPARING && number_ == ctl[me_].top ->
		ctl[me_].waiting = 0
	:: what_ == COMMIT && ctl[me_].phase == PREPARING && number_ == ctl[me_].top && ctl[me_].waiting == 0 ->
		ctl[me_].owner = sender_;
		ctl[me_].epoch = number_;
		ctl[me_].phase = COMMITTING;
		ctl[me_].waiting = (ctl[OTHER(sender_)].member -> 3 : 1 << sender_);
		ctl[me_].said = false
	:: what_ == SAVED && ctl[me_].phase == COMMITTING && number_ == ctl[me_].epoch ->
		ctl[me_].waiting = ctl[me_].waiting & ~(1 << sender_);
		if
		:: ctl[me_].waiting == 0 ->
			ctl[me_].phase = TAKING;
			ctl[me_].said = false
		:: else
		fi
	:: what_ == READY && (ctl[me_].phase == TAKING || ctl[me_].phase == COMMITTING) &&
		number_ == ctl[me_].epoch ->
		ctl[me_].phase = SERVING;
		ctl[me_].said = false
	:: what_ == LEDGER ->
		ctl[me_].pr = true
	:: what_ == LACK ->
		ctl[me_].pr_acks = ctl[me_].pr_acks | 1 << sender_
	:: what_ == LOST && ctl[me_].phase != OUTSIDE ->
		/* The other has gone: what it owned or was about to own is lost, what was ours stays. */
		if
		:: ctl[me_].phase == PREPARING && ctl[me_].target == OTHER(me_) ->
			ctl[me_].phase = (ctl[me_].owner == me_ -> SERVING : GONE)
		:: ctl[me_].phase == PREPARING && ctl[me_].target == me_ ->
			/* From the start, as a takeover. */
			ctl[me_].phase = (ctl[me_].owner == me_ -> SERVING : GONE)
		:: ctl[me_].phase == COMMITTING && ctl[me_].owner == me_ ->
			ctl[me_].waiting = ctl[me_].waiting & ~(1 << OTHER(me_));
			if
			:: ctl[me_].waiting == 0 ->
				ctl[me_].phase = TAKING;
				ctl[me_].said = false
			:: else
			fi
		:: ctl[me_].phase != PREPARING && ctl[me_].owner == OTHER(me_) ->
			ctl[me_].phase = GONE
		:: else
		fi;
		/* What was shipped and not answered is looked at anew. */
		if
		:: ctl[me_].task == SHIPPED -> ctl[me_].task = WAITS
		:: else
		fi;
		answer[me_] = 0;
		/* What it had shipped and was not begun never is; the rest has nobody to answer. */
		ctl[me_].slot_shipped[0] = false;
		ctl[me_].slot_shipped[1] = false;
		ctl[me_].frame = 0;
		ctl[me_].frame_epoch = 0
	:: what_ == EXPELLED ->
		ctl[me_].phase = OUTSIDE;
		ctl[me_].claimed = false;
		ctl[me_].slot_shipped[0] = false;
		ctl[me_].slot_shipped[1] = false;
		ctl[me_].task = NONE /* its hosts have long gone to the other */
	:: else
	fi;
	publish(me_)
}

/* Submits a write to the disk under the view's epoch. */
inline submit(me_, write_, shipped_)
{
	if
	:: ctl[me_].slot[0] == 0 ->
		ctl[me_].slot[0] = write_;
		ctl[me_].slot_epoch[0] = ctl[me_].epoch;
		ctl[me_].slot_shipped[0] = shipped_
	:: else ->
		ctl[me_].slot[1] = write_;
		ctl[me_].slot_epoch[1] = ctl[me_].epoch;
		ctl[me_].slot_shipped[1] = shipped_
	fi
}

inline acknowledge(me_, write_)
{
	if
	:: path == me_ && write_ > acked ->
		assert(disk >= write_); /* GOOD means that it is on the disk */
		acked = write_
	:: else
	fi
}

/* A write reaches the disk, or is refused there. What became of it comes back to c. */
inline land(me_, place_)
{
	byte write_ = ctl[me_].slot[place_];

	if
#ifndef NO_WRITE_KEY
	:: !ctl[me_].key -> skip /* refused: nothing happens, nobody is told GOOD */
	:: else ->
#else
	:: true ->
#endif
		/* I1: one applier, under the newest epoch. */
		assert(ctl[me_].slot_epoch[place_] == active_epoch && me_ == active_owner);
		disk = write_;
		assert(disk >= acked); /* nothing acknowledged is undone */
		if
		:: ctl[me_].slot_shipped[place_] && link && ctl[me_].member -> answer[OTHER(me_)] = write_
		:: else
		fi
	fi;
	ctl[me_].slot[place_] = 0;
	ctl[me_].slot_epoch[place_] = 0;
	ctl[me_].slot_shipped[place_] = false;
	write_ = 0
}

proctype Controller(byte c)
{
	mtype m;
	byte s, e;

end:
	do
	:: d_step { running(c) && ctl[c].alive && nempty(q[c]) ->
		q[c]?m, s, e;
		deliver(c, m, s, e);
		m = NONE;
		s = 0;
		e = 0 }

	/* ----- a handover's steps ----- */
	:: atomic { running(c) && ctl[c].phase == PREPARING && ctl[c].target == OTHER(c) &&
		ctl[c].waiting && !ctl[c].said && drained(c) ->
		ctl[c].key = false;
		ctl[c].claimed = false;
		ctl[c].said = true;
		send(DRAINED, c, ctl[c].top) }
	:: atomic { running(c) && ctl[c].phase == PREPARING && ctl[c].target == c &&
		ctl[c].waiting == 0 && !ctl[c].said ->
		ctl[c].said = true;
		send(COMMIT, c, ctl[c].top) }
	:: atomic { running(c) && ctl[c].phase == COMMITTING && (ctl[c].waiting & 1 << c) &&
		!ctl[c].said ->
		ctl[c].saved = ctl[c].epoch;
		ctl[c].said = true;
		send(SAVED, c, ctl[c].epoch) }
	:: atomic { running(c) && ctl[c].phase == TAKING && ctl[c].owner == c && !ctl[c].said &&
		is_idle(c) && (!ctl[OTHER(c)].key || key_older(c)) ->
		/* The claim: registers, reserves, and throws out whoever held it. */
		ctl[OTHER(c)].key = false;
		ctl[c].key = true;
		ctl[c].claimed = true;
		ctl[c].said = true;
		assert(ctl[c].epoch > active_epoch); /* I2 */
		active_epoch = ctl[c].epoch;
		active_owner = c;
		assert(!pr_good || ctl[c].pr_durable); /* I4 */
		send(READY, c, ctl[c].epoch) }

	/* Rolled back after it had let go: the same epoch, since the other never became active. */
	:: d_step { running(c) && ctl[c].phase == SERVING && ctl[c].owner == c && !ctl[c].claimed &&
		leased(c) && active_epoch == ctl[c].epoch ->
		ctl[c].key = true;
		ctl[c].claimed = true;
		publish(c) }

	/* ----- the lease (I9): renewed by who has nothing unheard and is a member ----- */
	:: d_step { running(c) && !ctl[c].lease && empty(q[c]) && ctl[c].member ->
		ctl[c].lease = true }

	/* ----- commands ----- */
	:: d_step { running(c) && ctl[c].task == WAITS && ctl[c].access == LOCAL && leased(c) &&
		ctl[c].slot[1] == 0 ->
		ctl[c].task = INDISK;
		submit(c, ctl[c].task_id, false) }
	:: d_step { running(c) && ctl[c].task == WAITS && ctl[c].access == REMOTE && link &&
		ctl[OTHER(c)].frame == 0 && ctl[OTHER(c)].alive && ctl[c].member ->
		/* The owner has closed the connection of who is no member. */
		ctl[c].task = SHIPPED;
		ctl[OTHER(c)].frame = ctl[c].task_id;
		ctl[OTHER(c)].frame_epoch = ctl[c].epoch }
	/* A frame at its owner: run, given back (AGAIN), or held. */
	:: d_step { running(c) && ctl[c].frame && ctl[c].access == LOCAL && leased(c) &&
		ctl[c].slot[1] == 0 && epoch_fits(c) ->
		submit(c, ctl[c].frame, true);
		ctl[c].frame = 0;
		ctl[c].frame_epoch = 0 }
	:: d_step { running(c) && ctl[c].frame && is_stale(c) ->
		if
		:: ctl[OTHER(c)].task == SHIPPED && link -> ctl[OTHER(c)].task = WAITS
		:: else
		fi;
		ctl[c].frame = 0;
		ctl[c].frame_epoch = 0 }
	/* The disk is done with a write of the host that is logged in here. */
	:: d_step { running(c) && ctl[c].task == INDISK && is_idle(c) && leased(c) ->
		if
		:: disk >= ctl[c].task_id && ctl[c].access == LOCAL ->
			acknowledge(c, ctl[c].task_id);
			ctl[c].task = NONE
		:: else -> ctl[c].task = WAITS /* refused, or the group has moved: anew */
		fi }
	:: d_step { running(c) && ctl[c].task == SHIPPED && answer[c] == ctl[c].task_id ->
		answer[c] = 0;
		acknowledge(c, ctl[c].task_id);
		ctl[c].task = NONE }

	/* ----- the interconnect is cut, and comes back ----- */
	:: d_step { running(c) && !link && ctl[c].task == SHIPPED && barrier(OTHER(c)) ->
		ctl[c].task = WAITS;
		answer[c] = 0;
		link = true }
	:: d_step { running(c) && !link && ctl[c].frame -> /* what did not begin never will */
		ctl[c].frame = 0;
		ctl[c].frame_epoch = 0 }
	:: d_step { running(c) && !link && ctl[c].task != SHIPPED && ctl[OTHER(c)].task != SHIPPED ->
		link = true }

	/* ----- the ledger ----- */
	:: atomic { running(c) && pr_asked && !ctl[c].pr && ctl[c].access == LOCAL && leased(c) &&
		!ctl[c].lacked ->
		ctl[c].lacked = true;
		send(LEDGER, c, ctl[c].epoch) }
	:: atomic { running(c) && ctl[c].pr && !ctl[c].pr_durable ->
		ctl[c].pr_durable = true;
		send(LACK, c, ctl[c].epoch) }
	:: d_step { running(c) && pr_asked && !pr_good && ctl[c].access == LOCAL && leased(c) &&
		ctl[c].pr_durable && everybody_has_it(c) ->		pr_good = true }
	/* A host asks for the reservation: a decision of the owner, from what it knows. */
	:: d_step { running(c) && ctl[c].access == LOCAL && leased(c) && pr_good && !ctl[c].asked ->
		ctl[c].asked = true;
		assert(ctl[c].pr) }
	od
}

/* Everything that the lost controller had sent and the other has not heard. */
inline drop_from(lost_)
{
	byte count_ = len(q[OTHER(lost_)]), sender_, number_;
	mtype what_;

	do
	:: count_ > 0 ->
		count_--;
		q[OTHER(lost_)]?what_, sender_, number_;
		if
		:: sender_ != lost_ -> q[OTHER(lost_)]!what_, sender_, number_
		:: else
		fi
	:: else -> break
	od;
	count_ = 0;
	sender_ = 0;
	number_ = 0;
	what_ = NONE
}

inline boot(lost_)
{
	do
	:: nempty(q[lost_]) -> q[lost_]?_, _, _
	:: empty(q[lost_]) -> break
	od;
	ctl[lost_].alive = true;
	/* Booting takes longer than anything lives on the way to a disk. */
	ctl[lost_].slot[0] = 0;
	ctl[lost_].slot[1] = 0;
	ctl[lost_].slot_epoch[0] = 0;
	ctl[lost_].slot_epoch[1] = 0;
	ctl[lost_].phase = OUTSIDE;
	ctl[lost_].access = HELD;
	ctl[lost_].claimed = false;
	ctl[lost_].pr = ctl[lost_].pr_durable;
	ctl[lost_].said = false
}

inline join(lost_)
{
	ctl[lost_].member = true;
	ctl[OTHER(lost_)].proven = false;
	ctl[lost_].proven = false;
	ctl[lost_].owner = ctl[OTHER(lost_)].owner;
	ctl[lost_].epoch = ctl[OTHER(lost_)].epoch;
	ctl[lost_].top = ctl[OTHER(lost_)].top;
	ctl[lost_].saved = ctl[OTHER(lost_)].epoch;
#ifndef NO_SNAPSHOT
	ctl[lost_].pr = ctl[OTHER(lost_)].pr;
	ctl[lost_].pr_durable = ctl[OTHER(lost_)].pr_durable;
#endif
	ctl[lost_].phase = SERVING;
	ctl[lost_].access = REMOTE;
	ctl[lost_].said = false;
	answer[lost_] = 0;
	link = true; /* a new connection */
	ctl[lost_].lacked = false;
	ctl[lost_].pr_acks = (ctl[OTHER(lost_)].pr_durable -> 3 : 0);
	ctl[OTHER(lost_)].pr_acks = ctl[lost_].pr_acks
}

/* Corosync notices a controller that does not run; Pacemaker fences it, or believes that it has. */
proctype Cluster()
{
	byte v; /* the victim */

end:
	do
	:: atomic { moves < MOVES && ctl[0].member && ctl[1].member &&
		ctl[0].phase == SERVING && ctl[1].phase == SERVING &&
		ctl[0].owner == ctl[1].owner && empty(q[0]) && empty(q[1]) ->
		moves++;
		send(PREPARE, OTHER(ctl[0].owner), ctl[0].top + 1) }
	:: atomic { freezes < FREEZES && ctl[0].member && ctl[1].member && running(0) && running(1) ->
		freezes++;
		if
		:: v = 0
		:: v = 1
		fi;
		ctl[v].frozen = true;
		ctl[v].lease = false }
	/* Membership: the survivor hears LOST; what the lost one had sent last may never come. */
	:: atomic { ctl[v].frozen && ctl[v].member && ctl[OTHER(v)].member ->
		ctl[v].member = false;
		if
		:: true -> skip
		:: nempty(q[OTHER(v)]) -> drop_from(v)
		fi;
		q[OTHER(v)]!LOST, v, 0;
		q[v]!EXPELLED, v, 0;
		ctl[OTHER(v)].pr_acks = ctl[OTHER(v)].pr_acks & ~(1 << v) }
	/* Fencing: the truth, or a lie, which only the write key survives. */
	:: atomic { ctl[v].frozen && !ctl[v].member && !ctl[OTHER(v)].proven ->
		ctl[OTHER(v)].proven = true;
		if
		:: true ->
			ctl[v].alive = false;
			/* A controller without power: what it has sent to a disk without a key is over. */
#ifdef NO_WRITE_KEY
			ctl[v].slot[0] = 0;
			ctl[v].slot[1] = 0;
#endif
			ctl[v].task = NONE;
			ctl[v].frame = 0
#ifndef HONEST
		:: true -> skip
#endif
		fi }
	/* Then it promotes, until the survivor serves. */
	:: atomic { ctl[OTHER(v)].proven && ctl[OTHER(v)].phase == GONE && empty(q[OTHER(v)]) ->
		q[OTHER(v)]!PREPARE, OTHER(v), ctl[OTHER(v)].top + 1 }
	/* A liar's victim wakes up; a fenced one boots. */
	:: atomic { ctl[v].frozen && ctl[OTHER(v)].proven && ctl[OTHER(v)].phase == SERVING ->
		ctl[v].frozen = false;
		if
		:: !ctl[v].alive -> boot(v)
		:: else
		fi }
	/* It joins: takes over what the survivor knows. */
	:: atomic { !ctl[v].frozen && ctl[v].alive && !ctl[v].member && ctl[v].phase == OUTSIDE &&
		running(OTHER(v)) && ctl[OTHER(v)].phase == SERVING && empty(q[0]) && empty(q[1]) &&
		ctl[OTHER(v)].owner == OTHER(v) && is_idle(OTHER(v)) ->
		join(v) }
	/* The interconnect is cut. */
	:: atomic { breaks < BREAKS && link ->
		breaks++;
		link = false }
	od
}

/* One host, two paths, one write after the other; the same again by the other path. */
proctype Host()
{
	do
	:: atomic { issued == acked && issued < WRITES ->
		issued++;
		if
		:: path = 0
		:: path = 1
		fi;
		if
		:: !running(path) -> path = OTHER(path)
		:: else
		fi;
		ctl[path].task = WAITS;
		ctl[path].task_id = issued }
	/*
	 * No answer, and the controller does not run: its paths are given up. By then a living
	 * owner's disk has done what it was given (README.md, "Assumptions").
	 */
	:: atomic { issued > acked && !running(path) && running(OTHER(path)) && settled(OTHER(path)) ->
		path = OTHER(path);
		ctl[path].task = WAITS;
		ctl[path].task_id = issued }
	:: atomic { issued > acked && running(path) && ctl[path].task == NONE && settled(0) && settled(1) ->
		if
		:: running(OTHER(path)) -> path = OTHER(path)
		:: true -> skip
		fi;
		ctl[path].task = WAITS;
		ctl[path].task_id = issued }
	:: atomic { PRS && !pr_asked -> pr_asked = true }
	:: atomic { acked == WRITES && (!PRS || pr_good) -> host_done = true; break }
	od
}

init {
	atomic {
		byte i;

		for (i : 0 .. 1) {
			ctl[i].alive = true;
			ctl[i].member = true;
			ctl[i].lease = true;
			ctl[i].owner = 0;
			ctl[i].epoch = 1;
			ctl[i].top = 1;
			ctl[i].saved = 1
		}
		ctl[0].access = LOCAL;
		ctl[0].key = true;
		ctl[0].claimed = true;
		ctl[1].access = REMOTE;
		active_owner = 0;
		active_epoch = 1;
		run Controller(0);
		run Controller(1);
		run Disk(0);
		run Disk(1);
		run Cluster();
		run Host()
	}
}

/* What a controller has sent to the disk arrives there some time, in any order, whoever is alive. */
proctype Disk(byte c)
{
end:
	do
	:: d_step { ctl[c].slot[0] -> land(c, 0) }
	:: d_step { ctl[c].slot[1] -> land(c, 1) }
	od
}

/* With fairness everything the host asks for is served in the end. */
ltl served { <> host_done }
