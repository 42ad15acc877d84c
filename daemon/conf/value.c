// SPDX-License-Identifier: BSD-3-Clause
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "value.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* From large to small. */
static const struct unit size_units[] = {
	{"TiB", UINT64_C(1) << 40},
	{"GiB", UINT64_C(1) << 30},
	{"MiB", UINT64_C(1) << 20},
	{"KiB", UINT64_C(1) << 10},
	{"B", 1},
};

/* In microseconds. */
static const struct unit time_units[] = {
	{"min", 60000000},
	{"s", 1000000},
	{"ms", 1000},
	{"us", 1},
};

/* What one parse works on. */
struct value {
	struct conf_loader *l;
	const struct conf_key *key;
	const char *text;
	void *field;
	char *why;
	size_t why_size;
};

static bool value_refuse(const struct value *v, const char *why)
{
	snprintf(v->why, v->why_size, "%s", why);
	return false;
}

static void uint_put(void *field, size_t size, uint64_t number)
{
	switch (size) {
	case 1:
		*(uint8_t *)field = (uint8_t)number;
		break;
	case 2:
		*(uint16_t *)field = (uint16_t)number;
		break;
	case 4:
		*(uint32_t *)field = (uint32_t)number;
		break;
	case 8:
		*(uint64_t *)field = number;
		break;
	}
}

static uint64_t uint_get(const void *field, size_t size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)field;
	case 2:
		return *(const uint16_t *)field;
	case 4:
		return *(const uint32_t *)field;
	default:
		return *(const uint64_t *)field;
	}
}

/* Decimal digits at the front; false when there is none or they exceed 64 bits. */
static bool digits_parse(const char *text, uint64_t *number, const char **rest)
{
	const char *p = text;

	*number = 0;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(*number, 10, number) ||
			__builtin_add_overflow(*number, (uint64_t)(*p - '0'), number)) {
			return false;
		}
	}
	*rest = p;
	return p > text;
}

static bool bounded_put(const struct value *v, uint64_t number)
{
	const struct conf_key *key = v->key;

	if (number < key->min) {
		return value_refuse(v, "is too small");
	}
	if (number > key->max) {
		return value_refuse(v, "is too large");
	}
	if (key->step && number % key->step) {
		char why[64];

		snprintf(why, sizeof(why), "is not a multiple of %" PRIu64, key->step);
		return value_refuse(v, why);
	}
	if (v->field) {
		uint_put(v->field, key->size, number);
	}
	return true;
}

static bool uint_parse(const struct value *v)
{
	const char *rest;
	uint64_t number;

	if (!digits_parse(v->text, &number, &rest) || *rest) {
		return value_refuse(v, "is not a whole number");
	}
	return bounded_put(v, number);
}

/* A number and its unit, in the smallest unit; 0 needs no unit. */
static bool unit_parse(
	const struct value *v, const struct unit *units, unsigned count, uint64_t *number)
{
	const char *rest;

	if (!digits_parse(v->text, number, &rest)) {
		return value_refuse(v, "is not a whole number with a unit");
	}
	while (*rest == ' ') {
		rest++;
	}
	if (!*rest && *number == 0) {
		return true;
	}
	for (unsigned i = 0; i < count; i++) {
		if (!strcmp(rest, units[i].name)) {
			if (__builtin_mul_overflow(*number, units[i].factor, number)) {
				return value_refuse(v, "is too large");
			}
			return true;
		}
	}
	return value_refuse(v, *rest ? "has an unknown unit" : "has no unit");
}

static bool size_parse(const struct value *v)
{
	uint64_t bytes;

	return unit_parse(v, size_units, ARRAY_SIZE(size_units), &bytes) && bounded_put(v, bytes);
}

static bool amount_parse(const struct value *v)
{
	struct conf_amount *amount = v->field;
	struct value bytes = *v;
	struct conf_key key = *v->key;
	const char *rest;
	uint64_t number;

	if (digits_parse(v->text, &number, &rest) && !strcmp(rest, "%")) {
		if (number < 1 || number > 99) {
			return value_refuse(v, "is not between 1% and 99%");
		}
		*amount = (struct conf_amount){.percent = (uint8_t)number};
		return true;
	}
	amount->percent = 0;
	key.size = sizeof(amount->bytes);
	bytes.key = &key;
	bytes.field = &amount->bytes;
	return size_parse(&bytes);
}

static uint64_t unit_factor(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(time_units); i++) {
		if (!strcmp(time_units[i].name, name)) {
			return time_units[i].factor;
		}
	}
	return 1;
}

