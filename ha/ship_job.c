/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_job.h"

#include "ha/ship_cmd.h"
#include "ha/ship_private.h"
#include "yoke/log.h"
#include "yoke/util.h"

enum ship_job_state {
	SHIP_JOB_FREE,
	SHIP_JOB_RECEIVING, /* its data-out comes in */
	SHIP_JOB_RUNNING, /* with the device server */
	SHIP_JOB_ANSWERING, /* data-in and RESULT go out */
};

struct ship_job {
	struct scsi_task task;
	struct ship_tx tx;
	struct ship_in *in;
	uint64_t tag;
	uint64_t epoch;
	uint8_t lu[16];
	enum ship_job_state state;
	bool ran; /* the device server had it: task_end() is due */
	bool known; /* it ran in a connection that is lost: the answer of then */
	bool again; /* answer: never ran */
	bool abort; /* asked for by the peer */
	bool recording; /* counted in in->jobs_recording */
	struct buf *buf; /* data-out, of in->pool */
	uint32_t charge_bytes; /* of the byte window */
	uint32_t received;
	uint32_t sent;
};

struct ship_tmf_in {
	struct ship_tx tx;
	struct ship_in *in;
	uint64_t tag;
	bool busy;
	struct ship_tmf tmf; /* names the nexus as long as it runs */
};

static const struct group_serve *ship_job_serve(const struct ship_job *job)
{
	return job->in->conn.ship->serve;
}

static void ship_job_release(struct ship_job *job)
{
	struct ship_in *in = job->in;

	/* Our buffer stays ours: the device server must not put it into the reactor's pool. */
	if (job->buf && job->task.buf == job->buf) {
		job->task.buf = NULL;
	}
	if (job->ran) {
		ship_job_serve(job)->task_end(ship_job_serve(job)->ctx, &job->task);
		job->ran = false;
	}
	in->active_bytes -= job->charge_bytes;
	buf_put(in->pool, job->buf);
	job->buf = NULL;
	job->state = SHIP_JOB_FREE;
}

/* ----- the answer ------------------------------------------------------------------------------
 */

static uint32_t ship_job_in_bytes(const struct ship_job *job)
{
	const struct scsi_task *task = &job->task;
	uint32_t bytes = task->in_length < task->expected_in_bytes ? task->in_length
								   : task->expected_in_bytes;

	return job->ran && !job->again && !task->aborted && task->buf ? bytes : 0;
}

static bool ship_job_fill(struct ship_conn *conn, struct ship_tx *tx)
{
	struct ship_job *job = container_of(tx, struct ship_job, tx);
	const struct scsi_task *task = &job->task;
	uint32_t end = ship_job_in_bytes(job);
	struct ship_result result = {0};
	struct cursor c;

	if (job->sent < end) {
		job->sent += ship_frame_data(
			conn, SHIP_DATA_IN, job->epoch, job->tag, task->buf->data, job->sent, end);
		return true;
	}
	result.again = job->again;
	result.aborted = job->abort || (job->ran && task->aborted);
	if (result.aborted) {
		result.status = SCSI_TASK_ABORTED; /* should anybody look at it: not GOOD */
	}
	if ((job->ran || job->known) && !job->again && !result.aborted) {
		result.status = task->status;
		result.in_length = task->in_length;
		result.sense_length = task->sense_length;
		memcpy(result.sense, task->sense, sizeof(result.sense));
	}
	c = ship_frame_begin(conn);
	ship_result_put(&c, &result);
	ship_frame_end(conn, &c, SHIP_RESULT, job->epoch, job->tag);
	ship_job_release(job);
	return false;
}

static void ship_job_answer(struct ship_job *job)
{
	job->state = SHIP_JOB_ANSWERING;
	ship_conn_send(&job->in->conn, &job->tx);
}

static void ship_job_done(struct scsi_task *task)
{
	struct ship_job *job = container_of(task, struct ship_job, task);
	struct ship_in *in = job->in;

	in->jobs_running--;
	in->jobs_recording -= job->recording;
	if (!task->again && !task->aborted && ship_job_in_bytes(job) == 0) {
		ship_kept_put(&in->conn.port->kept, task);
	}
	if (in->conn.state == SHIP_CLOSED) {
		ship_job_release(job);
		ship_in_check_end(in);
		return;
	}
	if (task->again) {
		job->again = true;
		SHIP_COUNT(in->conn.port, stale_frames, 1);
	}
	ship_job_answer(job);
}

/* ----- the command -----------------------------------------------------------------------------
 */

