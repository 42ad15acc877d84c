// SPDX-License-Identifier: BSD-3-Clause
/* Mailbox, timers and the reactor's pass; threads only where the subject is threads. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/base/timer.h"
#include "yoke/reactor.h"
#include "yoke/util.h"

/* ----- mailbox ---------------------------------------------------------------------------------
 */

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

struct letter {
	struct mailbox_msg msg;
	struct mailbox *again; /* posted once more when it arrives */
	unsigned sender, number;
};

static unsigned seen_count;
static unsigned seen_numbers[8];

static void letter_read(struct mailbox_msg *msg)
{
	struct letter *letter = container_of(msg, struct letter, msg);
	struct mailbox *again = letter->again;

	seen_numbers[seen_count++ % ARRAY_SIZE(seen_numbers)] = letter->number;
	if (again) {
		letter->again = NULL;
		mailbox_post(again, msg);
	}
}

static void test_mailbox_order(void **state)
{
	struct letter letters[4];
	struct mailbox mb;

	assert_int_equal(mailbox_open(&mb), 0);
	assert_false(mailbox_run(&mb));
	seen_count = 0;
	for (unsigned i = 0; i < 4; i++) {
		letters[i] = (struct letter){.msg.fn = letter_read, .number = i};
		mailbox_post(&mb, &letters[i].msg);
	}
	assert_true(mailbox_run(&mb));
	assert_int_equal(seen_count, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(seen_numbers[i], i);
	}
	mailbox_close(&mb);
}

/* A message that posts itself again runs in the next round, not for ever in this one. */
static void test_mailbox_posted_again(void **state)
{
	struct mailbox mb;
	struct letter letter = {.msg.fn = letter_read, .again = &mb};

	assert_int_equal(mailbox_open(&mb), 0);
	seen_count = 0;
	mailbox_post(&mb, &letter.msg);
	assert_true(mailbox_run(&mb));
	assert_int_equal(seen_count, 1);
	assert_true(mailbox_run(&mb));
	assert_int_equal(seen_count, 2);
	assert_false(mailbox_run(&mb));
	mailbox_close(&mb);
}

/*
 * A plain poll loop (the control thread's): rung for every message, and quiet when the mail has
 * been read. It once stayed readable for ever, and the loop turned at full speed.
 */
static void test_mailbox_in_a_poll_loop(void **state)
{
	struct letter letter = {.msg.fn = letter_read};
	struct mailbox mb;

	assert_int_equal(mailbox_open(&mb), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_false(is_readable(mb.fd));
		mailbox_post(&mb, &letter.msg);
		assert_true(is_readable(mb.fd));
		assert_true(mailbox_run(&mb));
		assert_false(is_readable(mb.fd));
	}
	mailbox_close(&mb);
}

static void test_mailbox_sleep(void **state)
{
	struct letter letter = {.msg.fn = letter_read};
	struct mailbox mb;

	assert_int_equal(mailbox_open(&mb), 0);
	mailbox_awake(&mb);
	mailbox_post(&mb, &letter.msg); /* awake: not rung */
	assert_false(is_readable(mb.fd));
	assert_false(mailbox_sleep(&mb)); /* there is mail */
	assert_true(mailbox_run(&mb));
	assert_true(mailbox_sleep(&mb));
	mailbox_post(&mb, &letter.msg);
	assert_true(is_readable(mb.fd));
	mailbox_awake(&mb);
	assert_false(is_readable(mb.fd));
	assert_true(mailbox_run(&mb));
	mailbox_close(&mb);
}

/* Silence is separate from waking up: who was not rung spends no system call on the bell. */
static void test_mailbox_stir(void **state)
{
	struct letter letter = {.msg.fn = letter_read};
	struct mailbox mb;

	assert_int_equal(mailbox_open(&mb), 0);
	assert_true(mailbox_sleep(&mb));
	mailbox_post(&mb, &letter.msg);
	mailbox_stir(&mb);
	assert_true(is_readable(mb.fd)); /* nothing was read */
	assert_true(mailbox_run(&mb));
	assert_true(is_readable(mb.fd));
	mailbox_silence(&mb);
	assert_false(is_readable(mb.fd));
	mailbox_post(&mb, &letter.msg); /* awake: not rung */
	assert_false(is_readable(mb.fd));
	assert_false(mailbox_sleep(&mb));
	assert_true(mailbox_run(&mb));
	mailbox_close(&mb);
}

#define SENDERS 4
#define LETTERS 2000

static struct mailbox crowd;
static struct letter crowd_letters[SENDERS][LETTERS];
static unsigned crowd_next[SENDERS];

