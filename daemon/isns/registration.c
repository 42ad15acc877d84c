/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/isns/registration.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <libisns/isns.h>
#include <libisns/attrs.h>
#include <libisns/source.h>
#include <libisns/message.h>

#define MESSAGE_BYTES                                                               \
	3500u /* of one registration: libisns sends 8192 at most, and so do servers \
	       */
#define NAME_COST(text) (12u + (unsigned)strlen(text))
#define NUMBER_COST	12u
#define ADDRESS_COST	24u
#define CALL_SLICE_MS	100u
#define CALL_SLICES	1000u /* the call has a time-out of its own long before */
#define CALL_SECONDS	4u
#define CONNECT_SECONDS 2u

struct reg_portal {
	isns_portal_info_t info;
	isns_socket_t *inquiries; /* NULL: none could be opened */
	isns_object_t *object;
};

struct reg_target {
	char *name;
	char *alias;
	isns_object_t *object;
	bool afresh; /* the server has something of it that must go: it is taken out first */
};

/* A list of targets; names are unique. */
struct reg_targets {
	struct reg_target *items;
	unsigned count;
};

struct registration {
	char *entity;
	uint32_t period_s, esi_interval_s, tag;
	bool with_esi;
	struct reg_portal *portals;
	unsigned portal_count;
	struct reg_targets targets;
	struct reg_targets former; /* between a change and the next `ready` */
	struct reg_targets went; /* the server may have them still */
	unsigned speaker; /* the target that speaks for the entity (RFC 4171 5.6.1) */
	isns_object_t *entity_object;
	isns_object_list_t shadow; /* the portals: what libisns answers inquiries from */
	isns_source_t *source;
	isns_server_t *server;
	unsigned answered; /* inquiries, not told yet */
	/* a registration under way */
	isns_client_t *client;
	isns_simple_t *message;
	unsigned message_bytes;
	struct registration_granted *granted;
};

struct registration *registration_new(const char *server)
{
	struct registration *reg = calloc(1, sizeof(*reg));

	if (!reg) {
		return NULL;
	}
	isns_config.ic_security = 0;
	isns_config.ic_server_name = strdup(server);
	isns_config.ic_network.call_timeout = CALL_SECONDS;
	isns_config.ic_network.connect_timeout = CONNECT_SECONDS;
	isns_object_list_init(&reg->shadow);
	reg->tag = 1;
	return reg;
}

/* ----- lists of targets ----------------------------------------------------------------------- */

static struct reg_target *target_find(const struct reg_targets *targets, const char *name)
{
	for (unsigned i = 0; i < targets->count; i++) {
		if (strcmp(targets->items[i].name, name) == 0) {
			return &targets->items[i];
		}
	}
	return NULL;
}

static bool target_append(struct reg_targets *targets, const char *name, const char *alias)
{
	struct reg_target *more =
		realloc(targets->items, (targets->count + 1) * sizeof(*targets->items));

	if (!more) {
		return false;
	}
	targets->items = more;
	more += targets->count;
	*more = (struct reg_target){.name = strdup(name), .alias = alias ? strdup(alias) : NULL};
	if (!more->name || (alias && !more->alias)) {
		free(more->name);
		return false;
	}
	targets->count++;
	return true;
}

static void target_remove(struct reg_targets *targets, struct reg_target *target)
{
	free(target->name);
	free(target->alias);
	if (target->object) {
		isns_object_release(target->object);
	}
	*target = targets->items[--targets->count];
}

static void targets_clear(struct reg_targets *targets)
{
	while (targets->count) {
		target_remove(targets, &targets->items[targets->count - 1]);
	}
	free(targets->items);
	*targets = (struct reg_targets){0};
}

/* ----- what it is told ------------------------------------------------------------------------ */

void registration_free(struct registration *reg)
{
	/* The objects of libisns live as long as the process. */
	free(reg->entity);
	targets_clear(&reg->targets);
	targets_clear(&reg->former);
	targets_clear(&reg->went);
	free(reg->portals);
	free(reg);
}

bool registration_entity(struct registration *reg, const char *identifier)
{
	free(reg->entity);
	reg->entity = strdup(identifier);
	return reg->entity != NULL;
}