static void ship_job_run(struct ship_job *job)
{
	const struct group_serve *serve = ship_job_serve(job);
	struct ship_in *in = job->in;

	if (job->task.rerun && ship_kept_get(&in->conn.port->kept, &job->task)) {
		job->known = true;
		ship_job_answer(job);
		return;
	}
	job->state = SHIP_JOB_RUNNING;
	job->ran = true;
	in->jobs_running++;
	job->task.buf = job->buf;
	SHIP_COUNT(in->conn.port, commands_in, 1);
	if (serve->task_run(serve->ctx, &job->task, job->lu, job->epoch) == SHIP_AGAIN) {
		in->jobs_running--;
		job->ran = false;
		job->again = true;
		SHIP_COUNT(in->conn.port, stale_frames, 1);
		ship_job_answer(job);
	}
}

static void ship_job_task_set(struct ship_job *job, const struct ship_command *command)
{
	struct ship_in *in = job->in;

	job->task = (struct scsi_task){
		.nexus = in->nexuses[command->nexus],
		.reactor = in->conn.port->reactor,
		.tag = command->task_tag,
		.cdb_length = command->cdb_length,
		.attribute = command->attribute,
		.shipped_in = true,
		.serial = command->serial,
		.rerun = command->rerun,
		.expected_out_bytes = command->expected_out_bytes,
		.expected_in_bytes = command->expected_in_bytes,
		.out_length = command->out_bytes,
		.done = ship_job_done,
	};
	memcpy(job->task.cdb, command->cdb, sizeof(job->task.cdb));
	memcpy(job->lu, command->lu, sizeof(job->lu));
}

const char *ship_job_command(
	struct ship_in *in, const struct ship_frame *frame, struct cursor *body)
{
	uint16_t slot = (uint16_t)frame->tag;
	struct ship_command command;
	struct ship_job *job;

	if (slot >= SHIP_WINDOW_COMMANDS || in->jobs[slot].state != SHIP_JOB_FREE) {
		return "slot out of range or in use";
	}
	if (!ship_command_get(body, &command)) {
		return "malformed COMMAND";
	}
	if (command.nexus >= SHIP_NEXUSES || !in->nexuses[command.nexus]) {
		return "unknown nexus";
	}
	if (ship_charge_bytes(command.out_bytes) > SHIP_WINDOW_BYTES - in->active_bytes) {
		return "more data-out than the window allows";
	}
	job = &in->jobs[slot];
	job->tag = frame->tag;
	job->epoch = frame->epoch;
	job->received = job->sent = 0;
	job->ran = job->known = job->again = job->abort = job->recording = false;
	ship_job_task_set(job, &command);
	job->charge_bytes = ship_charge_bytes(command.out_bytes);
	in->active_bytes += job->charge_bytes;
	if (command.out_bytes == 0) {
		ship_job_run(job);
		return NULL;
	}
	job->state = SHIP_JOB_RECEIVING;
	job->buf = buf_get(in->pool, command.out_bytes);
	if (!job->buf) {
		job->again = true; /* out of memory: its data is dropped, the ingress tries again */
	}
	return NULL;
}

static struct ship_job *ship_job_find(struct ship_in *in, uint64_t tag)
{
	uint16_t slot = (uint16_t)tag;
	struct ship_job *job = slot < SHIP_WINDOW_COMMANDS ? &in->jobs[slot] : NULL;

	return job && job->state != SHIP_JOB_FREE && job->tag == tag ? job : NULL;
}

const char *ship_job_data(
	struct ship_in *in, uint64_t tag, uint32_t offset, uint32_t bytes, uint8_t **to)
{
	struct ship_job *job = ship_job_find(in, tag);

	if (!job || job->state != SHIP_JOB_RECEIVING) {
		return "no command waits for this data";
	}
	if (offset != job->received || bytes > job->task.out_length - job->received) {
		return "data-out that the command did not announce";
	}
	*to = job->buf ? job->buf->data + offset : NULL;
	job->received += bytes;
	return NULL;
}

void ship_job_data_end(struct ship_in *in, uint64_t tag)
{
	struct ship_job *job = ship_job_find(in, tag);

	if (!job || job->received < job->task.out_length) {
		return;
	}
	if (job->again) {
		ship_job_answer(job);
	} else {
		ship_job_run(job);
	}
}

