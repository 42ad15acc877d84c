/* SPDX-License-Identifier: BSD-3-Clause */
/* yoke-load: options, threads, the measurement, and its result as JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/load.h"
#include "tests/io/clock.h"

#define THREADS_MAX 64u
#define EVENTS	    256
#define READY_S	    60.0

atomic_bool load_counting, load_stop;

static const char *const kind_names[LOAD_KINDS] = {
	[LOAD_RANDREAD] = "randread",
	[LOAD_RANDWRITE] = "randwrite",
	[LOAD_RANDRW] = "randrw",
	[LOAD_READ] = "read",
	[LOAD_WRITE] = "write",
	[LOAD_LOGIN] = "login",
	[LOAD_IDLE] = "idle",
};

const char *load_kind_name(enum load_kind kind)
{
	return (unsigned)kind < LOAD_KINDS ? kind_names[kind] : "unknown";
}

static const char usage[] =
	"Usage: yoke-load --portal ADDRESS:PORT --target IQN [OPTION...]\n"
	"  --rw KIND         randread, randwrite, randrw (70 % reads), read, write, login, idle\n"
	"  --lun N[-M]       LUN, or a range of them taken by turn (default 0)\n"
	"  --sessions N      (1)   --depth N  commands in flight of each (1)   --threads N  (1)\n"
	"  --first N         number of the first session: loads at the same time need others (0)\n"
	"  --bs BYTES        of a command (4096)   --span BYTES  of each LU that is used (1 GiB)\n"
	"  --lba BYTES       logical block size of the LU (512)\n"
	"  --seconds S       (1)   --warmup S  (0.3)\n"
	"  --header-digest --data-digest   CRC32C\n"
	"  --verify          write every block first, then check what every read brings\n"
	"  --spin            poll without sleeping\n"
	"  --pid PID         measure that process's CPU and memory too; of several, the sum\n"
	"Prints one JSON object. Exit: 0 good, 1 an error or a wrong block, 2 wrong use.\n";

/* ----- the target's process ------------------------------------------------------------------- */

static double process_cpu_s(int pid)
{
	char path[64], line[1024];
	unsigned long user = 0, system = 0;
	const char *at;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f) {
		return 0;
	}
	at = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	if (!at || sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
			   &system) != 2) {
		return 0;
	}
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static long process_rss_kib(int pid)
{
	char path[64], line[256];
	long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		/* Its own: what is mapped of the page cache is there anyway. */
		if (sscanf(line, "RssAnon: %ld", &kib) == 1) {
			break;
		}
	}
	if (f) {
		fclose(f);
	}
	return kib;
}

static double targets_cpu_s(const struct load_options *o)
{
	double sum = 0;

	for (unsigned i = 0; i < o->targets; i++) {
		sum += process_cpu_s(o->target_pids[i]);
	}
	return sum;
}

static long targets_rss_kib(const struct load_options *o)
{
	long sum = 0;

	for (unsigned i = 0; i < o->targets; i++) {
		sum += process_rss_kib(o->target_pids[i]);
	}
	return sum;
}

/* ----- a thread ------------------------------------------------------------------------------- */

static bool serve(struct load_session *s)
{
	if (!load_session_input(s)) {
		return false;
	}
	if (s->state != LOAD_FULL || s->thread->options->kind >= LOAD_LOGIN) {
		return true;
	}
	load_work_issue(s);
	return load_session_flush(s);
}

static void *run(void *arg)
{
	struct load_thread *t = arg;
	struct epoll_event events[EVENTS];

	for (unsigned i = 0; i < t->session_count; i++) {
		if (!load_session_open(&t->sessions[i])) {
			break;
		}
	}
	while (!atomic_load_explicit(&load_stop, memory_order_relaxed)) {
		int n = epoll_wait(t->epoll, events, EVENTS, t->options->spin ? 0 : 50);

		t->counting = atomic_load_explicit(&load_counting, memory_order_relaxed);
		for (int i = 0; i < n; i++) {
			if (!serve(events[i].data.ptr)) {
				break;
			}
		}
	}
	return NULL;
}

