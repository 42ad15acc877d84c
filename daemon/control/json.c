/* SPDX-License-Identifier: BSD-3-Clause */
/* Small makers of JSON that several resources use. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control_private.h"

json_t *control_json_text(const char *text)
{
	json_t *json;
	char *copy;

	if (!text) {
		return json_null();
	}
	json = json_string(text);
	if (json) {
		return json;
	}
	copy = strdup(text);
	if (!copy) {
		return NULL;
	}
	for (char *p = copy; *p != '\0'; p++) {
		if ((unsigned char)*p >= 0x80) {
			*p = '?';
		}
	}
	json = json_string(copy);
	free(copy);
	return json;
}

void control_json_append(json_t *array, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(array, control_json_text(text));
}

json_t *control_json_controller(const struct control *control, uint8_t id)
{
	const struct conf_controller *controller =
		id != 0 ? conf_controller_by_id(control->setup.conf, id) : NULL;

	return control_json_text(controller ? controller->name : NULL);
}