const char *ship_job_abort(struct ship_in *in, uint64_t tag)
{
	struct ship_job *job = ship_job_find(in, tag);

	if (!job || job->abort) {
		return NULL; /* it crossed the RESULT */
	}
	switch (job->state) {
	case SHIP_JOB_FREE:
	case SHIP_JOB_ANSWERING:
		break;
	case SHIP_JOB_RECEIVING:
		job->abort = true;
		ship_job_answer(job);
		break;
	case SHIP_JOB_RUNNING:
		job->abort = true;
		ship_job_serve(job)->task_abort(ship_job_serve(job)->ctx, &job->task);
		break;
	}
	return NULL;
}

bool ship_jobs_use_nexus(const struct ship_in *in, const struct scsi_nexus *nexus)
{
	for (size_t i = 0; i < SHIP_WINDOW_COMMANDS; i++) {
		if (in->jobs[i].state != SHIP_JOB_FREE && in->jobs[i].task.nexus == nexus) {
			return true;
		}
	}
	return false;
}

struct ship_job *ship_jobs_new(struct ship_in *in)
{
	struct ship_job *jobs = calloc(SHIP_WINDOW_COMMANDS, sizeof(*jobs));

	for (size_t i = 0; jobs && i < SHIP_WINDOW_COMMANDS; i++) {
		jobs[i].in = in;
		jobs[i].tx.fill = ship_job_fill;
	}
	return jobs;
}

void ship_jobs_abort(struct ship_in *in)
{
	for (size_t i = 0; in->jobs && i < SHIP_WINDOW_COMMANDS; i++) {
		struct ship_job *job = &in->jobs[i];

		switch (job->state) {
		case SHIP_JOB_FREE:
			break;
		case SHIP_JOB_RECEIVING:
		case SHIP_JOB_ANSWERING:
			ship_job_release(job);
			break;
		case SHIP_JOB_RUNNING:
			/* done() may run inside; the connection is busy, so `in` stays. */
			job->recording = ship_job_serve(job)->task_abort(
				ship_job_serve(job)->ctx, &job->task);
			in->jobs_recording += job->recording;
			break;
		}
	}
}

void ship_jobs_drop(struct ship_in *in)
{
	for (size_t i = 0; in->jobs && i < SHIP_WINDOW_COMMANDS; i++) {
		struct ship_job *job = &in->jobs[i];

		if (job->state != SHIP_JOB_FREE) {
			if (job->task.buf != job->buf) {
				buf_put(reactor_buffers(in->conn.port->reactor), job->task.buf);
			}
			buf_put(in->pool, job->buf);
		}
	}
}

/* ----- TMFs ------------------------------------------------------------------------------------
 */

static bool ship_tmf_in_fill(struct ship_conn *conn, struct ship_tx *tx)
{
	struct ship_tmf_in *record = container_of(tx, struct ship_tmf_in, tx);
	struct cursor c = ship_frame_begin(conn);

	ship_frame_end(conn, &c, SHIP_TMF_DONE, 0, record->tag);
	record->busy = false;
	return false;
}

static void ship_tmf_in_done(void *arg)
{
	struct ship_tmf_in *record = arg;
	struct ship_in *in = record->in;

	in->tmfs_running--;
	if (in->conn.state == SHIP_CLOSED) {
		record->busy = false;
		ship_in_check_end(in);
		return;
	}
	ship_conn_send(&in->conn, &record->tx);
}

struct ship_tmf_in *ship_tmfs_new(struct ship_in *in)
{
	struct ship_tmf_in *records = calloc(SHIP_TMFS, sizeof(*records));

	for (size_t i = 0; records && i < SHIP_TMFS; i++) {
		records[i].in = in;
		records[i].tx.fill = ship_tmf_in_fill;
	}
	return records;
}

const char *ship_tmf_in(struct ship_in *in, uint64_t tag, struct cursor *body)
{
	const struct group_serve *serve = in->conn.ship->serve;
	struct ship_tmf_in *record = NULL;

	for (size_t i = 0; i < SHIP_TMFS && !record; i++) {
		record = in->tmfs[i].busy ? NULL : &in->tmfs[i];
	}
	if (!record) {
		return "more TMFs than the window allows";
	}
	memset(&record->tmf.who, 0, sizeof(record->tmf.who));
	/* Of a session of the peer's, perhaps at a port of ours that it has adopted. */
	if (!ship_tmf_get(body, &record->tmf)) {
		return "malformed TMF";
	}
	record->busy = true;
	record->tag = tag;
	in->tmfs_running++;
	serve->tmf_peer(serve->ctx, in->conn.port->reactor,
		(enum scsi_tmf_function)record->tmf.function, record->tmf.lu, &record->tmf.who,
		ship_tmf_in_done, record);
	return NULL;
}
