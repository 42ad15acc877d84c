/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * yoke-faultdisk: a shared disk that can be told to go wrong. A directory of files is served as a
 * FUSE file system, once for each controller; a control socket (SOCK_SEQPACKET, one message a
 * command, one the answer) says what goes wrong:
 *
 *	attach NAME		with the descriptor of a /dev/fuse that the sender has mounted
 *	detach NAME		the controller has lost its power
 *	rule ACTION [from=NAME] [file=NAME] [op=KIND,KIND...] [at=FIRST-LAST] [count=N] [ms=N]
 *	unrule ID | unrule all	what a rule holds goes on
 *	status			as JSON
 *
 * ACTION: hold slow late eio enospc torn lost.
 * KIND: read write zero sync ioctl; write,zero when none is named.
 * FIRST and LAST are bytes. Answers begin with "ok" or "error".
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/faultdisk/disk.h"
#include "tests/faultdisk/serve.h"
#include "yoke/util.h"

#define MAIN_CLIENTS_MAX 16
#define MAIN_TEXT_MAX	 4096
#define MAIN_ANSWER_MAX	 65536

static volatile sig_atomic_t main_signalled;

static void main_signal(int number)
{
	main_signalled = 1;
}

struct main_state {
	struct disk disk;
	struct serve_link *links[DISK_NEXUSES_MAX]; /* by nexus */
	int listener;
	int clients[MAIN_CLIENTS_MAX];
	unsigned client_count;
	bool stdin_ends;
	char answer[MAIN_ANSWER_MAX];
	size_t answered;
};

static uint64_t main_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ----- commands ---------------------------------------------------------------------------------
 */

static void answer_add(struct main_state *state, const char *fmt, ...) YOKE_PRINTF(2, 3);
static void answer_add(struct main_state *state, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(
		state->answer + state->answered, MAIN_ANSWER_MAX - state->answered, fmt, args);
	va_end(args);
	state->answered += n > 0 ? (size_t)n : 0;
	if (state->answered >= MAIN_ANSWER_MAX) {
		state->answered = MAIN_ANSWER_MAX - 1;
	}
}

static void link_drop(struct main_state *state, int nexus)
{
	struct serve_link *link = state->links[nexus];

	state->links[nexus] = NULL;
	if (link) {
		serve_detach(link);
	}
}

static void command_attach(struct main_state *state, char *const words[], int fd)
{
	int nexus = words[1] ? disk_nexus_get(&state->disk, words[1]) : DISK_ANY;

	if (nexus == DISK_ANY || fd < 0) {
		answer_add(state, "error: attach NAME, with a descriptor");
		if (fd >= 0) {
			close(fd);
		}
		return;
	}
	link_drop(state, nexus);
	state->links[nexus] = serve_attach(&state->disk, nexus, fd);
	answer_add(state, state->links[nexus] ? "ok" : "error: cannot be served");
}

static void command_detach(struct main_state *state, char *const words[], int fd)
{
	int nexus = words[1] ? disk_nexus_find(&state->disk, words[1]) : DISK_ANY;

	if (nexus != DISK_ANY) {
		link_drop(state, nexus);
	}
	answer_add(state, "ok");
}

static bool kinds_parse(char *text, unsigned *kinds)
{
	char *rest = NULL;

	*kinds = 0;
	for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		unsigned kind = 0;

		while (kind < DISK_KINDS &&
			strcmp(disk_kind_name((enum disk_kind)kind), word) != 0) {
			kind++;
		}
		if (kind == DISK_KINDS && strcmp(word, "all") != 0) {
			return false;
		}
		*kinds |= kind == DISK_KINDS ? (1u << DISK_KINDS) - 1 : 1u << kind;
	}
	return *kinds != 0;
}

/* One "key=value" of a rule; false when it makes no sense. */
static bool rule_word(struct main_state *state, struct disk_rule *rule, char *word)
{
	char *value = strchr(word, '=');

	if (!value) {
		return false;
	}
	*value++ = '\0';
	if (strcmp(word, "from") == 0) {
		rule->nexus = disk_nexus_get(&state->disk, value);
		return rule->nexus != DISK_ANY;
	}
	if (strcmp(word, "file") == 0) {
		rule->file = disk_file_find(&state->disk, value);
		return rule->file != DISK_ANY;
	}
	if (strcmp(word, "op") == 0) {
		return kinds_parse(value, &rule->kinds);
	}
	if (strcmp(word, "at") == 0) {
		return sscanf(value, "%" SCNu64 "-%" SCNu64, &rule->first_byte, &rule->last_byte) ==
		       2;
	}
	if (strcmp(word, "count") == 0) {
		return sscanf(value, "%u", &rule->left) == 1;
	}
	return strcmp(word, "ms") == 0 && sscanf(value, "%u", &rule->delay_ms) == 1;
}