static bool thread_make(struct load_thread *t, const struct load_options *o, unsigned number)
{
	unsigned first = o->sessions * number / o->threads,
		 end = o->sessions * (number + 1) / o->threads;

	t->options = o;
	t->number = number;
	t->seed = 0x9e3779b97f4a7c15ull * (number + 1);
	t->session_count = end - first;
	t->sessions = calloc(t->session_count ? t->session_count : 1, sizeof(*t->sessions));
	t->rx = aligned_alloc(4096, LOAD_RX_BYTES);
	t->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!t->sessions || !t->rx || t->epoll < 0) {
		return load_fail(t, "out of memory or descriptors");
	}
	for (unsigned i = 0; i < t->session_count; i++) {
		t->sessions[i].thread = t;
		t->sessions[i].number = first + i;
		t->sessions[i].fd = -1;
		if (!load_work_init(&t->sessions[i])) {
			return false;
		}
	}
	return true;
}

static void thread_free(struct load_thread *t)
{
	for (unsigned i = 0; t->sessions && i < t->session_count; i++) {
		load_session_close(&t->sessions[i]);
		load_work_free(&t->sessions[i]);
	}
	free(t->sessions);
	free(t->rx);
	close(t->epoll);
}

/* ----- the measurement ------------------------------------------------------------------------ */

/* Read from outside the threads: numbers that only grow, for a decision that may come late. */
static bool all_ready(const struct load_options *o, struct load_thread *threads)
{
	unsigned ready = 0;

	for (unsigned i = 0; i < o->threads; i++) {
		ready += *(volatile unsigned *)&threads[i].ready;
		for (unsigned k = 0; o->verify && k < threads[i].session_count; k++) {
			if (!load_work_filled(&threads[i].sessions[k])) {
				return false;
			}
		}
	}
	return o->kind == LOAD_LOGIN || ready >= o->sessions;
}

static void pause_s(double seconds)
{
	uint64_t until = clock_ns() + (uint64_t)(seconds * 1e9);

	while (!atomic_load(&load_stop) && clock_ns() < until) {
		uint64_t left = until - clock_ns();

		usleep((useconds_t)(left < 20000000u ? left / 1000u : 20000u));
	}
}

struct measured {
	double seconds, cpu_s, own_cpu_s, ready_s;
	long rss_kib;
};

