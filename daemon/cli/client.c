/* SPDX-License-Identifier: BSD-3-Clause */
/* One HTTP request over the daemon's unix socket. */
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cli.h"

/* More than the lists of 1,000 sessions and 16,384 LUs need. */
#define CLI_ANSWER_MAX (64u << 20)

struct cli_answer {
	char *bytes;
	size_t length;
};

static size_t cli_answer_add(char *bytes, size_t one, size_t n, void *arg)
{
	struct cli_answer *answer = arg;
	char *grown;

	if (n > CLI_ANSWER_MAX - answer->length) {
		return 0;
	}
	grown = realloc(answer->bytes, answer->length + n);
	if (!grown) {
		return 0;
	}
	memcpy(grown + answer->length, bytes, n);
	answer->bytes = grown;
	answer->length += n;
	return n;
}

enum cli_exit cli_exit_of_status(long status)
{
	switch (status) {
	case 200:
		return CLI_OK;
	case 403: /* not permitted */
	case 409: /* not possible now: busy, no peer, no cluster */
	case 503: /* no quorum, not in sync, stopping */
		return CLI_REFUSED;
	case 404:
		return CLI_NOT_FOUND;
	case 504:
		return CLI_TIMEOUT;
	}
	return CLI_FAILED;
}

char *cli_path(const char *head, const char *name, const char *tail)
{
	char *escaped = curl_easy_escape(NULL, name, 0);
	char *path = NULL;

	if (escaped && asprintf(&path, "%s%s%s", head, escaped, tail) < 0) {
		path = NULL;
	}
	curl_free(escaped);
	return path;
}

/* Tells on standard error why there is no answer, and what that means for the exit code. */
static enum cli_exit cli_curl_failed(const struct cli *cli, CURL *curl, CURLcode code)
{
	const char *cause = curl_easy_strerror(code);
	enum cli_exit ret = CLI_FAILED;
	long os_errno = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
	if (code == CURLE_OPERATION_TIMEDOUT) {
		cause = "no answer in time; is the daemon hung? (see --timeout)";
		ret = CLI_TIMEOUT;
	} else if (code == CURLE_COULDNT_CONNECT && os_errno == EACCES) {
		cause = "permission denied; run this as root";
		ret = CLI_REFUSED;
	} else if (code == CURLE_COULDNT_CONNECT) {
		cause = "no daemon listens there; start yoked, or name its socket with --socket";
		ret = CLI_UNREACHABLE;
	} else if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR ||
		   code == CURLE_SEND_ERROR) {
		cause = "the daemon closed the connection without an answer; see its log";
		ret = CLI_UNREACHABLE;
	}
	if (!cli->quiet) {
		cli_complain("%s: %s", cli->socket, cause);
	}
	return ret;
}

static void cli_refusal_print(const json_t *answer, long status)
{
	const json_t *error = json_object_get(answer, "error");
	const char *message = json_string_value(json_object_get(error, "message"));

	if (!message) {
		cli_complain("the daemon answered with status %ld", status);
		return;
	}
	fputs("yokectl: ", stderr);
	cli_print_clean(stderr, message);
	fputc('\n', stderr);
}

/* Runs a prepared request. */
static enum cli_exit cli_exchange(const struct cli *cli, CURL *curl, json_t **answer)
{
	struct cli_answer got = {0};
	enum cli_exit ret;
	CURLcode code;
	long status = 0;

	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, cli_answer_add);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &got);
	code = curl_easy_perform(curl);
	if (code != CURLE_OK) {
		ret = cli_curl_failed(cli, curl, code);
		goto out;
	}
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	*answer = got.bytes ? json_loadb(got.bytes, got.length, 0, NULL) : NULL;
	ret = cli_exit_of_status(status);
	if (ret != CLI_OK && !cli->quiet) {
		cli_refusal_print(*answer, status);
	} else if (ret == CLI_OK && !json_is_object(*answer)) {
		cli_complain("%s: the answer is not the JSON of a Yoke daemon; is something else "
			     "listening there?",
			cli->socket);
		ret = CLI_FAILED;
	}
	if (ret != CLI_OK) {
		json_decref(*answer);
		*answer = NULL;
	}
out:
	free(got.bytes);
	return ret;
}

static void cli_curl_prepare(const struct cli *cli, CURL *curl, const char *url, const char *method,
	const char *text, long timeout_ms)
{
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, cli->socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
	if (strcmp(method, "POST") == 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text ? text : "");
	}
}

enum cli_exit cli_request(const struct cli *cli, const char *method, const char *path, json_t *body,
	long timeout_ms, json_t **answer)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	CURL *curl = curl_easy_init();
	enum cli_exit ret = CLI_FAILED;
	char *url = NULL;

	*answer = NULL;
	if (strlen(cli->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		cli_complain("%.200s: too long for the path of a socket", cli->socket);
		ret = CLI_USAGE;
	} else if (body && !text) {
		cli_complain("the arguments must be UTF-8");
		ret = CLI_USAGE;
	} else if (!curl || !headers || asprintf(&url, "http://yoked%s", path) < 0) {
		url = NULL;
		cli_complain("out of memory");
	} else {
		cli_curl_prepare(cli, curl, url, method, text, timeout_ms);
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		ret = cli_exchange(cli, curl, answer);
	}
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	json_decref(body);
	free(text);
	free(url);
	return ret;
}