static void command_rule(struct main_state *state, char *const words[], int fd)
{
	struct disk_rule rule = {
		.nexus = DISK_ANY,
		.file = DISK_ANY,
		.kinds = 1u << DISK_WRITE | 1u << DISK_ZERO,
		.last_byte = UINT64_MAX,
	};

	if (!words[1] || !disk_action_find(words[1], &rule.action)) {
		answer_add(state, "error: no such action");
		return;
	}
	for (unsigned i = 2; words[i]; i++) {
		if (!rule_word(state, &rule, words[i])) {
			answer_add(state, "error: %s makes no sense", words[i]);
			return;
		}
	}
	if (disk_rule_add(&state->disk, &rule)) {
		answer_add(state, "ok %u", rule.id);
	} else {
		answer_add(state, "error: too many rules");
	}
}

static void command_unrule(struct main_state *state, char *const words[], int fd)
{
	if (words[1] && strcmp(words[1], "all") == 0) {
		disk_rules_clear(&state->disk);
		answer_add(state, "ok");
		return;
	}
	if (words[1] && disk_rule_remove(&state->disk, (unsigned)strtoul(words[1], NULL, 10))) {
		answer_add(state, "ok");
	} else {
		answer_add(state, "error: no such rule");
	}
}

static void command_status(struct main_state *state, char *const words[], int fd)
{
	const struct disk *disk = &state->disk;

	answer_add(state, "ok {\"applied\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"nexuses\":[",
		disk->applied, disk->refused);
	for (int i = 0; i < disk->nexus_count; i++) {
		answer_add(state, "%s{\"name\":\"%s\",\"attached\":%s,\"waiting\":%u}",
			i ? "," : "", disk->nexuses[i], state->links[i] ? "true" : "false",
			disk_waiting(disk, i));
	}
	answer_add(state, "],\"rules\":[");
	for (unsigned i = 0, n = 0; i < DISK_RULES_MAX; i++) {
		if (disk->rules[i].id) {
			answer_add(state, "%s{\"id\":%u,\"action\":\"%s\",\"hits\":%u}",
				n++ ? "," : "", disk->rules[i].id,
				disk_action_name(disk->rules[i].action), disk->rules[i].hits);
		}
	}
	answer_add(state, "],\"files\":[");
	for (int i = 0; i < disk->file_count; i++) {
		const struct disk_reservation *pr = &disk->files[i].pr;

		answer_add(state,
			"%s{\"name\":\"%s\",\"holder\":\"%s\",\"key\":\"%016" PRIx64 "\"}",
			i ? "," : "", disk->files[i].name,
			pr->holder == DISK_ANY ? "" : disk->nexuses[pr->holder],
			pr->holder == DISK_ANY ? 0 : pr->keys[pr->holder]);
	}
	answer_add(state, "]}");
}

static const struct {
	const char *name;
	void (*run)(struct main_state *state, char *const words[], int fd);
} commands[] = {
	{"attach", command_attach},
	{"detach", command_detach},
	{"rule", command_rule},
	{"unrule", command_unrule},
	{"status", command_status},
};

static void command_run(struct main_state *state, char *text, int fd)
{
	char *words[16] = {NULL}, *rest = NULL;
	unsigned count = 0;

	for (char *w = strtok_r(text, " \n", &rest); w && count + 1 < ARRAY_SIZE(words);
		w = strtok_r(NULL, " \n", &rest)) {
		words[count++] = w;
	}
	state->answered = 0;
	for (unsigned i = 0; count && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(words[0], commands[i].name) == 0) {
			commands[i].run(state, words, fd);
			return;
		}
	}
	answer_add(state, "error: no such command");
	if (fd >= 0) {
		close(fd);
	}
}

/* ----- the control socket -----------------------------------------------------------------------
 */

static int message_fd(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	}
	return fd;
}

/* False when the client has gone. */
static bool client_ready(struct main_state *state, int client)
{
	char text[MAIN_TEXT_MAX], space[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space),
	};
	ssize_t n = recvmsg(client, &msg, MSG_CMSG_CLOEXEC);

	if (n <= 0) {
		return false;
	}
	text[n] = '\0';
	command_run(state, text, message_fd(&msg));
	return send(client, state->answer, state->answered, MSG_NOSIGNAL) >= 0;
}