static void crowd_read(struct mailbox_msg *msg)
{
	struct letter *letter = container_of(msg, struct letter, msg);

	assert_int_equal(letter->number, crowd_next[letter->sender]);
	crowd_next[letter->sender]++;
	seen_count++;
}

static void *crowd_send(void *arg)
{
	struct letter *letters = arg;

	for (unsigned i = 0; i < LETTERS; i++) {
		mailbox_post(&crowd, &letters[i].msg);
	}
	return NULL;
}

/* The receiver of the crowd's letters, in the way of the control thread or in a reactor's. */
static void crowd_wait(bool stirs)
{
	struct pollfd p = {.fd = crowd.fd, .events = POLLIN};

	if (!mailbox_sleep(&crowd)) {
		return;
	}
	assert_int_equal(poll(&p, 1, 10000), 1); /* 0: slept over a message */
	if (stirs) {
		mailbox_stir(&crowd);
	} else {
		mailbox_awake(&crowd);
	}
	mailbox_run(&crowd);
	if (stirs) {
		mailbox_silence(&crowd);
	}
}

/* Many senders: nothing is lost, slept over or out of a sender's order. */
static void crowd_meets(bool stirs)
{
	pthread_t threads[SENDERS];

	assert_int_equal(mailbox_open(&crowd), 0);
	seen_count = 0;
	memset(crowd_next, 0, sizeof(crowd_next));
	for (unsigned s = 0; s < SENDERS; s++) {
		for (unsigned i = 0; i < LETTERS; i++) {
			crowd_letters[s][i] =
				(struct letter){.msg.fn = crowd_read, .sender = s, .number = i};
		}
		assert_int_equal(
			pthread_create(&threads[s], NULL, crowd_send, crowd_letters[s]), 0);
	}
	while (seen_count < SENDERS * LETTERS) {
		crowd_wait(stirs);
		mailbox_run(&crowd);
	}
	for (unsigned s = 0; s < SENDERS; s++) {
		pthread_join(threads[s], NULL);
	}
	mailbox_close(&crowd);
}

static void test_mailbox_of_many_senders(void **state)
{
	crowd_meets(false);
	crowd_meets(true);
}

/* ----- timers ----------------------------------------------------------------------------------
 */

static void test_timer_heap_against_a_model(void **state)
{
	struct timer_heap heap = {0};
	struct reactor_timer timers[200] = {0};
	unsigned seed = 1;
	uint64_t now = 0;

	assert_int_equal(timer_heap_wait_ms(&heap, 0), -1);
	for (unsigned round = 0; round < 20000; round++) {
		struct reactor_timer *timer, *due;
		uint64_t least = UINT64_MAX;

		seed = seed * 1103515245 + 12345;
		timer = &timers[(seed >> 16) % ARRAY_SIZE(timers)];
		if (seed & 0x400) {
			timer_heap_cancel(&heap, timer);
			assert_false(reactor_timer_is_set(timer));
		} else {
			assert_int_equal(timer_heap_set(&heap, timer, now + (seed >> 12) % 500), 0);
			assert_true(reactor_timer_is_set(timer));
		}
		now += seed & 1;
		while ((due = timer_heap_due(&heap, now))) {
			assert_true(due->at_ms <= now);
			assert_false(reactor_timer_is_set(due));
		}
		for (unsigned i = 0; i < ARRAY_SIZE(timers); i++) {
			if (reactor_timer_is_set(&timers[i]) && timers[i].at_ms < least) {
				least = timers[i].at_ms;
			}
		}
		assert_true(least > now);
		assert_int_equal(timer_heap_wait_ms(&heap, now),
			least == UINT64_MAX ? -1 : (int)(least - now));
	}
	timer_heap_free(&heap);
	for (unsigned i = 0; i < ARRAY_SIZE(timers); i++) {
		assert_false(reactor_timer_is_set(&timers[i]));
	}
}

/* ----- the pass --------------------------------------------------------------------------------
 */

static struct reactor *reactor;
static unsigned calls;

static int setup(void **state)
{
	struct reactor_config config = {.index = 3, .buffer_bytes = 1 << 20};

	calls = 0;
	reactor = reactor_new(&config);
	return reactor ? 0 : -1;
}

static int teardown(void **state)
{
	reactor_free(reactor);
	return 0;
}

static void test_reactor_facts(void **state)
{
	int value;

	assert_int_equal(reactor_index(reactor), 3);
	assert_int_equal(buf_pool_limit(reactor_buffers(reactor)), 1 << 20);
	assert_null(reactor_self());
	for (enum reactor_slot slot = 0; slot < REACTOR_SLOTS; slot++) {
		assert_null(reactor_slot(reactor, slot));
		reactor_slot_set(reactor, slot, &value);
		assert_ptr_equal(reactor_slot(reactor, slot), &value);
	}
}

