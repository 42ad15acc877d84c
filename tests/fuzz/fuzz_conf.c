/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz entry of the configuration loader: what loads must dump, and load again to the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/drive.h"
#include "yoke/conf.h"
#include "yoke/util.h"

static void require(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_conf: %s\n", what);
		abort();
	}
}

/* The same bytes as a secrets file: accepted or complained about. */
static void secrets_parse(const char *text, size_t size)
{
	static const struct conf nobody;
	struct conf_error *errors;
	struct conf_secrets *secrets = conf_secrets_parse(&nobody, text, size, "fuzz", &errors);

	require(!secrets == !!errors, "neither secrets nor an error");
	conf_errors_free(errors);
	conf_secrets_free(secrets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_error *errors;
	struct conf *conf = conf_parse((const char *)data, size, "fuzz", &errors);

	require(!conf == !!errors, "neither a configuration nor an error");
	if (conf) {
		cleanup_free char *dump = conf_dump(conf);
		struct conf *again = conf_parse(dump, strlen(dump), "dump", &errors);

		require(again, errors ? errors->text : "the dump does not load");
		require(!memcmp(conf->digest, again->digest, sizeof(conf->digest)),
			"the dump has another digest");
		conf_free(again);
	}
	conf_free(conf);
	conf_errors_free(errors);
	secrets_parse((const char *)data, size);
	return 0;
}

static const char *const words[] = {": ", "- ", "\n  ", "{", "[", "]", "&a", "*a", "!t", "\"",
	"none", "0", "99999999999999999999", "TiB", "ms", "#", "\xff", NULL};

const struct fuzz_target fuzz_target = {.corpus = "conf", .mutations = 400, .words = words};
