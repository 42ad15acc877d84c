/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The schema of yoke.yaml: one constant table that feeds the parser, the checks, the defaults, the
 * dump and the reference page. A new setting is a row here and a field in struct conf.
 */
#ifndef CONF_SCHEMA_H
#define CONF_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yoke/conf.h"

#define CONF_PORT_ISCSI	       3260
#define CONF_PORT_INTERCONNECT 3261
#define CONF_PORT_ISNS	       3205

enum conf_type {
	CONF_TYPE_VERSION, /* of the format; checked, not kept */
	CONF_TYPE_CLUSTER, /* a name, or "none" = NULL */
	CONF_TYPE_NAME, /* const char *: what objects are called */
	CONF_TYPE_TEXT, /* const char *: min to max printable ASCII characters */
	CONF_TYPE_PATH, /* const char *: absolute */
	CONF_TYPE_ISCSI_NAME, /* const char *: iqn., eui., naa., in lower case */
	CONF_TYPE_UINT,
	CONF_TYPE_SIZE, /* bytes */
	CONF_TYPE_AMOUNT, /* struct conf_amount: a size within min and max, or 1% to 99% */
	CONF_TYPE_DURATION, /* kept in the key's unit */
	CONF_TYPE_BOOL,
	CONF_TYPE_CHOICE,
	CONF_TYPE_ADDRESS, /* struct conf_address */
	CONF_TYPE_NETWORK, /* struct conf_network */
	CONF_TYPE_SECRET, /* const char *: as TEXT; never shown */
	CONF_TYPE_UUID, /* uint8_t[16], all zero = not given */
	CONF_TYPE_NAA, /* struct conf_naa */
	CONF_TYPE_REF, /* names an object of another section: its index (a controller: its id) */
	CONF_TYPE_MAP, /* a section of keys */
	CONF_TYPE_LIST, /* a list of sections */
	CONF_TYPES,
};
const char *conf_type_name(enum conf_type type);

enum conf_ref {
	CONF_REF_CONTROLLER,
	CONF_REF_GROUP,
	CONF_REF_EXTENT,
	CONF_REF_INITIATOR_GROUP,
	CONF_REFS
};

enum conf_flag {
	CONF_REQUIRED = 1, /* no default: an error when it is missing */
	CONF_CLUSTER_REQUIRED = 2, /* the same, but only with a cluster */
	CONF_UNIQUE = 4, /* no two objects of the list have the same */
	CONF_SCALARS = 8, /* a list of such values; `count` says where their number goes */
	CONF_ZERO_ABSENT = 16, /* 0 means "not given" and is not dumped */
	/* May change while the daemon runs; of a list: objects may come and go. Without one of
	 * these a change needs a restart of the daemons. */
	CONF_ONLINE = 32,
	CONF_RENEW = 64, /* only by removing the object and adding it again */
};

struct conf_choice {
	const char *name;
	int value;
};

struct conf_section;

struct conf_key {
	const char *name;
	enum conf_type type;
	unsigned flags;
	size_t offset; /* of the field (list: of the pointer) in the section's object */
	size_t size; /* of the field, or of one item of a list */
	size_t count; /* lists: offset of the unsigned that counts them */
	uint64_t min, max; /* value; TEXT: characters */
	uint64_t step; /* a multiple of this; 0 = any */
	unsigned items_min, items_max; /* lists */
	const char *unit; /* DURATION: us, ms or s */
	const char *initial; /* default, as it would stand in the file; NULL = none */
	const char *initial_help; /* what the reference page says instead of `initial` */
	const struct conf_choice *choices;
	unsigned choice_count;
	const struct conf_section *section;
	enum conf_ref ref;
	uint16_t port; /* ADDRESS: when none is given */
	const char *help;
};

struct conf_section {
	const char *name; /* as the reference page calls one */
	const struct conf_key *keys;
	unsigned key_count;
	const char *label; /* key that names an object in messages; NULL = its number */
	const char *help;
};

/* The whole file; its object is struct conf. */
extern const struct conf_section conf_schema;

/* The secrets file; its object is struct conf_secrets. */
extern const struct conf_section conf_secrets_schema;

/* NULL when the section has no such key. */
const struct conf_key *conf_schema_key(const struct conf_section *section, const char *name);

/* What a value may be, for messages and the reference page: "1ms to 30s". */
void conf_schema_allowed(const struct conf_key *key, char *out, size_t size);

#endif