static void timer_again(struct reactor_timer *timer)
{
	assert_ptr_equal(reactor_self(), reactor);
	calls++;
	reactor_timer_set(reactor, timer, 0);
}

/* A timer that sets itself to "now" once held the reactor for ever. */
static void test_timer_that_sets_itself(void **state)
{
	struct reactor_timer timer = {.fired = timer_again};

	reactor_timer_set(reactor, &timer, 0);
	reactor_run_once(reactor, 0);
	assert_int_equal(calls, 1);
	assert_true(reactor_timer_is_set(&timer));
	for (unsigned i = 0; i < 1000 && calls < 2; i++) {
		reactor_run_once(reactor, 10);
	}
	assert_true(calls >= 2);
	reactor_timer_cancel(reactor, &timer);
	assert_false(reactor_timer_is_set(&timer));
}

static void defer_again(struct reactor_defer *defer)
{
	calls++;
	reactor_defer(reactor, defer);
}

static void defer_count(struct reactor_defer *defer)
{
	calls++;
}

/* At most once a pass, also for one that asks for itself again. */
static void test_deferred_calls(void **state)
{
	struct reactor_defer once = {.fn = defer_count}, again = {.fn = defer_again};
	struct reactor_defer cancelled = {.fn = defer_count};

	reactor_defer(reactor, &once);
	reactor_defer(reactor, &once);
	reactor_defer(reactor, &cancelled);
	reactor_defer_cancel(reactor, &cancelled);
	reactor_defer_cancel(reactor, &cancelled);
	reactor_run_once(reactor, -1); /* does not wait: there is something to do */
	assert_int_equal(calls, 1);
	calls = 0;
	reactor_defer(reactor, &again);
	reactor_run_once(reactor, -1);
	assert_int_equal(calls, 1);
	reactor_run_once(reactor, -1);
	assert_int_equal(calls, 2);
	reactor_defer_cancel(reactor, &again);
}

struct nop {
	struct reactor_io io;
	int res;
};

static void nop_done(struct reactor_io *io, int res)
{
	container_of(io, struct nop, io)->res = res;
	calls++;
}

/* More at once than the ring has entries. */
static void test_many_ios(void **state)
{
	enum {
		COUNT = 3000
	};
	static struct nop nops[COUNT];

	for (unsigned i = 0; i < COUNT; i++) {
		struct io_uring_sqe *sqe = reactor_io_sqe(reactor);

		assert_non_null(sqe);
		nops[i] = (struct nop){.io.done = nop_done, .res = -1};
		io_uring_prep_nop(sqe);
		reactor_io_submit(reactor, sqe, &nops[i].io);
	}
	assert_int_equal(reactor_io_inflight(reactor), COUNT);
	for (unsigned i = 0; i < 1000 && calls < COUNT; i++) {
		reactor_run_once(reactor, 1000);
	}
	assert_int_equal(calls, COUNT);
	assert_int_equal(reactor_io_inflight(reactor), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_int_equal(nops[i].res, 0);
	}
}

/* The kernel may do it by a thread of its own. */
static bool becomes_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 10000) == 1;
}

static void write_submit(struct nop *nop, int fd)
{
	static const uint64_t one = 1;
	struct io_uring_sqe *sqe = reactor_io_sqe(reactor);

	*nop = (struct nop){.io.done = nop_done, .res = -1};
	io_uring_prep_write(sqe, fd, &one, sizeof(one), 0);
	reactor_io_submit(reactor, sqe, &nop->io);
}

/* A disk with nothing to do gets the first three, and is not left waiting for a whole batch. */
static void test_first_ios_go_at_once(void **state)
{
	struct nop nops[4];
	int fds[4];

	for (unsigned i = 0; i < 4; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC);
		write_submit(&nops[i], fds[i]);
		if (i == 1) {
			assert_false(is_readable(fds[0])); /* but not one or two alone */
		}
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_true(becomes_readable(fds[i]));
	}
	assert_false(is_readable(fds[3]));
	assert_int_equal(calls, 0); /* nobody is told before the pass */
	for (unsigned i = 0; i < 1000 && calls < 4; i++) {
		reactor_run_once(reactor, 1000);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_true(is_readable(fds[i]));
		assert_int_equal(nops[i].res, sizeof(uint64_t));
		close(fds[i]);
	}
}

struct answers {
	struct reactor_defer defer;
	unsigned sent[4], rounds; /* how many I/Os had ended each time */
};

static struct answers answers;

static void answers_send(struct reactor_defer *defer)
{
	assert_true(answers.rounds < ARRAY_SIZE(answers.sent));
	answers.sent[answers.rounds++] = calls;
}

static void nop_answered(struct reactor_io *io, int res)
{
	nop_done(io, res);
	reactor_defer(reactor, &answers.defer);
}