static int listener_make(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || strlen(path) >= sizeof(address.sun_path) ||
		bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0) {
		fprintf(stderr, "yoke-faultdisk: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	return fd;
}

/* ----- the loop ---------------------------------------------------------------------------------
 */

static void client_drop(struct main_state *state, unsigned i)
{
	close(state->clients[i]);
	state->clients[i] = state->clients[--state->client_count];
}

static void main_turn(struct main_state *state)
{
	struct pollfd polls[2 + DISK_NEXUSES_MAX + MAIN_CLIENTS_MAX];
	nfds_t count = 0;
	uint64_t next, now = main_now_ms();
	unsigned clients = state->client_count;

	state->disk.now_ms = now;
	next = disk_tick(&state->disk);
	polls[count++] = (struct pollfd){
		.fd = clients < MAIN_CLIENTS_MAX ? state->listener : -1, .events = POLLIN};
	polls[count++] =
		(struct pollfd){.fd = state->stdin_ends ? STDIN_FILENO : -1, .events = POLLIN};
	for (int i = 0; i < DISK_NEXUSES_MAX; i++) {
		int fd = state->links[i] ? serve_fd(state->links[i]) : -1;

		polls[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	for (unsigned i = 0; i < clients; i++) {
		polls[count++] = (struct pollfd){.fd = state->clients[i], .events = POLLIN};
	}
	if (poll(polls, count, next ? (int)(next > now ? next - now : 0) : -1) <= 0) {
		return;
	}
	state->disk.now_ms = main_now_ms();
	for (int i = 0; i < DISK_NEXUSES_MAX; i++) {
		if (polls[2 + i].revents && !serve_ready(state->links[i])) {
			link_drop(state, i);
		}
	}
	for (unsigned i = clients; i-- > 0;) {
		if (polls[2 + DISK_NEXUSES_MAX + i].revents &&
			!client_ready(state, state->clients[i])) {
			client_drop(state, i);
		}
	}
	if (polls[0].revents) {
		int client = accept4(state->listener, NULL, NULL, SOCK_CLOEXEC);

		if (client >= 0) {
			state->clients[state->client_count++] = client;
		}
	}
	if (polls[1].revents) {
		char byte;

		main_signalled = main_signalled || read(STDIN_FILENO, &byte, 1) <= 0;
	}
}

static const char main_usage[] = "Usage: yoke-faultdisk --disk DIRECTORY --socket PATH [--log "
				 "FILE] [--mount NAME=DIRECTORY]... "
				 "[--until-eof]\n";

static void main_mount(struct main_state *state, char *text)
{
	char *directory = strchr(text, '=');
	int nexus;

	if (directory) {
		*directory++ = '\0';
	}
	nexus = directory ? disk_nexus_get(&state->disk, text) : DISK_ANY;
	if (nexus == DISK_ANY || state->links[nexus]) {
		fputs(main_usage, stderr);
		exit(2);
	}
	state->links[nexus] = serve_mount(&state->disk, nexus, directory);
	if (!state->links[nexus]) {
		fprintf(stderr, "yoke-faultdisk: %s cannot be mounted\n", directory);
		exit(1);
	}
}

static void main_options(struct main_state *state, int argc, char **argv)
{
	static const struct option longs[] = {
		{"disk", required_argument, NULL, 'd'},
		{"socket", required_argument, NULL, 's'},
		{"log", required_argument, NULL, 'l'},
		{"mount", required_argument, NULL, 'm'},
		{"until-eof", no_argument, NULL, 'e'},
		{NULL, 0, NULL, 0},
	};
	char *disk = NULL, *path = NULL, *log = NULL, *mounts[DISK_NEXUSES_MAX];
	unsigned mount_count = 0;
	int option, err;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'd':
			disk = optarg;
			break;
		case 's':
			path = optarg;
			break;
		case 'l':
			log = optarg;
			break;
		case 'm':
			if (mount_count < DISK_NEXUSES_MAX) {
				mounts[mount_count++] = optarg;
			}
			break;
		case 'e':
			state->stdin_ends = true;
			break;
		default:
			fputs(main_usage, stderr);
			exit(2);
		}
	}
	if (!disk || !path) {
		fputs(main_usage, stderr);
		exit(2);
	}
	err = disk_open(&state->disk, disk);
	if (err) {
		fprintf(stderr, "yoke-faultdisk: %s: %s\n", disk, strerror(-err));
		exit(1);
	}
	state->disk.log = log ? fopen(log, "ae") : NULL;
	if (log && !state->disk.log) {
		fprintf(stderr, "yoke-faultdisk: %s: %s\n", log, strerror(errno));
		exit(1);
	}
	for (unsigned i = 0; i < mount_count; i++) {
		main_mount(state, mounts[i]);
	}
	state->listener = listener_make(path);
}

int main(int argc, char **argv)
{
	static struct main_state state;
	struct sigaction action = {.sa_handler = main_signal};

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	main_options(&state, argc, argv);
	while (!main_signalled) {
		main_turn(&state);
	}
	/* First the mounts: nobody may be left waiting for what is held. */
	for (int i = 0; i < DISK_NEXUSES_MAX; i++) {
		link_drop(&state, i);
	}
	disk_rules_clear(&state.disk);
	state.disk.now_ms = UINT64_MAX;
	disk_tick(&state.disk);
	disk_close(&state.disk);
	if (state.disk.log) {
		fclose(state.disk.log);
	}
	return 0;
}