void registration_period(struct registration *reg, uint32_t period_s)
{
	reg->period_s = period_s;
}

void registration_esi(struct registration *reg, uint32_t interval_s)
{
	reg->esi_interval_s = interval_s;
}

void registration_tag(struct registration *reg, uint32_t tag)
{
	reg->tag = tag;
}

/* "10.0.0.1:3260" or "[fd00::1]:3260". */
static bool address_read(const char *text, struct sockaddr_storage *addr)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)addr;
	struct sockaddr_in *four = (struct sockaddr_in *)addr;
	const char *colon = strrchr(text, ':');
	char host[64];
	size_t length;
	long port;

	memset(addr, 0, sizeof(*addr));
	if (!colon || (size_t)(colon - text) >= sizeof(host)) {
		return false;
	}
	length = (size_t)(colon - text);
	memcpy(host, text, length);
	host[length] = '\0';
	port = strtol(colon + 1, NULL, 10);
	if (port < 1 || port > 65535) {
		return false;
	}
	if (host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)port);
		return inet_pton(AF_INET6, host + 1, &six->sin6_addr) == 1 &&
		       !IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr);
	}
	four->sin_family = AF_INET;
	four->sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, host, &four->sin_addr) == 1 &&
	       four->sin_addr.s_addr != INADDR_ANY;
}

/*
 * Inquiries come to the portal's address, and must be answered from it. libisns shares ports
 * (SO_REUSEADDR), and of two programs at one port only one hears anything: so a port that is free
 * is found first, and kept until libisns has it.
 */
static isns_socket_t *inquiries_open(const char *host, const struct sockaddr_storage *portal)
{
	struct sockaddr_storage addr = *portal;
	socklen_t length = sizeof(addr);
	isns_socket_t *sock = NULL;
	int fd = socket(addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int yes = 1;
	char port[8];

	/* sin_port and sin6_port are at the same place */
	((struct sockaddr_in *)&addr)->sin_port = 0;
	if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, length) == 0 &&
		getsockname(fd, (struct sockaddr *)&addr, &length) == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0) {
		snprintf(port, sizeof(port), "%u", ntohs(((struct sockaddr_in *)&addr)->sin_port));
		sock = isns_create_server_socket(host, port, AF_UNSPEC, SOCK_DGRAM);
	}
	if (fd >= 0) {
		close(fd);
	}
	return sock;
}

bool registration_portal(struct registration *reg, const char *address)
{
	struct reg_portal *more =
		realloc(reg->portals, (reg->portal_count + 1) * sizeof(*reg->portals));
	struct sockaddr_storage addr;
	char host[64];

	if (!more) {
		return false;
	}
	reg->portals = more;
	if (!address_read(address, &addr)) {
		return false;
	}
	more += reg->portal_count++;
	memset(more, 0, sizeof(*more));
	isns_portal_init(&more->info, (struct sockaddr *)&addr, IPPROTO_TCP);
	memcpy(host, address, strlen(address) + 1);
	*strrchr(host, ':') = '\0';
	more->inquiries = inquiries_open(host, &addr);
	return true;
}

bool registration_target(struct registration *reg, const char *name, const char *alias)
{
	return target_append(&reg->targets, name, alias);
}

bool registration_went(struct registration *reg, const char *name)
{
	return target_find(&reg->went, name) || target_append(&reg->went, name, NULL);
}

void registration_change(struct registration *reg)
{
	targets_clear(&reg->former);
	reg->former = reg->targets;
	reg->targets = (struct reg_targets){0};
}

/* ----- objects -------------------------------------------------------------------------------- */

static bool portal_make(struct registration *reg, struct reg_portal *portal)
{
	portal->object = isns_create_portal(&portal->info, reg->entity_object);
	if (!portal->object) {
		return false;
	}
	isns_object_list_append(&reg->shadow, portal->object);
	return true;
}

