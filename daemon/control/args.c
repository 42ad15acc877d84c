/* SPDX-License-Identifier: BSD-3-Clause */
/* A request's JSON body, checked against its route's field table. */
#include <string.h>

#include "control_private.h"

static const struct control_field *control_field_find(
	const struct control_field *fields, const char *name)
{
	for (; fields && fields->name; fields++) {
		if (strcmp(fields->name, name) == 0) {
			return fields;
		}
	}
	return NULL;
}

static bool control_field_check(
	struct control_request *req, const struct control_field *field, const json_t *value)
{
	json_int_t n;

	if (json_typeof(value) != field->type) {
		control_refuse(req, CONTROL_BAD_REQUEST, "`%s` must be %s", field->name,
			field->type == JSON_STRING ? "a string" : "an integer");
		return false;
	}
	n = field->type == JSON_STRING ? (json_int_t)json_string_length(value)
				       : json_integer_value(value);
	if (n < field->min || n > field->max) {
		control_refuse(req, CONTROL_BAD_REQUEST,
			field->type == JSON_STRING ? "`%s` must have %lld to %lld bytes"
						   : "`%s` must be from %lld to %lld",
			field->name, (long long)field->min, (long long)field->max);
		return false;
	}
	/* Names and paths go to functions that end at a NUL. */
	if (field->type == JSON_STRING &&
		strlen(json_string_value(value)) != json_string_length(value)) {
		control_refuse(
			req, CONTROL_BAD_REQUEST, "`%s` must not contain a NUL", field->name);
		return false;
	}
	return true;
}

static bool control_args_check(struct control_request *req)
{
	const struct control_field *fields = req->route->fields;
	const char *name;
	json_t *value;

	json_object_foreach (req->args, name, value) {
		const struct control_field *field = control_field_find(fields, name);

		if (!field) {
			control_refuse(req, CONTROL_BAD_REQUEST, "`%.64s` is no argument of %s",
				name, req->route->path);
			return false;
		}
		if (!control_field_check(req, field, value)) {
			return false;
		}
	}
	for (; fields && fields->name; fields++) {
		if (fields->required && !json_object_get(req->args, fields->name)) {
			control_refuse(req, CONTROL_BAD_REQUEST, "`%s` is missing", fields->name);
			return false;
		}
	}
	return true;
}

bool control_args_parse(struct control_request *req)
{
	json_error_t error;

	if (req->body_bytes == 0) {
		req->args = json_object();
	} else {
		req->args = json_loadb(req->body, req->body_bytes,
			JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
		if (!req->args) {
			control_refuse(req, CONTROL_BAD_REQUEST,
				"the body is not JSON: line %d: %s", error.line, error.text);
			return false;
		}
	}
	if (!json_is_object(req->args)) {
		control_refuse(req, CONTROL_BAD_REQUEST, "the body must be one JSON object");
		return false;
	}
	return control_args_check(req);
}

const char *control_arg_string(const struct control_request *req, const char *name)
{
	return json_string_value(json_object_get(req->args, name));
}

json_int_t control_arg_integer(
	const struct control_request *req, const char *name, json_int_t otherwise)
{
	const json_t *value = json_object_get(req->args, name);

	return value ? json_integer_value(value) : otherwise;
}
