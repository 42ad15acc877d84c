/* SPDX-License-Identifier: BSD-3-Clause */
/* READs whose data stays in the store until it is sent: what they show, and until when. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/scsi/place.h"
#include "scsi_rig.h"
#include "yoke/crc32c.h"

#define OTHER 1 /* reactor and nexus */
#define OLD   0x11
#define NEW   0x22

static struct rig *rig;
static struct rig_task t;

/* A READ as the transport has it between done() and the socket. */
struct sent {
	struct rig_task t;
	unsigned dones;
};

static int setup(void **state)
{
	rig = rig_new(1, 16 << 20);
	rig_serve(rig);
	memset(rig_store.data, OLD, sizeof(rig_store.data));
	rig_store.in_memory = true;
	rig_store.reads = 0;
	return 0;
}

static int teardown(void **state)
{
	rig_store.in_memory = false;
	rig_store.peek_error = 0;
	rig_store.peek_copies = 0;
	rig_free(rig);
	return 0;
}

static void sent_done(struct scsi_task *task)
{
	container_of(container_of(task, struct rig_task, task), struct sent, t)->dones++;
}

static void read_lba(struct sent *s, unsigned lun, uint8_t lba)
{
	s->dones = 0;
	rig_task_set(&s->t, rig->nexus[0], lun, RIG_CDB(0x28, 0, 0, 0, 0, lba, 0, 0, 2, 0));
	s->t.task.done = sent_done;
	s->t.task.in_place_ok = true;
	rig_task_go(&s->t, NULL, 0);
	assert_int_equal(s->dones, 1);
	assert_int_equal(s->t.task.status, SCSI_GOOD);
}

static void assert_in_place(const struct sent *s, const uint8_t *at)
{
	assert_ptr_equal(s->t.task.in_place, at);
	assert_ptr_equal(scsi_task_in(&s->t.task), at);
	assert_int_equal(s->t.task.in_length, 1024);
}

static void assert_settled(const struct sent *s, uint8_t value)
{
	assert_null(s->t.task.in_place);
	assert_ptr_equal(scsi_task_in(&s->t.task), s->t.task.buf->data);
	for (unsigned i = 0; i < 1024; i++) {
		assert_int_equal(s->t.task.buf->data[i], value);
	}
}

static void data_stays_until_the_task_ends(void **state)
{
	struct sent s[2];

	read_lba(&s[0], 0, 4);
	read_lba(&s[1], 0, 8);
	assert_in_place(&s[0], rig_store.data[0] + 4 * 512);
	assert_in_place(&s[1], rig_store.data[0] + 8 * 512);
	assert_int_equal(rig_store.reads, 0);
	assert_int_equal(rig_store.peek_copies, 0);
	scsi_task_end(&s[0].t.task);
	assert_int_equal(scsi_tasks_settle(rig->reactors[0]), 1);
	assert_settled(&s[1], OLD);
	assert_int_equal(scsi_tasks_settle(rig->reactors[0]), 0);
	scsi_task_end(&s[1].t.task);
}

/* Piece by piece for digests: what has been copied stays as it was, also when the rest is settled.
 */
static void data_is_copied_in_pieces(void **state)
{
	uint32_t crc = CRC32C_INIT;
	uint8_t expected[1024];
	struct sent s;

	for (unsigned settled = 0; settled < 2; settled++) {
		memset(rig_store.data, OLD, sizeof(rig_store.data));
		read_lba(&s, 0, 4);
		scsi_task_in_copy(&s.t.task, 600, &crc);
		assert_in_place(&s, rig_store.data[0] + 4 * 512);
		assert_int_equal(s.t.task.in_copied, 600);
		memset(rig_store.data, NEW, sizeof(rig_store.data));
		if (settled) {
			assert_int_equal(scsi_tasks_settle(rig->reactors[0]), 1);
		} else {
			scsi_task_in_copy(&s.t.task, 424, &crc);
		}
		memset(expected, OLD, 600);
		memset(expected + 600, NEW, 424);
		assert_null(s.t.task.in_place);
		assert_memory_equal(s.t.task.buf->data, expected, 1024);
		assert_int_equal(scsi_tasks_settle(rig->reactors[0]), 0);
		if (!settled) {
			assert_int_equal(crc32c_end(crc), crc32c(expected, 1024));
		}
		scsi_task_end(&s.t.task);
	}
	/* the same task again begins at its start */
	read_lba(&s, 0, 4);
	assert_int_equal(s.t.task.in_copied, 0);
	rig_store.peek_error = -EIO;
	scsi_task_in_copy(&s.t.task, 600, &crc);
	assert_null(s.t.task.in_place);
	assert_true(s.t.task.in_lost);
	assert_int_equal(scsi_tasks_settle(rig->reactors[0]), 0);
	scsi_task_end(&s.t.task);
}