/* With or without asking for inquiries. */
static void portals_esi_set(struct registration *reg, bool with_esi)
{
	reg->with_esi = with_esi;
	for (unsigned i = 0; i < reg->portal_count; i++) {
		struct reg_portal *portal = &reg->portals[i];
		isns_portal_info_t here;

		if (with_esi && portal->inquiries &&
			isns_socket_get_portal_info(portal->inquiries, &here)) {
			isns_object_set_uint32(
				portal->object, ISNS_TAG_ESI_INTERVAL, reg->esi_interval_s);
			isns_object_set_uint32(
				portal->object, ISNS_TAG_ESI_PORT, isns_portal_tcpudp_port(&here));
		} else {
			isns_object_delete_attr(portal->object, ISNS_TAG_ESI_INTERVAL);
			isns_object_delete_attr(portal->object, ISNS_TAG_ESI_PORT);
		}
	}
}

/* Entity, portals, and what answers inquiries: once. */
static bool entity_make(struct registration *reg)
{
	const char *speaker = reg->targets.items[0].name;

	isns_config.ic_source_name = strdup(speaker);
	reg->source = isns_source_create_iscsi(speaker);
	reg->entity_object = isns_create_entity(ISNS_ENTITY_PROTOCOL_ISCSI, reg->entity);
	if (!reg->source || !reg->entity_object) {
		return false;
	}
	if (reg->period_s) {
		isns_object_set_uint32(
			reg->entity_object, ISNS_TAG_REGISTRATION_PERIOD, reg->period_s);
	}
	for (unsigned i = 0; i < reg->portal_count; i++) {
		if (!portal_make(reg, &reg->portals[i])) {
			return false;
		}
	}
	reg->server = isns_create_server(
		reg->source, isns_db_open_shadow(&reg->shadow), &isns_callback_service_ops);
	return reg->server != NULL;
}

static bool target_make(struct registration *reg, struct reg_target *target)
{
	if (!target->object) {
		target->object = isns_create_storage_node(
			target->name, ISNS_ISCSI_TARGET_MASK, reg->entity_object);
	}
	if (!target->object) {
		return false;
	}
	if (target->alias) {
		isns_object_set_string(target->object, ISNS_TAG_ISCSI_ALIAS, target->alias);
	} else {
		isns_object_delete_attr(target->object, ISNS_TAG_ISCSI_ALIAS);
	}
	return true;
}

/*
 * After a change: who is not there any more is taken out, and an alias that a target has lost goes
 * with the target, which is registered again. The speaker stays the same as long as it is there.
 */
static bool targets_follow(struct registration *reg)
{
	const char *speaker = reg->former.count ? reg->former.items[reg->speaker].name
						: reg->targets.items[0].name;
	bool ok = true;

	for (unsigned i = 0; i < reg->former.count; i++) {
		struct reg_target *was = &reg->former.items[i];
		struct reg_target *is = target_find(&reg->targets, was->name);

		if (is) {
			is->object = was->object;
			was->object = NULL;
			is->afresh = was->afresh || (was->alias && !is->alias);
		} else {
			ok &= registration_went(reg, was->name);
		}
	}
	reg->speaker = 0;
	for (unsigned i = 0; i < reg->targets.count; i++) {
		struct reg_target *gone = target_find(&reg->went, reg->targets.items[i].name);

		if (gone) {
			target_remove(&reg->went, gone); /* it is back */
		}
		if (strcmp(reg->targets.items[i].name, speaker) == 0) {
			reg->speaker = i;
		}
	}
	targets_clear(&reg->former);
	return ok;
}

bool registration_ready(struct registration *reg)
{
	if (!reg->entity || reg->portal_count == 0 || reg->targets.count == 0 ||
		!targets_follow(reg) || (!reg->server && !entity_make(reg))) {
		return false;
	}
	for (unsigned i = 0; i < reg->targets.count; i++) {
		if (!target_make(reg, &reg->targets.items[i])) {
			return false;
		}
	}
	portals_esi_set(reg, reg->esi_interval_s > 0);
	return true;
}

/* ----- calls ---------------------------------------------------------------------------------- */

/* Takes one message from the server, if there is one within that time. */
static void message_take(struct registration *reg, unsigned ms)
{
	struct timeval timeout = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000L};
	isns_message_t *message = isns_recv_message(&timeout);
	isns_message_t *answer = NULL;

	if (!message) {
		return;
	}
	if (isns_message_function(message) == ISNS_ENTITY_STATUS_INQUIRY) {
		answer = isns_process_message(reg->server, message);
	}
	if (answer) {
		isns_socket_send(isns_message_socket(message), answer);
		isns_message_release(answer);
		reg->answered++;
	}
	isns_message_release(message);
}

