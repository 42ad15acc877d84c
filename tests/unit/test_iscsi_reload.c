/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections go over to a changed configuration: which sessions stay and which are closed, what a
 * login under way follows, and when nothing uses the former configuration any more.
 */
#include <string.h>

#include "tests/unit/iscsi_harness.h"
#include "yoke/util.h"

#define OTHER_NAME "iqn.2026-01.org.example:other"

/* The next configuration: a copy of the harness's that a test changes. */
static struct next {
	struct conf conf;
	struct conf_target targets[2];
	struct conf_initiator_group group;
	uint16_t groups[1];
	const char *initiators[1];
} next;
static unsigned dones;
static struct pdu pdu;

static int setup(void **state)
{
	int ret = harness_setup(state);

	next.conf = harness.conf;
	next.targets[0] = harness.target;
	next.conf.targets = next.targets;
	dones = 0;
	return ret;
}

/* The test's own configuration is gone with it: the server must not look at it at its end. */
static int teardown(void **state)
{
	return harness_teardown(state);
}

/* The linker gives us the daemon's calls of calloc() and malloc(). */
static bool no_memory;
void *__real_calloc(size_t count, size_t size);
void *__real_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return no_memory ? NULL : __real_calloc(count, size);
}

void *__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

static void count_done(void *arg)
{
	dones++;
}

static void reload(void)
{
	iscsi_conf_set(harness.iscsi, &next.conf, NULL, count_done, NULL);
	harness_settle();
}

/* A session of its own for each `isid`. */
static struct client login(unsigned reactor, uint8_t isid)
{
	struct client c = client_connect(reactor);

	c.isid = isid;
	client_send_login(&c, false);
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS), 0);
	return c;
}

/* The target admits `name` only. */
static void admit(const char *name)
{
	next.initiators[0] = name;
	next.group = (struct conf_initiator_group){
		.name = "hosts", .initiators = next.initiators, .initiator_count = 1};
	next.conf.initiator_groups = &next.group;
	next.conf.initiator_group_count = 1;
	next.targets[0].initiator_groups = next.groups;
	next.targets[0].initiator_group_count = 1;
}

static void rename_target(void)
{
	next.targets[0].name = "iqn.2026-01.org.example:renamed";
}

/* ----- sessions that there are ---------------------------------------------------------------- */

static void without_connections_it_is_done_at_once(void **state)
{
	reload();
	assert_int_equal(dones, 1);
	assert_ptr_equal(harness.iscsi->setup.conf, &next.conf);
}

static void sessions_stay_that_may(void **state)
{
	struct client a = login(0, 1), b = login(1, 2);

	next.targets[0].alias = "another alias";
	admit(HARNESS_NAME);
	reload();
	assert_int_equal(dones, 1);
	client_expect_alive(&a);
	client_expect_alive(&b);
	client_close(&a);
	client_close(&b);
}

static void a_target_that_goes_takes_its_sessions_along(void **state)
{
	struct client a = login(0, 1), b = login(1, 2);

	client_expect_alive(&a);
	client_expect_alive(&b);
	rename_target();
	reload();
	client_expect_closed(&a);
	client_expect_closed(&b);
	assert_int_equal(dones, 1);
	client_close(&a);
	client_close(&b);
}

static void who_is_not_admitted_any_more_is_closed(void **state)
{
	struct client a = login(0, 1);

	admit(OTHER_NAME);
	reload();
	client_expect_closed(&a);
	client_close(&a);
	/* nor let in again */
	a = client_connect(0);
	client_send_login(&a, false);
	client_expect(&a, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS), 0x0202);
	client_close(&a);
}

/* ----- discovery ------------------------------------------------------------------------------ */

static void send_targets(struct client *c)
{
	static const char all[] = "SendTargets=All";
	uint8_t bhs[ISCSI_BHS_BYTES];

	iscsi_bhs_init(bhs, ISCSI_OP_TEXT_REQUEST, F, ++c->itt);
	be32_put(bhs + ISCSI_BHS_TTT, ISCSI_TAG_NONE);
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn++);
	client_pdu(c, bhs, all, sizeof(all));
	client_expect(c, &pdu, ISCSI_OP_TEXT_RESPONSE);
}

/* A discovery session has no target: it stays, and tells what there is now. */
static void discovery_tells_the_new_targets(void **state)
{
	struct client c = client_connect(0);

	client_send_login(&c, true);
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	send_targets(&c);
	assert_non_null(memmem(pdu.data, pdu.data_bytes, HARNESS_TARGET, strlen(HARNESS_TARGET)));
	rename_target();
	reload();
	assert_int_equal(dones, 1);
	send_targets(&c);
	assert_null(memmem(pdu.data, pdu.data_bytes, HARNESS_TARGET, strlen(HARNESS_TARGET) + 1));
	assert_non_null(memmem(pdu.data, pdu.data_bytes, ":renamed", 8));
	client_close(&c);
}

