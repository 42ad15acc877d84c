/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: requests to the management interface, through its real socket. The first byte
 * chooses a row of the table of routes (or, above them, a path of the input's own), then comes a
 * line that stands for the {name} in the path, the rest is the body. Every request gets one answer
 * in JSON whose status the table knows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_rig.h"
#include "daemon/control/control_private.h"
#include "tests/fuzz/drive.h"

static struct rig rig;

static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

/* The name with every byte escaped, so that the request line stays one. */
static void path_put(FILE *to, const char *path, const uint8_t *name, size_t length)
{
	const char *brace = strchr(path, '{');

	if (!brace) {
		fputs(path, to);
		return;
	}
	fprintf(to, "%.*s", (int)(brace - path), path);
	for (size_t i = 0; i < length; i++) {
		fprintf(to, "%%%02X", name[i]);
	}
	fputs(strchr(brace, '}') + 1, to);
}

static bool status_known(int status)
{
	for (unsigned i = 0; i < CONTROL_ERRORS; i++) {
		if ((unsigned)status == control_error_status((enum control_error)i)) {
			return true;
		}
	}
	return status == 200;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig_client client;
	unsigned rows = 0;
	const uint8_t *end;
	size_t name_length, length = 0;
	struct rig_answer answer;
	char *request = NULL;
	FILE *to;

	if (size == 0 || size > CONTROL_BODY_MAX) {
		return 0;
	}
	if (rig.stops) { /* a daemon that ends refuses everything */
		rig_close(&rig);
		rig.loop = NULL;
	}
	if (!rig.loop) {
		rig_open(&rig, true);
	}
	while (control_routes[rows].method) {
		rows++;
	}
	end = memchr(data + 1, '\n', size - 1);
	name_length = end ? (size_t)(end - data) - 1 : size - 1;
	name_length = name_length < 200 ? name_length : 200;
	to = open_memstream(&request, &length);
	expect(to);
	if (data[0] < rows) {
		fprintf(to, "%s ", control_routes[data[0]].method);
		path_put(to, control_routes[data[0]].path, data + 1, name_length);
	} else {
		fputs("POST ", to);
		path_put(to, "/{path}", data + 1, name_length);
	}
	end = end ? end + 1 : data + size;
	fprintf(to, " HTTP/1.1\r\nHost: y\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
		(size_t)(data + size - end));
	fwrite(end, 1, (size_t)(data + size - end), to);
	expect(fclose(to) == 0);
	rig_client_open(&rig, &client, request, length);
	rig_client_finish(&client, &answer);
	free(request);
	expect(status_known(answer.status) && json_is_object(answer.json));
	expect((answer.status == 200) == !json_object_get(answer.json, "error"));
	json_decref(answer.json);
	return 0;
}

static void rig_end(void)
{
	if (rig.loop) {
		rig_close(&rig);
	}
}

static const char *const words[] = {"{", "}", "\"", ":", "\\u0000", "null", "1e400", "[", "]",
	"9223372036854775808", "-1", "\"group\"", "\"timeout_ms\"", ",", "\xff", NULL};

const struct fuzz_target fuzz_target = {
	.corpus = "control", .mutations = 60, .words = words, .end = rig_end};