static void only_where_it_may_and_can(void **state)
{
	struct sent s;

	/* whoever else reads (the copy manager, the interconnect) looks into the buffer */
	assert_int_equal(rig_do(rig, &t, rig->nexus[0], 0, RIG_CDB(0x28, 0, 0, 0, 0, 4, 0, 0, 2, 0),
				 NULL, 0),
		SCSI_GOOD);
	assert_int_equal(t.in[0], OLD);
	assert_int_equal(rig_store.reads, 1);
	rig_store.in_memory = false;
	read_lba(&s, 0, 4);
	assert_settled(&s, OLD);
	assert_int_equal(rig_store.reads, 2);
	scsi_task_end(&s.t.task);
}

static void write_new(unsigned nexus, uint8_t attribute)
{
	uint8_t out[1024];

	memset(out, NEW, sizeof(out));
	rig_task_set(&t, rig->nexus[nexus], 0, RIG_CDB(0x2a, 0, 0, 0, 0, 4, 0, 0, 2, 0));
	t.task.attribute = attribute;
	rig_task_go(&t, out, sizeof(out));
	rig_run(rig);
	assert_int_equal(rig_outcome(&t), SCSI_GOOD);
	assert_int_equal(rig_store.data[0][4 * 512], NEW);
}

/* The READ was first; ORDERED says that this matters. */
static void a_later_write_does_not_show(void **state)
{
	static const uint8_t attributes[] = {SCSI_ATTR_SIMPLE, SCSI_ATTR_ORDERED, SCSI_ATTR_HEAD};

	for (unsigned i = 0; i < ARRAY_SIZE(attributes); i++) {
		struct sent s;

		memset(rig_store.data[0], OLD, RIG_BYTES);
		rig->nexus[0]->core->place_rest = 0;
		read_lba(&s, 0, 4);
		assert_in_place(&s, rig_store.data[0] + 4 * 512);
		write_new(0, attributes[i]);
		assert_settled(&s, OLD);
		scsi_task_end(&s.t.task);
	}
}

/* Nor does half of what no other command may see half done, from whichever reactor it comes. */
static void a_guarded_command_of_another_reactor_does_not_show(void **state)
{
	uint8_t out[2048];
	struct sent s;

	memset(out, OLD, 1024);
	memset(out + 1024, NEW, 1024);
	read_lba(&s, 0, 4);
	assert_int_equal(rig_do(rig, &t, rig->nexus[OTHER], 0,
				 RIG_CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0), out,
				 sizeof(out)),
		SCSI_GOOD);
	assert_int_equal(rig_store.data[0][4 * 512], NEW);
	assert_settled(&s, OLD);
	scsi_task_end(&s.t.task);
}

/* Both are under way, and none is ordered behind the other. */
static void a_plain_write_of_another_reactor_may_show(void **state)
{
	struct sent s;

	read_lba(&s, 0, 4);
	write_new(OTHER, SCSI_ATTR_SIMPLE);
	assert_in_place(&s, rig_store.data[0] + 4 * 512);
	assert_int_equal(scsi_task_in(&s.t.task)[0], NEW);
	scsi_task_end(&s.t.task);
}

/* To settle is dearer than to copy at once: among writes it is not tried all the time. */
static void among_writes_reads_are_copied_at_once(void **state)
{
	struct sent s;

	read_lba(&s, 0, 4);
	write_new(0, SCSI_ATTR_SIMPLE);
	scsi_task_end(&s.t.task);
	for (unsigned i = 0; i < 64; i++) {
		read_lba(&s, 0, 4);
		assert_settled(&s, NEW);
		scsi_task_end(&s.t.task);
	}
	read_lba(&s, 0, 4);
	assert_in_place(&s, rig_store.data[0] + 4 * 512);
	scsi_task_end(&s.t.task);
	/* a write with no READ in its way changes nothing */
	write_new(0, SCSI_ATTR_SIMPLE);
	read_lba(&s, 0, 4);
	assert_in_place(&s, rig_store.data[0] + 4 * 512);
	scsi_task_end(&s.t.task);
}

static void what_is_gone_is_told(void **state)
{
	struct sent s;

	read_lba(&s, 0, 4);
	assert_false(s.t.task.in_lost);
	rig_store.peek_error = -EIO;
	assert_int_equal(scsi_tasks_settle(rig->reactors[0]), 1);
	assert_true(s.t.task.in_lost);
	scsi_task_end(&s.t.task);
	/* the next one of the same task memory is a new one */
	rig_store.peek_error = 0;
	read_lba(&s, 0, 4);
	assert_false(s.t.task.in_lost);
	scsi_task_end(&s.t.task);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_stays_until_the_task_ends),
		TEST(data_is_copied_in_pieces),
		TEST(only_where_it_may_and_can),
		TEST(a_later_write_does_not_show),
		TEST(a_guarded_command_of_another_reactor_does_not_show),
		TEST(a_plain_write_of_another_reactor_may_show),
		TEST(among_writes_reads_are_copied_at_once),
		TEST(what_is_gone_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