static bool duration_parse(const struct value *v)
{
	uint64_t us, factor = unit_factor(v->key->unit);

	if (!unit_parse(v, time_units, ARRAY_SIZE(time_units), &us)) {
		return false;
	}
	if (us % factor) {
		char why[64];

		snprintf(why, sizeof(why), "is not a whole number of %s", v->key->unit);
		return value_refuse(v, why);
	}
	return bounded_put(v, us / factor);
}

static bool bool_parse(const struct value *v)
{
	static const struct {
		const char *name;
		bool value;
	} words[] = {{"yes", true}, {"no", false}, {"true", true}, {"false", false}, {"on", true},
		{"off", false}};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcmp(v->text, words[i].name)) {
			*(bool *)v->field = words[i].value;
			return true;
		}
	}
	return value_refuse(v, "is neither yes nor no");
}

static bool choice_parse(const struct value *v)
{
	for (unsigned i = 0; i < v->key->choice_count; i++) {
		if (!strcmp(v->text, v->key->choices[i].name)) {
			uint_put(v->field, v->key->size, (uint64_t)v->key->choices[i].value);
			return true;
		}
	}
	return value_refuse(v, "is not one of the allowed values");
}

static bool string_put(const struct value *v)
{
	char *copy = conf_arena_copy(v->l->arena, v->text, strlen(v->text));

	if (!copy) {
		v->l->out_of_memory = true;
		return value_refuse(v, "cannot be kept: out of memory");
	}
	*(const char **)v->field = copy;
	return true;
}

static bool name_parse(const struct value *v)
{
	const char *problem = conf_name_problem(v->text);

	return problem ? value_refuse(v, problem) : string_put(v);
}

static bool cluster_parse(const struct value *v)
{
	if (!strcmp(v->text, "none")) {
		*(const char **)v->field = NULL;
		return true;
	}
	return name_parse(v);
}

static bool text_parse(const struct value *v)
{
	size_t length = strlen(v->text);

	if (length < v->key->min) {
		return value_refuse(v, length ? "is too short" : "is empty");
	}
	if (length > v->key->max) {
		return value_refuse(v, "is too long");
	}
	for (size_t i = 0; i < length; i++) {
		if (v->text[i] < 0x20 || v->text[i] > 0x7e) {
			return value_refuse(v, "has a character that is not printable ASCII");
		}
	}
	if (v->text[0] == ' ' || v->text[length - 1] == ' ') {
		return value_refuse(v, "starts or ends with a blank");
	}
	return string_put(v);
}

static bool path_parse(const struct value *v)
{
	size_t length = strlen(v->text), limit = v->key->max ? v->key->max : CONF_VALUE_MAX - 1;

	if (v->text[0] != '/') {
		return value_refuse(v, length ? "is not an absolute path" : "is empty");
	}
	if (length > limit) {
		return value_refuse(v, "is too long");
	}
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)v->text[i] < 0x20 || v->text[i] == 0x7f) {
			return value_refuse(v, "has a control character");
		}
	}
	return string_put(v);
}

static bool iscsi_name_parse(const struct value *v)
{
	const char *problem = conf_iscsi_name_problem(v->text);
	char *copy;

	if (problem) {
		return value_refuse(v, problem);
	}
	if (!string_put(v)) {
		return false;
	}
	copy = *(char **)v->field;
	for (size_t i = 0; copy[i]; i++) {
		if (copy[i] >= 'A' && copy[i] <= 'Z') {
			copy[i] = (char)(copy[i] - 'A' + 'a');
		}
	}
	return true;
}

static bool address_parse(const struct value *v)
{
	const char *problem = conf_address_parse(v->text, v->key->port, v->field);

	return problem ? value_refuse(v, problem) : true;
}

static bool network_parse(const struct value *v)
{
	const char *problem = conf_network_parse(v->text, v->field);

	return problem ? value_refuse(v, problem) : true;
}

static bool uuid_parse(const struct value *v)
{
	return conf_uuid_parse(v->text, v->field) || value_refuse(v, "is no UUID");
}

/* The name of object `index` of what a reference points into; NULL past the end. */
static const char *ref_name(const struct conf *conf, enum conf_ref ref, unsigned index)
{
	switch (ref) {
	case CONF_REF_CONTROLLER:
		return index < conf->controller_count ? conf->controllers[index].name : NULL;
	case CONF_REF_GROUP:
		return index < conf->group_count ? conf->groups[index].name : NULL;
	case CONF_REF_EXTENT:
		return index < conf->extent_count ? conf->extents[index].name : NULL;
	case CONF_REF_INITIATOR_GROUP:
		return index < conf->initiator_group_count ? conf->initiator_groups[index].name
							   : NULL;
	case CONF_REFS:
		break;
	}
	return NULL;
}