/* ----- logins under way ----------------------------------------------------------------------- */

#define OPERATIONAL (1 << 2)

/* One step of a login, in the operational stage; the last with `flags` ISCSI_LOGIN_TRANSIT | 3. */
static void login_step(struct client *c, uint8_t flags, const char *text, uint32_t n)
{
	uint8_t bhs[ISCSI_BHS_BYTES];

	iscsi_bhs_init(bhs, ISCSI_OP_LOGIN_REQUEST, (uint8_t)(OPERATIONAL | flags), 7);
	bhs[0] |= ISCSI_OPCODE_IMMEDIATE;
	bhs[ISCSI_LOGIN_ISID] = 0x80;
	bhs[ISCSI_LOGIN_ISID + 5] = c->isid;
	be32_put(bhs + ISCSI_BHS_CMDSN, c->cmdsn);
	client_pdu(c, bhs, text, n);
	harness_settle();
}

static struct client login_begin(void)
{
	static const char keys[] = "InitiatorName=" HARNESS_NAME "\0TargetName=" HARNESS_TARGET;
	struct client c = client_connect(0);

	login_step(&c, 0, keys, sizeof(keys));
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS), 0);
	return c;
}

/* It keeps the former configuration alive until it has ended. */
static void a_login_under_way_ends_as_it_began(void **state)
{
	struct client c = login_begin(), other;

	next.conf.iscsi.max_burst_bytes /= 2;
	reload();
	assert_int_equal(dones, 0);
	assert_ptr_equal(harness.iscsi->setup.conf, &harness.conf);
	/* others follow the new one at once */
	other = login(0, 2);
	client_close(&other);
	harness_settle();
	assert_int_equal(dones, 0);
	login_step(&c, ISCSI_LOGIN_TRANSIT | 3, NULL, 0);
	client_expect(&c, &pdu, ISCSI_OP_LOGIN_RESPONSE);
	assert_int_equal(be16_get(pdu.bhs + ISCSI_LOGIN_STATUS_CLASS), 0);
	harness_settle();
	assert_int_equal(dones, 1);
	c.cmdsn = be32_get(pdu.bhs + ISCSI_BHS_EXPCMDSN);
	client_expect_alive(&c);
	client_close(&c);
}

/* When it ends it is looked at under the new one. */
static void a_login_to_a_target_that_has_gone(void **state)
{
	struct client c = login_begin();

	rename_target();
	reload();
	assert_int_equal(dones, 0);
	login_step(&c, ISCSI_LOGIN_TRANSIT | 3, NULL, 0);
	harness_settle();
	assert_int_equal(dones, 1);
	assert_int_equal(fake.nexuses, 0);
	client_close(&c);
}

static void a_login_that_is_given_up(void **state)
{
	struct client c = login_begin();

	reload();
	assert_int_equal(dones, 0);
	client_close(&c);
	harness_settle();
	assert_int_equal(dones, 1);
}

/* One after another, each is done once. */
static void twice(void **state)
{
	struct client c = login(0, 1);

	reload();
	assert_int_equal(dones, 1);
	iscsi_conf_set(harness.iscsi, &harness.conf, NULL, count_done, NULL);
	harness_settle();
	assert_int_equal(dones, 2);
	assert_ptr_equal(harness.iscsi->setup.conf, &harness.conf);
	client_expect_alive(&c);
	client_close(&c);
}

/*
 * When it is called the device server has gone over already. (Without memory it went nowhere and
 * nobody was told when, so that every later reload was refused: another one is not over yet.)
 */
static void it_needs_no_memory(void **state)
{
	struct client c = login(0, 1);

	next.targets[0].alias = "another alias";
	no_memory = true;
	reload();
	no_memory = false;
	assert_int_equal(dones, 1);
	assert_ptr_equal(harness.iscsi->setup.conf, &next.conf);
	client_expect_alive(&c);
	client_close(&c);
}

static void done_again(void *arg)
{
	dones++;
	iscsi_conf_set(harness.iscsi, &harness.conf, NULL, count_done, NULL);
}

static void the_next_one_may_begin_inside_done(void **state)
{
	iscsi_conf_set(harness.iscsi, &next.conf, NULL, done_again, NULL);
	harness_settle();
	assert_int_equal(dones, 2);
	assert_ptr_equal(harness.iscsi->setup.conf, &harness.conf);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_connections_it_is_done_at_once),
		TEST(sessions_stay_that_may),
		TEST(a_target_that_goes_takes_its_sessions_along),
		TEST(who_is_not_admitted_any_more_is_closed),
		TEST(discovery_tells_the_new_targets),
		TEST(a_login_under_way_ends_as_it_began),
		TEST(a_login_to_a_target_that_has_gone),
		TEST(a_login_that_is_given_up),
		TEST(twice),
		TEST(it_needs_no_memory),
		TEST(the_next_one_may_begin_inside_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