static double own_cpu_s(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static struct measured measure(const struct load_options *o, struct load_thread *threads)
{
	struct measured m = {0};
	uint64_t began = clock_ns(), from;

	while (!atomic_load(&load_stop) && !all_ready(o, threads)) {
		usleep(200);
		if (!o->verify && (double)(clock_ns() - began) / 1e9 > READY_S) {
			load_fail(&threads[0], "not all sessions were logged in after %.0f s",
				READY_S);
		}
	}
	m.ready_s = (double)(clock_ns() - began) / 1e9;
	pause_s(o->warmup_s);
	m.cpu_s = targets_cpu_s(o);
	m.own_cpu_s = own_cpu_s();
	from = clock_ns();
	atomic_store(&load_counting, true);
	pause_s(o->seconds);
	atomic_store(&load_counting, false);
	m.seconds = (double)(clock_ns() - from) / 1e9;
	m.cpu_s = targets_cpu_s(o) - m.cpu_s;
	m.own_cpu_s = own_cpu_s() - m.own_cpu_s;
	m.rss_kib = targets_rss_kib(o);
	atomic_store(&load_stop, true);
	return m;
}

static void print(const struct load_options *o, const struct load_result *r,
	const struct measured *m, const char *error)
{
	uint64_t n = o->kind >= LOAD_LOGIN ? r->logins : r->commands;
	double per = n ? 1e6 / (double)n : 0;

	printf("{\"kind\": \"%s\", \"sessions\": %u, \"depth\": %u, \"luns\": %u, \"bs\": %u, "
	       "\"seconds\": %.3f, \"ready_s\": %.4f, \"count\": %" PRIu64 ", \"per_s\": %.1f, "
	       "\"bytes_per_s\": %.0f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, "
	       "\"max_us\": %.2f, \"target_cpu_us\": %.3f, \"target_cpu_s\": %.3f, \"own_cpu_us\": "
	       "%.3f, "
	       "\"target_rss_kib\": %ld, \"unit_attentions\": %" PRIu64 ", \"verified\": %" PRIu64
	       ", \"mismatches\": %" PRIu64 ", \"error\": ",
		load_kind_name(o->kind), o->sessions, o->depth, o->luns, o->block_bytes, m->seconds,
		m->ready_s, n, (double)n / m->seconds, (double)r->bytes / m->seconds,
		(double)histogram_quantile_ns(&r->latency, 0.5) / 1e3,
		(double)histogram_quantile_ns(&r->latency, 0.99) / 1e3,
		(double)histogram_quantile_ns(&r->latency, 0.999) / 1e3,
		(double)r->latency.max_ns / 1e3, m->cpu_s * per, m->cpu_s, m->own_cpu_s * per,
		m->rss_kib, r->unit_attentions, r->verified, r->mismatches);
	printf(error[0] ? "\"%s\"}\n" : "null}\n", error);
}

/* ----- options -------------------------------------------------------------------------------- */

static bool number(const char *text, double low, double high, double *value)
{
	char *end;
	double v = strtod(text, &end);
	double unit = *end == 'K'   ? 1024.0
		      : *end == 'M' ? 1048576.0
		      : *end == 'G' ? 1073741824.0
				    : 1.0;

	*value = v * unit;
	return end != text && (*end == '\0' || end[1] == '\0') && *value >= low && *value <= high;
}

static bool portal_read(const char *text, struct sockaddr_in *portal)
{
	char address[64];
	const char *colon = strrchr(text, ':');
	double port = 3260;

	snprintf(address, sizeof(address), "%.*s", (int)(colon ? colon - text : (long)strlen(text)),
		text);
	if (colon && !number(colon + 1, 1, 65535, &port)) {
		return false;
	}
	portal->sin_family = AF_INET;
	portal->sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, address, &portal->sin_addr) == 1;
}

static bool kind_read(const char *text, enum load_kind *kind)
{
	for (unsigned i = 0; i < LOAD_KINDS; i++) {
		if (strcmp(text, kind_names[i]) == 0) {
			*kind = (enum load_kind)i;
			return true;
		}
	}
	return false;
}

static bool lun_read(const char *text, struct load_options *o)
{
	unsigned first, last;

	if (sscanf(text, "%u-%u", &first, &last) == 2 && last >= first && last < 16384) {
		o->lun = first;
		o->luns = last - first + 1;
		return true;
	}
	o->luns = 1;
	return sscanf(text, "%u", &o->lun) == 1 && o->lun < 16384;
}

static const struct option long_options[] = {
	{"portal", required_argument, NULL, 'p'},
	{"target", required_argument, NULL, 't'},
	{"rw", required_argument, NULL, 'r'},
	{"lun", required_argument, NULL, 'l'},
	{"sessions", required_argument, NULL, 's'},
	{"depth", required_argument, NULL, 'd'},
	{"threads", required_argument, NULL, 'j'},
	{"first", required_argument, NULL, 'f'},
	{"bs", required_argument, NULL, 'b'},
	{"span", required_argument, NULL, 'S'},
	{"lba", required_argument, NULL, 'L'},
	{"seconds", required_argument, NULL, 'n'},
	{"warmup", required_argument, NULL, 'w'},
	{"header-digest", no_argument, NULL, 'H'},
	{"data-digest", no_argument, NULL, 'D'},
	{"verify", no_argument, NULL, 'v'},
	{"spin", no_argument, NULL, 'x'},
	{"pid", required_argument, NULL, 'P'},
	{NULL, 0, NULL, 0},
};