static bool naa_parse(const struct value *v)
{
	struct conf_naa *naa = v->field;

	naa->length = conf_naa_parse(v->text, naa->bytes);
	return naa->length || value_refuse(v, "is no NAA identifier");
}

static unsigned ref_count(const struct conf *conf, enum conf_ref ref)
{
	switch (ref) {
	case CONF_REF_CONTROLLER:
		return conf->controller_count;
	case CONF_REF_GROUP:
		return conf->group_count;
	case CONF_REF_EXTENT:
		return conf->extent_count;
	case CONF_REF_INITIATOR_GROUP:
		return conf->initiator_group_count;
	case CONF_REFS:
		break;
	}
	return 0;
}

/* The slot of a name, or the free one where it would go. */
static uint32_t *ref_slot(const struct conf *conf, const struct conf_ref_index *index,
	enum conf_ref ref, const char *name)
{
	uint32_t at = 5381;

	for (const char *p = name; *p; p++) {
		at = at * 33 + (unsigned char)*p;
	}
	for (at &= index->mask; index->slots[at]; at = (at + 1) & index->mask) {
		if (!strcmp(ref_name(conf, ref, index->slots[at] - 1), name)) {
			break;
		}
	}
	return &index->slots[at];
}

/* What is referred to has been loaded before (keys_file): the index is complete. */
static bool ref_index_make(struct conf_loader *l, enum conf_ref ref)
{
	struct conf_ref_index *index = &l->refs[ref];
	unsigned count = ref_count(l->conf, ref);

	if (index->slots && index->count == count) {
		return true;
	}
	index->count = count;
	index->mask = 15;
	while (index->mask < 2 * count) {
		index->mask = 2 * index->mask + 1;
	}
	index->slots = conf_loader_get(l, (index->mask + 1) * sizeof(*index->slots));
	for (unsigned i = 0; index->slots && i < count; i++) {
		const char *name = ref_name(l->conf, ref, i);
		uint32_t *slot = name ? ref_slot(l->conf, index, ref, name) : NULL;

		if (slot && !*slot) { /* of two of one name the first counts, as the reader does */
			*slot = i + 1;
		}
	}
	return index->slots;
}

static bool ref_parse(const struct value *v)
{
	const struct conf *conf = v->l->conf;
	const struct conf_key *key = v->key;
	uint32_t i;

	if (!ref_index_make(v->l, key->ref)) {
		return value_refuse(v, "cannot be looked up: out of memory");
	}
	i = *ref_slot(conf, &v->l->refs[key->ref], key->ref, v->text);
	if (!i) {
		return value_refuse(v, "does not exist");
	}
	uint_put(v->field, key->size,
		key->ref == CONF_REF_CONTROLLER ? conf->controllers[i - 1].id : i - 1);
	return true;
}

static bool size_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	uint64_t number = uint_get(field, key->size);
	unsigned i = 0;

	while (size_units[i].factor > 1 && (number == 0 || number % size_units[i].factor)) {
		i++;
	}
	snprintf(out, CONF_VALUE_MAX, "%" PRIu64 "%s", number / size_units[i].factor,
		size_units[i].name);
	return true;
}

static bool amount_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	const struct conf_amount *amount = field;
	struct conf_key bytes = *key;

	bytes.size = sizeof(amount->bytes);
	if (amount->percent) {
		snprintf(out, CONF_VALUE_MAX, "%u%%", amount->percent);
		return true;
	}
	return amount->bytes && size_format(conf, &bytes, &amount->bytes, out);
}

static bool duration_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	uint64_t us = uint_get(field, key->size) * unit_factor(key->unit);
	unsigned i = 1; /* seconds read better than minutes */

	if (!us) {
		snprintf(out, CONF_VALUE_MAX, "0");
		return true;
	}
	while (us % time_units[i].factor) {
		i++;
	}
	snprintf(out, CONF_VALUE_MAX, "%" PRIu64 "%s", us / time_units[i].factor,
		time_units[i].name);
	return true;
}

static bool uint_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	snprintf(out, CONF_VALUE_MAX, "%" PRIu64, uint_get(field, key->size));
	return true;
}

static bool version_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	snprintf(out, CONF_VALUE_MAX, "%" PRIu64, key->max);
	return true;
}