/* The one call under way: libisns gives its callback nothing to find it by. */
static struct call {
	bool done;
	int status; /* enum isns_status */
	isns_object_list_t *objects; /* of the answer; NULL = not wanted */
} call;

static void call_answered(uint32_t xid, int status, isns_simple_t *answer)
{
	call.done = true;
	call.status = status;
	if (status == ISNS_SUCCESS && call.objects) {
		call.status = isns_simple_response_get_objects(answer, call.objects);
	}
}

/*
 * Sends a request and waits for its answer; an enum isns_status. Not with isns_client_call(): that
 * fails when an inquiry comes in meanwhile. The request is freed.
 */
static int call_make(struct registration *reg, isns_client_t *client, isns_simple_t *request,
	isns_object_list_t *objects)
{
	int status;

	call = (struct call){.objects = objects};
	status =
		isns_simple_transmit(client->ic_socket, request, NULL, CALL_SECONDS, call_answered);
	isns_simple_free(request);
	if (status != ISNS_SUCCESS) {
		return status;
	}
	for (unsigned slice = 0; !call.done && slice < CALL_SLICES; slice++) {
		message_take(reg, CALL_SLICE_MS);
	}
	return call.done ? call.status : ISNS_INTERNAL_ERROR;
}

static int keys_withdraw(
	struct registration *reg, isns_client_t *client, const isns_attr_list_t *keys)
{
	isns_simple_t *message = isns_create_deregistration(client, keys);

	return message ? call_make(reg, client, message, NULL) : ISNS_INTERNAL_ERROR;
}

/* ----- registering ---------------------------------------------------------------------------- */

/* The period and the intervals that the server has granted. */
static void granted_read(struct registration *reg, const isns_object_list_t *objects)
{
	uint32_t value;

	for (unsigned i = 0; i < objects->iol_count; i++) {
		const isns_object_t *object = objects->iol_data[i];

		if (isns_object_get_uint32(object, ISNS_TAG_REGISTRATION_PERIOD, &value)) {
			reg->granted->period_s = value;
		}
		if (isns_object_get_uint32(object, ISNS_TAG_ESI_INTERVAL, &value) && value &&
			(!reg->granted->esi_interval_s || value < reg->granted->esi_interval_s)) {
			reg->granted->esi_interval_s = value;
		}
	}
}

/* Sends what has been collected; an enum isns_status. */
static int message_flush(struct registration *reg)
{
	isns_object_list_t objects = ISNS_OBJECT_LIST_INIT;
	isns_simple_t *message = reg->message;
	int status;

	if (!message) {
		return ISNS_SUCCESS;
	}
	reg->message = NULL;
	status = call_make(reg, reg->client, message, &objects);
	if (status == ISNS_SUCCESS) {
		granted_read(reg, &objects);
	}
	isns_object_list_destroy(&objects);
	return status;
}

static int message_add(struct registration *reg, isns_object_t *object, unsigned bytes)
{
	if (reg->message && reg->message_bytes + bytes > MESSAGE_BYTES) {
		int status = message_flush(reg);

		if (status != ISNS_SUCCESS) {
			return status;
		}
	}
	if (!reg->message) {
		reg->message = isns_create_registration(reg->client, reg->entity_object);
		if (!reg->message) {
			return ISNS_INTERNAL_ERROR;
		}
		isns_registration_add_object(reg->message, reg->entity_object);
		reg->message_bytes = 2 * NAME_COST(reg->entity) + 4 * NUMBER_COST;
	}
	isns_registration_add_object(reg->message, object);
	reg->message_bytes += bytes;
	return ISNS_SUCCESS;
}

static int target_add(struct registration *reg, const struct reg_target *target)
{
	return message_add(reg, target->object,
		NAME_COST(target->name) + NUMBER_COST +
			(target->alias ? NAME_COST(target->alias) : 0));
}