/*
 * `count` I/Os that end in the same pass, each with something to send: three and whole batches, so
 * that the pass has nothing left to submit.
 */
static void answers_run(unsigned count)
{
	static struct nop nops[67];

	calls = 0;
	answers = (struct answers){.defer.fn = answers_send};
	for (unsigned i = 0; i < count; i++) {
		struct io_uring_sqe *sqe = reactor_io_sqe(reactor);

		nops[i] = (struct nop){.io.done = nop_answered, .res = -1};
		io_uring_prep_nop(sqe);
		reactor_io_submit(reactor, sqe, &nops[i].io);
	}
	for (unsigned i = 0; i < 1000 && calls < count; i++) {
		reactor_run_once(reactor, 1000);
	}
	assert_int_equal(calls, count);
}

/* The first answers do not wait for those of all others; a few I/Os have theirs in one go. */
static void test_first_answers_go_at_once(void **state)
{
	answers_run(3 + 64);
	assert_int_equal(answers.rounds, 2);
	assert_int_equal(answers.sent[0], 8);
	assert_int_equal(answers.sent[1], 67);
	answers_run(3 + 8);
	assert_int_equal(answers.rounds, 1);
	assert_int_equal(answers.sent[0], 11);
}

static struct reactor_fd pair[2];

/* Whichever is ready first takes the other one out of the set. */
static void ready_del_other(struct reactor_fd *rfd, uint32_t events)
{
	assert_int_equal(events, EPOLLIN);
	calls++;
	reactor_fd_del(reactor, &pair[rfd == &pair[0]]);
}

/* No event for a descriptor that is gone, though it has been fetched in this pass. */
static void test_fd_deleted_in_the_same_pass(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		pair[i] = (struct reactor_fd){
			.fd = eventfd(1, EFD_CLOEXEC), .ready = ready_del_other};
		assert_int_equal(reactor_fd_add(reactor, &pair[i], EPOLLIN), 0);
	}
	reactor_run_once(reactor, 0);
	assert_int_equal(calls, 1);
	for (unsigned i = 0; i < 2; i++) {
		reactor_fd_del(reactor, &pair[i]);
		close(pair[i].fd);
	}
}

static void ready_count(struct reactor_fd *rfd, uint32_t events)
{
	calls++;
}

static void test_fd_events(void **state)
{
	struct reactor_fd rfd = {.fd = eventfd(1, EFD_CLOEXEC), .ready = ready_count};

	assert_int_equal(reactor_fd_add(reactor, &rfd, EPOLLIN), 0);
	assert_int_equal(reactor_fd_add(reactor, &rfd, EPOLLIN), -EEXIST);
	reactor_run_once(reactor, 0);
	reactor_run_once(reactor, 0);
	assert_int_equal(calls, 2); /* level-triggered */
	assert_int_equal(reactor_fd_mod(reactor, &rfd, 0), 0);
	reactor_run_once(reactor, 0);
	assert_int_equal(calls, 2);
	assert_int_equal(reactor_fd_mod(reactor, &rfd, EPOLLIN), 0);
	reactor_run_once(reactor, 0);
	assert_int_equal(calls, 3);
	reactor_fd_del(reactor, &rfd);
	close(rfd.fd);
}

static int answer_fd;

static void post_answer(struct mailbox_msg *msg)
{
	uint64_t one = 1;

	assert_ptr_equal(reactor_self(), reactor);
	assert_int_equal(write(answer_fd, &one, sizeof(one)), sizeof(one));
}

/* A thread of its own: takes mail while it waits for ever, and stops. */
static void test_thread(void **state)
{
	struct mailbox_msg msg = {.fn = post_answer};
	uint64_t count;

	answer_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(reactor_start(reactor), 0);
	for (unsigned i = 0; i < 100; i++) {
		reactor_post(reactor, &msg);
		assert_int_equal(read(answer_fd, &count, sizeof(count)), sizeof(count));
	}
	reactor_stop(reactor);
	reactor_stop(reactor);
	close(answer_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mailbox_order),
		cmocka_unit_test(test_mailbox_posted_again),
		cmocka_unit_test(test_mailbox_in_a_poll_loop),
		cmocka_unit_test(test_mailbox_sleep),
		cmocka_unit_test(test_mailbox_stir),
		cmocka_unit_test(test_mailbox_of_many_senders),
		cmocka_unit_test(test_timer_heap_against_a_model),
		cmocka_unit_test_setup_teardown(test_reactor_facts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_that_sets_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deferred_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_ios, setup, teardown),
		cmocka_unit_test_setup_teardown(test_first_ios_go_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_first_answers_go_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fd_deleted_in_the_same_pass, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fd_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thread, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
