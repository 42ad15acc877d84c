/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration: one YAML file, the same at both controllers, checked against one schema
 * table. A loaded configuration is immutable; all strings belong to it. Control thread, or any
 * thread for reading.
 */
#ifndef YOKE_CONF_H
#define YOKE_CONF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "yoke/store.h"
#include "yoke/task.h"

#define CONF_EXTENTS_MAX 16384

/* A literal IPv4 or IPv6 address and a port: "10.77.1.1", "10.77.1.1:3260", "[fd00::1]:3260". */
struct conf_address {
	struct sockaddr_storage addr;
	socklen_t length;
	char text[64]; /* canonical, with brackets for IPv6 and with the port */
};

/* A network, "10.0.0.0/24" or "fd00::/64", or a single address. IPv4 is kept as ::ffff:a.b.c.d. */
struct conf_network {
	uint8_t address[16];
	uint8_t prefix; /* bits of `address` that count */
	char text[50]; /* canonical */
};

/* Is the address (IPv4 or IPv6; NULL or another family: no) in the network? */
static inline bool conf_network_has(
	const struct conf_network *network, const struct sockaddr_storage *address)
{
	unsigned whole = network->prefix / 8, rest = network->prefix % 8;
	uint8_t unified[16] = {[10] = 0xff, [11] = 0xff};

	if (address && address->ss_family == AF_INET6) {
		memcpy(unified, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
	} else if (address && address->ss_family == AF_INET) {
		memcpy(unified + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
	} else {
		return false;
	}
	return memcmp(network->address, unified, whole) == 0 &&
	       (rest == 0 || (network->address[whole] ^ unified[whole]) >> (8 - rest) == 0);
}

/* A network interface of a controller, and the network of the portals that it carries. */
struct conf_interface {
	const char *name;
	struct conf_network network;
};

struct conf_controller {
	const char *name; /* the Corosync and Pacemaker node name */
	uint8_t id; /* 1 or 2: Corosync node id, target port group, portal group tag */
	struct conf_address *portals; /* portals[i] has RTPI id * 256 + i + 1 */
	unsigned portal_count; /* 1 to 255 */
	struct conf_address interconnect; /* required when clustered */
	struct conf_interface *interfaces; /* for portal adoption */
	unsigned interface_count;
};

/* An amount of storage: bytes, or a percentage of a whole; both 0 = not given. */
struct conf_amount {
	uint64_t bytes;
	uint8_t percent; /* 1 to 99 */
};

/* A designator of network address authority (SPC-4 7.8.6.6); length 0 = not given. */
struct conf_naa {
	uint8_t length; /* 8 or 16 */
	uint8_t bytes[16];
};

struct conf_extent {
	const char *name;
	const char *comment; /* or NULL */
	enum extent_type type;
	const char *path; /* NULL for ram */
	uint64_t size_bytes; /* 0 = as it is */
	uint32_t block_size; /* 512 or 4096 */
	uint32_t physical_block_size;
	uint16_t lowest_aligned_lba; /* below physical_block_size / block_size */
	bool read_only;
	bool rotational_known;
	uint16_t rotation_rpm; /* VPD B1: 0 unknown, 1 solid state, else rpm */
	uint8_t uuid[16]; /* given, or derived (version 5) from cluster name and extent name */
	struct conf_naa naa; /* in place of the one made of uuid */
	const char *serial; /* VPD 80; by default the UUID's 32 hex digits */
	uint16_t group; /* index in groups */
	bool thin; /* offer UNMAP */
	struct conf_amount threshold_used; /* hosts are told when it uses that much, */
	struct conf_amount threshold_available; /* or less than that is left below it */
	enum extent_write_key_mode write_key;
	bool direct; /* without a cluster: past the page cache (with one it always is) */
};

enum conf_failback {
	CONF_FAILBACK_MANUAL,
	CONF_FAILBACK_IMMEDIATE, /* as soon as home is in sync */
	CONF_FAILBACK_AUTO
};

struct conf_group {
	const char *name;
	uint8_t home; /* controller id */
	enum conf_failback failback;
	uint32_t failback_delay_s; /* dwell: home has been in sync and had hosts that long */
};

struct conf_lun {
	uint16_t lun; /* 0 to 16383 */
	uint16_t extent; /* index in extents */
};

struct conf_target {
	const char *name; /* iqn., eui. or naa. */
	const char *alias; /* or NULL */
	struct conf_lun *luns; /* sorted by lun */
	unsigned lun_count;
	struct conf_address redirect; /* where logins are sent; length 0 = nowhere */
	bool redirect_permanent;
	uint16_t *initiator_groups; /* indexes; none = every initiator may log in */
	unsigned initiator_group_count;
};

/* What an initiator has to prove (RFC 7143 12). */
enum conf_auth {
	CONF_AUTH_NONE,
	CONF_AUTH_CHAP,
	CONF_AUTH_MUTUAL /* CHAP, and the target proves itself as well */
};

/* Members: initiators whose name and address both fit. */
struct conf_initiator_group {
	const char *name;
	const char **initiators; /* iSCSI names; none = every name */
	unsigned initiator_count;
	struct conf_network *networks; /* none = every address */
	unsigned network_count;
	enum conf_auth auth;
	const char **users; /* of the secrets file; any of them may log in */
	unsigned user_count;
};

/* CHAP algorithms by their number on the wire. */
enum conf_chap_algorithm {
	CONF_CHAP_MD5 = 5,
	CONF_CHAP_SHA1 = 6,
	CONF_CHAP_SHA256 = 7,
	CONF_CHAP_SHA3_256 = 8
};

/* Negotiation limits and timers of the iSCSI layer. */
struct conf_iscsi {
	uint32_t max_recv_data_segment_bytes; /* what we declare */
	uint32_t max_burst_bytes;
	uint32_t first_burst_bytes;
	uint16_t max_outstanding_r2t;
	uint16_t command_window; /* commands in flight per session */
	uint16_t max_connections; /* in a session */
	bool initial_r2t; /* our side of the OR */
	bool immediate_data;
	bool header_digest; /* offer CRC32C */
	bool data_digest;
	uint32_t nop_interval_s; /* NOP-In when idle; 0 = never */
	uint32_t nop_timeout_s;
	uint32_t login_timeout_s;
	uint32_t connections_max; /* per daemon */
	enum conf_auth discovery_auth;
	const char **discovery_users;
	unsigned discovery_user_count;
	uint8_t *chap_algorithms; /* enum conf_chap_algorithm; none = all */
	unsigned chap_algorithm_count;
};

/* Name servers (RFC 4171) that this array is registered with. */
struct conf_isns {
	struct conf_address *servers;
	unsigned server_count;
	const char *entity; /* NULL: the first target's name */
	uint32_t period_s; /* registration period that is asked for */
	uint32_t esi_interval_s; /* status inquiries that are asked for; 0 = none */
};

enum conf_hold_answer {
	CONF_HOLD_BUSY,
	CONF_HOLD_TRANSITIONING
};

struct conf {
	const char *path;
	const char *cluster; /* NULL for "none" */
	unsigned reactors; /* 0 = one per core */
	unsigned spin_us;
	uint64_t buffer_bytes; /* per reactor */
	const char *state_dir;
	const char *socket_path;
	const char *interconnect_key_path;
	const char *secrets_path; /* NULL: nobody authenticates */
	int log_level; /* syslog.h */
	uint32_t hold_limit_ms;
	enum conf_hold_answer hold_answer;
	bool explicit_alua; /* hosts may move groups by SET TARGET PORT GROUPS */
	bool long_cdbs; /* commands with CDBs of more than 16 bytes are offered */
	bool portal_adoption; /* addresses of portals are ours, and a lost controller's are taken */
	uint64_t sanitize_bytes; /* a second at most, for each LU; 0 = no limit */
	uint32_t handover_timeout_ms; /* up to COMMIT; then it is rolled back */
	const char *vendor; /* INQUIRY, 8 characters at most */
	const char *product; /* 16 at most */
	struct conf_iscsi iscsi;
	struct conf_isns isns;
	struct conf_controller *controllers;
	unsigned controller_count; /* 1, or 2 when clustered */
	struct conf_group *groups;
	unsigned group_count; /* at least 1; without a cluster one group "local" is made up */
	struct conf_extent *extents;
	unsigned extent_count;
	struct conf_target *targets;
	unsigned target_count;
	struct conf_initiator_group *initiator_groups;
	unsigned initiator_group_count;
	uint8_t digest[32]; /* SHA-256 of the canonical dump: equal at both controllers */
	void *arena; /* private */
};

/* One complaint: "FILE:LINE: KEY: what is wrong; what is allowed". */
struct conf_error {
	struct conf_error *next;
	char text[512];
};

/*
 * Reads, checks and fills in defaults. NULL with a list of every error found (conf_errors_free)
 * when anything is wrong. Touches nothing but the file.
 */
struct conf *conf_load(const char *path, struct conf_error **errors);
struct conf *conf_parse(
	const char *text, size_t length, const char *name, struct conf_error **errors);
void conf_errors_free(struct conf_error *errors);
void conf_free(struct conf *conf);

/* The whole configuration with defaults filled in, as YAML (malloc'd) that loads to the same. */
char *conf_dump(const struct conf *conf);

/* ----- growing an extent ---------------------------------------------------------------------- */

/* "20GiB", as `size` of an extent; false with the reason. */
bool conf_size_parse(const char *text, uint64_t *bytes, char *why, size_t why_size);

/*
 * The text of a configuration file with another `size` for an extent that has one in it, all else
 * as it was (malloc'd). NULL: it has none, the text is no configuration, or out of memory.
 */
char *conf_text_resize(const char *text, const char *extent, uint64_t bytes);

/* The bytes of a configuration file with a NUL behind them (malloc'd); NULL with errno. */
char *conf_file_text(const char *path);
/*
 * A file that is to take the place of `path`, durable and with its owner and mode, in two steps: it
 * is written beside it, then renamed, or forgotten. 0 or a negative errno.
 */
int conf_file_stage(const char *path, const char *text);
int conf_file_commit(const char *path);
void conf_file_unstage(const char *path);

/* ----- what differs between two configurations ------------------------------------------------ */

enum conf_change_kind {
	CONF_ADDED,
	CONF_REMOVED,
	CONF_CHANGED
};
const char *conf_change_kind_name(enum conf_change_kind kind);

#define CONF_CHANGE_WHERE 320

struct conf_change {
	struct conf_change *next;
	enum conf_change_kind kind;
	bool online; /* may be made while the daemon runs */
	const char *remedy; /* when not: what to do instead */
	char where[CONF_CHANGE_WHERE]; /* "targets[iqn...].luns[3].extent" */
	char from[128], to[128]; /* of a value that changed, cut; "" = none */
};

/*
 * Every change, in the order of the schema; objects are paired by their names. An empty list: they
 * mean the same, though digests may differ (the order of lists). 0, or -1 when out of memory.
 */
int conf_diff(const struct conf *from, const struct conf *to, struct conf_change **changes);
void conf_changes_free(struct conf_change *changes);

/* The reference page (troff for yoke.yaml(5), or Markdown) from the schema table; malloc'd. */
char *conf_reference(bool troff);

/* Who can prove what: one entry of the secrets file. */
struct conf_user {
	const char *name; /* CHAP_N of the initiator */
	const char *secret; /* 12 to 255 characters */
	const char *peer_name; /* CHAP_N of the target; NULL: no mutual authentication */
	const char *peer_secret;
};

struct conf_secrets {
	struct conf_user *users;
	unsigned user_count;
	void *memory; /* private */
	size_t memory_bytes; /* private; 0: an arena */
};

/*
 * Reads conf->secrets_path, which nobody but its owner (root or this user) may have access to, and
 * checks it together with the configuration. NULL with a list of every error (conf_errors_free);
 * no message quotes a secret. The text is read and parsed by this program, started once more: its
 * main() must begin with conf_secrets_reader(). The result stands in memory that no core file and
 * no child process contains: a parser leaves copies on its heap. Control thread, also when there
 * are others; waits for that process, some milliseconds, limit_ms at most: CONF_SECRETS_PATIENT_MS
 * where nobody else waits meanwhile.
 */
#define CONF_SECRETS_PATIENT_MS 60000u
struct conf_secrets *conf_secrets_load(
	const struct conf *conf, unsigned limit_ms, struct conf_error **errors);

/*
 * Is this process the one that conf_secrets_load() has started? Then it has done its work, and main
 * ends with 0.
 */
bool conf_secrets_reader(int argc, char **argv);

/* Have both the same users in the same order? Either may be NULL: nobody. */
bool conf_secrets_equal(const struct conf_secrets *a, const struct conf_secrets *b);

/* The same from text, in this process and in ordinary memory; NULL: no configuration to suit. */
struct conf_secrets *conf_secrets_parse(const struct conf *conf, const char *text, size_t length,
	const char *name, struct conf_error **errors);
/* Wipes them, too, where they were loaded. */
void conf_secrets_free(struct conf_secrets *secrets);

/* A copy that does not need its configuration any more; NULL = out of memory. */
struct conf_extent *conf_extent_copy(const struct conf_extent *extent);
void conf_extent_free(struct conf_extent *extent);

/* By id, by name; NULL when there is none. */
const struct conf_controller *conf_controller_by_id(const struct conf *conf, uint8_t id);
const struct conf_controller *conf_controller_by_name(const struct conf *conf, const char *name);
const struct conf_group *conf_group_by_name(const struct conf *conf, const char *name);

#endif