static int groups_add(struct registration *reg, const struct reg_target *target)
{
	int status = ISNS_SUCCESS;

	for (unsigned i = 0; i < reg->portal_count && status == ISNS_SUCCESS; i++) {
		isns_object_t *group =
			isns_create_portal_group(reg->portals[i].object, target->object, reg->tag);

		if (!group) {
			return ISNS_INTERNAL_ERROR;
		}
		status = message_add(
			reg, group, NAME_COST(target->name) + ADDRESS_COST + 2 * NUMBER_COST);
		isns_object_release(group);
	}
	return status;
}

/* Entity and the node that speaks for it first, then portals, then all the rest. */
static int everything_send(struct registration *reg)
{
	int status = target_add(reg, &reg->targets.items[reg->speaker]);

	for (unsigned i = 0; i < reg->portal_count && status == ISNS_SUCCESS; i++) {
		status = message_add(reg, reg->portals[i].object, ADDRESS_COST + 3 * NUMBER_COST);
	}
	for (unsigned i = 0; i < reg->targets.count && status == ISNS_SUCCESS; i++) {
		if (i != reg->speaker) {
			status = target_add(reg, &reg->targets.items[i]);
		}
		if (status == ISNS_SUCCESS) {
			status = groups_add(reg, &reg->targets.items[i]);
		}
	}
	return status == ISNS_SUCCESS ? message_flush(reg) : status;
}

static const char *why(int status)
{
	if (status == ISNS_INTERNAL_ERROR) {
		return "no answer"; /* libisns calls it that */
	}
	return status == ISNS_SUCCESS ? NULL : isns_strerror((enum isns_status)status);
}

static isns_client_t *client_make(struct registration *reg)
{
	return isns_create_client(NULL, reg->targets.items[reg->speaker].name);
}

/* The other controller may have been first: a target that is not there is fine. */
static int target_withdraw(struct registration *reg, const char *name)
{
	isns_attr_list_t keys = ISNS_ATTR_LIST_INIT;
	int status;

	isns_attr_list_append_string(&keys, ISNS_TAG_ISCSI_NAME, name);
	status = keys_withdraw(reg, reg->client, &keys);
	isns_attr_list_destroy(&keys);
	return status == ISNS_NO_SUCH_ENTRY ? ISNS_SUCCESS : status;
}

/* Targets that have lost an alias: no registration can take an attribute away. */
static int afresh_withdraw(struct registration *reg)
{
	int status = ISNS_SUCCESS;

	for (unsigned i = 0; i < reg->targets.count && status == ISNS_SUCCESS; i++) {
		struct reg_target *target = &reg->targets.items[i];

		if (target->afresh) {
			status = target_withdraw(reg, target->name);
			target->afresh = status != ISNS_SUCCESS;
		}
	}
	/* Who is asked by a source that it does not know has nothing of it. */
	return status == ISNS_SOURCE_UNKNOWN ? ISNS_SUCCESS : status;
}

static int went_withdraw(struct registration *reg)
{
	int status = ISNS_SUCCESS;

	while (reg->went.count && status == ISNS_SUCCESS) {
		struct reg_target *target = &reg->went.items[reg->went.count - 1];

		status = target_withdraw(reg, target->name);
		if (status == ISNS_SUCCESS) {
			target_remove(&reg->went, target);
		}
	}
	return status;
}

static int registration_try(struct registration *reg)
{
	int status;

	*reg->granted = (struct registration_granted){0};
	reg->client = client_make(reg);
	if (!reg->client) {
		return ISNS_INTERNAL_ERROR;
	}
	status = afresh_withdraw(reg);
	if (status == ISNS_SUCCESS) {
		status = everything_send(reg);
	}
	if (status == ISNS_SUCCESS) {
		status = went_withdraw(reg);
	}
	if (reg->message) {
		isns_simple_free(reg->message);
		reg->message = NULL;
	}
	isns_client_destroy(reg->client);
	reg->client = NULL;
	return status;
}

const char *registration_send(struct registration *reg, struct registration_granted *granted)
{
	int status;

	reg->granted = granted;
	portals_esi_set(reg, reg->esi_interval_s > 0);
	status = registration_try(reg);
	if (status == ISNS_ESI_NOT_AVAILABLE && reg->with_esi) {
		portals_esi_set(reg, false);
		status = registration_try(reg);
	}
	return why(status);
}