static bool option_take(struct load_options *o, int c, const char *text)
{
	double v = 0;
	bool good = true;

	switch (c) {
	case 'p':
		return portal_read(text, &o->portal);
	case 't':
		o->target = text;
		break;
	case 'r':
		return kind_read(text, &o->kind);
	case 'l':
		return lun_read(text, o);
	case 's':
		good = number(text, 1, LOAD_SESSIONS_MAX, &v);
		o->sessions = (unsigned)v;
		break;
	case 'd':
		good = number(text, 1, LOAD_DEPTH_MAX, &v);
		o->depth = (unsigned)v;
		break;
	case 'j':
		good = number(text, 1, THREADS_MAX, &v);
		o->threads = (unsigned)v;
		break;
	case 'f':
		good = number(text, 0, 65535, &v);
		o->first = (unsigned)v;
		break;
	case 'b':
		good = number(text, 512, 16777216, &v) && (unsigned)v % 512 == 0;
		o->block_bytes = (unsigned)v;
		break;
	case 'S':
		good = number(text, 512, 1e15, &v);
		o->span_bytes = (uint64_t)v;
		break;
	case 'L':
		good = number(text, 512, 4096, &v);
		o->lba_bytes = (unsigned)v;
		break;
	case 'n':
		return number(text, 0.01, 86400, &o->seconds);
	case 'w':
		return number(text, 0, 3600, &o->warmup_s);
	case 'H':
		o->header_digest = true;
		break;
	case 'D':
		o->data_digest = true;
		break;
	case 'v':
		o->verify = true;
		break;
	case 'x':
		o->spin = true;
		break;
	case 'P':
		good = number(text, 1, 4194304, &v) && o->targets < LOAD_TARGETS;
		if (good) {
			o->target_pids[o->targets++] = (int)v;
		}
		break;
	default:
		return false;
	}
	return good;
}

static bool options_read(struct load_options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (!option_take(o, c, optarg)) {
			return false;
		}
	}
	if (o->threads > o->sessions) {
		o->threads = o->sessions;
	}
	if (o->kind >= LOAD_LOGIN) {
		o->depth = 1;
		o->block_bytes = 4096;
		o->verify = false;
	}
	return optind == argc && o->target && o->portal.sin_port &&
	       o->span_bytes >= o->block_bytes && o->block_bytes % o->lba_bytes == 0 &&
	       (!o->verify ||
		       o->span_bytes / o->block_bytes * o->luns / o->sessions >= 2 * o->depth);
}

int main(int argc, char **argv)
{
	struct load_options o = {.kind = LOAD_RANDREAD,
		.luns = 1,
		.sessions = 1,
		.depth = 1,
		.threads = 1,
		.block_bytes = 4096,
		.lba_bytes = 512,
		.span_bytes = 1ull << 30,
		.seconds = 1,
		.warmup_s = 0.3};
	static struct load_thread threads[THREADS_MAX];
	static struct load_result sum;
	pthread_t ids[THREADS_MAX];
	struct rlimit files = {LOAD_SESSIONS_MAX + 100, LOAD_SESSIONS_MAX + 100};
	struct measured m;
	const char *error = "";

	if (!options_read(&o, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	for (unsigned i = 0; i < o.threads; i++) {
		if (!thread_make(&threads[i], &o, i)) {
			fprintf(stderr, "yoke-load: %s\n", threads[i].error);
			return 1;
		}
	}
	for (unsigned i = 0; i < o.threads; i++) {
		if (pthread_create(&ids[i], NULL, run, &threads[i])) {
			fprintf(stderr, "yoke-load: no thread: %s\n", strerror(errno));
			return 1;
		}
	}
	m = measure(&o, threads);
	for (unsigned i = 0; i < o.threads; i++) {
		const struct load_result *r = &threads[i].result;

		pthread_join(ids[i], NULL);
		sum.commands += r->commands;
		sum.bytes += r->bytes;
		sum.logins += r->logins;
		sum.unit_attentions += r->unit_attentions;
		sum.mismatches += r->mismatches;
		sum.verified += r->verified;
		histogram_merge(&sum.latency, &r->latency);
		error = threads[i].error[0] ? threads[i].error : error;
	}
	print(&o, &sum, &m, error);
	for (unsigned i = 0; i < o.threads; i++) {
		thread_free(&threads[i]);
	}
	return error[0] || sum.mismatches ? 1 : 0;
}