static bool bool_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	snprintf(out, CONF_VALUE_MAX, "%s", *(const bool *)field ? "yes" : "no");
	return true;
}

static bool choice_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	for (unsigned i = 0; i < key->choice_count; i++) {
		if ((uint64_t)key->choices[i].value == uint_get(field, key->size)) {
			snprintf(out, CONF_VALUE_MAX, "%s", key->choices[i].name);
			return true;
		}
	}
	return false;
}

static bool string_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	const char *text = *(const char *const *)field;

	if (text) {
		snprintf(out, CONF_VALUE_MAX, "%s", text);
	}
	return text;
}

static bool cluster_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	if (!string_format(conf, key, field, out)) {
		snprintf(out, CONF_VALUE_MAX, "none");
	}
	return true;
}

static bool address_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	const struct conf_address *address = field;

	snprintf(out, CONF_VALUE_MAX, "%s", address->text);
	return address->length;
}

static bool network_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	const struct conf_network *network = field;

	snprintf(out, CONF_VALUE_MAX, "%s", network->text);
	return network->text[0];
}

/* Secrets are for the daemon alone. */
static bool secret_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	return false;
}

static bool naa_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	const struct conf_naa *naa = field;

	for (unsigned i = 0; i < naa->length; i++) {
		snprintf(out + 2 * i, 3, "%02x", naa->bytes[i]);
	}
	return naa->length;
}

static bool uuid_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	static const uint8_t absent[16];

	conf_uuid_format(field, out);
	return memcmp(field, absent, sizeof(absent)) != 0;
}

static bool ref_format(
	const struct conf *conf, const struct conf_key *key, const void *field, char *out)
{
	unsigned index = (unsigned)uint_get(field, key->size);
	const char *name;

	if (key->ref == CONF_REF_CONTROLLER) {
		const struct conf_controller *controller =
			conf_controller_by_id(conf, (uint8_t)index);

		name = controller ? controller->name : NULL;
	} else {
		name = ref_name(conf, key->ref, index);
	}
	if (name) {
		snprintf(out, CONF_VALUE_MAX, "%s", name);
	}
	return name;
}

/* What a value of each type may be, for a key; "" when the type's words say it all. */
static void allowed_range(const struct conf_key *key, char *out, size_t size)
{
	char low[CONF_VALUE_MAX], high[CONF_VALUE_MAX];
	struct conf_key wide = *key;
	int used;

	wide.size = sizeof(uint64_t);
	if (key->type == CONF_TYPE_SIZE || key->type == CONF_TYPE_AMOUNT) {
		size_format(NULL, &wide, &key->min, low);
		size_format(NULL, &wide, &key->max, high);
	} else if (key->type == CONF_TYPE_DURATION) {
		duration_format(NULL, &wide, &key->min, low);
		duration_format(NULL, &wide, &key->max, high);
	} else {
		uint_format(NULL, &wide, &key->min, low);
		uint_format(NULL, &wide, &key->max, high);
	}
	used = snprintf(out, size, "%s to %s%s", low, high,
		key->type == CONF_TYPE_SIZE	  ? " (B, KiB, MiB, GiB, TiB)"
		: key->type == CONF_TYPE_AMOUNT	  ? " (B, KiB, MiB, GiB, TiB), or 1% to 99%"
		: key->type == CONF_TYPE_DURATION ? " (us, ms, s, min)"
						  : "");
	if (key->step && used > 0 && (size_t)used < size) {
		snprintf(out + used, size - (size_t)used, ", a multiple of %" PRIu64, key->step);
	}
}

static void allowed_choices(const struct conf_key *key, char *out, size_t size)
{
	size_t used = 0;

	for (unsigned i = 0; i < key->choice_count && used < size; i++) {
		const char *comma = i == 0 ? "" : i + 1 == key->choice_count ? " or " : ", ";
		int n = snprintf(out + used, size - used, "%s%s", comma, key->choices[i].name);

		used += n > 0 ? (size_t)n : 0;
	}
}

static void allowed_characters(const struct conf_key *key, char *out, size_t size)
{
	snprintf(out, size, "%" PRIu64 " to %" PRIu64 " printable ASCII characters", key->min,
		key->max);
}

static void allowed_version(const struct conf_key *key, char *out, size_t size)
{
	snprintf(out, size, "%" PRIu64, key->max);
}