/* ----- asking, and taking out ------------------------------------------------------------------
 */

/* The portals of our entity, ours and the other controller's; an enum isns_status. */
static int portals_query(
	struct registration *reg, isns_client_t *client, isns_object_list_t *portals)
{
	isns_attr_list_t key = ISNS_ATTR_LIST_INIT;
	isns_simple_t *query;

	isns_attr_list_append_string(&key, ISNS_TAG_ENTITY_IDENTIFIER, reg->entity);
	query = isns_create_query(client, &key);
	isns_attr_list_destroy(&key);
	if (!query) {
		return ISNS_INTERNAL_ERROR;
	}
	isns_query_request_attr_tag(query, ISNS_TAG_PORTAL_IP_ADDRESS);
	isns_query_request_attr_tag(query, ISNS_TAG_PORTAL_TCP_UDP_PORT);
	return call_make(reg, client, query, portals);
}

static bool portal_is_among(const struct reg_portal *portal, const isns_object_list_t *portals)
{
	for (unsigned i = 0; i < portals->iol_count; i++) {
		isns_portal_info_t info;

		if (isns_portal_from_object(&info, ISNS_TAG_PORTAL_IP_ADDRESS,
			    ISNS_TAG_PORTAL_TCP_UDP_PORT, portals->iol_data[i]) &&
			isns_portal_equal(&info, &portal->info)) {
			return true;
		}
	}
	return false;
}

const char *registration_check(struct registration *reg, bool *there)
{
	isns_object_list_t portals = ISNS_OBJECT_LIST_INIT;
	isns_client_t *client = client_make(reg);
	int status;

	*there = false;
	if (!client) {
		return why(ISNS_INTERNAL_ERROR);
	}
	status = portals_query(reg, client, &portals);
	isns_client_destroy(client);
	if (status == ISNS_SUCCESS) {
		*there = true;
		for (unsigned i = 0; i < reg->portal_count; i++) {
			*there &= portal_is_among(&reg->portals[i], &portals);
		}
	} else if (status == ISNS_NO_SUCH_ENTRY || status == ISNS_SOURCE_UNKNOWN) {
		status = ISNS_SUCCESS; /* it has forgotten us */
	}
	isns_object_list_destroy(&portals);
	return why(status);
}

/* One by one: Debian's isnsd takes out only one of several. */
static int portals_withdraw(struct registration *reg, isns_client_t *client)
{
	int status = ISNS_SUCCESS;

	for (unsigned i = 0; i < reg->portal_count && status == ISNS_SUCCESS; i++) {
		isns_attr_list_t keys = ISNS_ATTR_LIST_INIT;

		isns_portal_to_attr_list(&reg->portals[i].info, ISNS_TAG_PORTAL_IP_ADDRESS,
			ISNS_TAG_PORTAL_TCP_UDP_PORT, &keys);
		status = keys_withdraw(reg, client, &keys);
		isns_attr_list_destroy(&keys);
	}
	return status;
}

const char *registration_withdraw(struct registration *reg)
{
	isns_object_list_t portals = ISNS_OBJECT_LIST_INIT;
	isns_client_t *client = client_make(reg);
	int status;

	if (!client) {
		return why(ISNS_INTERNAL_ERROR);
	}
	status = portals_withdraw(reg, client);
	/* Nobody else's portals are left: so nobody needs the entity. */
	if (status == ISNS_SUCCESS && portals_query(reg, client, &portals) == ISNS_SUCCESS &&
		portals.iol_count == 0) {
		isns_attr_list_t keys = ISNS_ATTR_LIST_INIT;

		isns_attr_list_append_string(&keys, ISNS_TAG_ENTITY_IDENTIFIER, reg->entity);
		keys_withdraw(reg, client, &keys);
		isns_attr_list_destroy(&keys);
	}
	isns_object_list_destroy(&portals);
	isns_client_destroy(client);
	return why(status);
}

unsigned registration_listen(struct registration *reg, unsigned ms)
{
	unsigned answered;

	message_take(reg, ms);
	answered = reg->answered;
	reg->answered = 0;
	return answered;
}