static void allowed_ref(const struct conf_key *key, char *out, size_t size)
{
	static const char *const sections[] = {
		[CONF_REF_CONTROLLER] = "controllers",
		[CONF_REF_GROUP] = "groups",
		[CONF_REF_EXTENT] = "extents",
		[CONF_REF_INITIATOR_GROUP] = "initiator_groups",
	};

	snprintf(out, size, "a name from %s", sections[key->ref]);
}

/* One row for each type. */
static const struct value_row {
	const char *name;
	bool (*parse)(const struct value *v);
	bool (*format)(
		const struct conf *conf, const struct conf_key *key, const void *field, char *out);
	void (*allowed)(const struct conf_key *key, char *out, size_t size);
	const char *words; /* allowed, where it does not depend on the key */
} value_rows[CONF_TYPES] = {
	[CONF_TYPE_VERSION] = {"version", uint_parse, version_format, allowed_version, NULL},
	[CONF_TYPE_CLUSTER] = {"name or none", cluster_parse, cluster_format, NULL,
		"none, or a name of 1 to 63 letters, digits, dots, hyphens and underscores"},
	[CONF_TYPE_NAME] = {"name", name_parse, string_format, NULL,
		"1 to 63 letters, digits, dots, hyphens and underscores"},
	[CONF_TYPE_TEXT] = {"text", text_parse, string_format, allowed_characters, NULL},
	[CONF_TYPE_PATH] = {"path", path_parse, string_format, NULL, "an absolute path"},
	[CONF_TYPE_ISCSI_NAME] = {"iSCSI name", iscsi_name_parse, string_format, NULL,
		"iqn.YYYY-MM.reversed.domain:name, eui. and 16, or naa. and 16 or 32 hexadecimal "
		"digits; letters, digits, dots, hyphens, colons, at most 223"},
	[CONF_TYPE_UINT] = {"number", uint_parse, uint_format, allowed_range, NULL},
	[CONF_TYPE_SIZE] = {"size", size_parse, size_format, allowed_range, NULL},
	[CONF_TYPE_AMOUNT] = {"amount", amount_parse, amount_format, allowed_range, NULL},
	[CONF_TYPE_DURATION] = {"duration", duration_parse, duration_format, allowed_range, NULL},
	[CONF_TYPE_BOOL] = {"yes or no", bool_parse, bool_format, NULL, "yes or no"},
	[CONF_TYPE_CHOICE] = {"choice", choice_parse, choice_format, allowed_choices, NULL},
	[CONF_TYPE_ADDRESS] = {"address", address_parse, address_format, NULL,
		"a literal address such as 10.0.0.1, 10.0.0.1:3260, fd00::1 or \"[fd00::1]:3260\""},
	[CONF_TYPE_NETWORK] = {"network", network_parse, network_format, NULL,
		"a network such as 10.0.0.0/24 or \"fd00::/64\", or one address"},
	[CONF_TYPE_SECRET] = {"secret", text_parse, secret_format, allowed_characters, NULL},
	[CONF_TYPE_UUID] = {"UUID", uuid_parse, uuid_format, NULL,
		"32 hexadecimal digits, as in 01234567-89ab-cdef-0123-456789abcdef, not all zero"},
	[CONF_TYPE_NAA] = {"NAA", naa_parse, naa_format, NULL,
		"16 hexadecimal digits that begin with 2, 3 or 5, or 32 that begin with 6"},
	[CONF_TYPE_REF] = {"reference", ref_parse, ref_format, allowed_ref, NULL},
	[CONF_TYPE_MAP] = {"mapping", NULL, NULL, NULL, "keys with values"},
	[CONF_TYPE_LIST] = {"list", NULL, NULL, NULL,
		"a list of mappings, each starting with \"- \""},
};

const char *conf_type_name(enum conf_type type)
{
	return type < CONF_TYPES ? value_rows[type].name : "unknown";
}

void conf_schema_allowed(const struct conf_key *key, char *out, size_t size)
{
	const struct value_row *row = &value_rows[key->type];

	if (row->allowed) {
		row->allowed(key, out, size);
	} else {
		snprintf(out, size, "%s", row->words);
	}
}

bool conf_value_parse(struct conf_loader *l, const struct conf_key *key, const char *text,
	void *field, char *why, size_t why_size)
{
	struct value v = {l, key, text, field, why, why_size};

	return value_rows[key->type].parse(&v);
}

bool conf_value_format(const struct conf *conf, const struct conf_key *key, const void *field,
	char out[static CONF_VALUE_MAX])
{
	if ((key->flags & CONF_ZERO_ABSENT) && !uint_get(field, key->size)) {
		return false;
	}
	return value_rows[key->type].format(conf, key, field, out);
}
