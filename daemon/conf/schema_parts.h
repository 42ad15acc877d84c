/* SPDX-License-Identifier: BSD-3-Clause */
/* How the rows of the schema are written, and the sections that stand in files of their own. */
#ifndef CONF_SCHEMA_PARTS_H
#define CONF_SCHEMA_PARTS_H

#include "schema.h"
#include "yoke/util.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

#define FIELD(object, member) \
	.offset = offsetof(struct object, member), .size = sizeof(((struct object *)0)->member)

#define ITEMS(object, member, number)                                                             \
	.offset = offsetof(struct object, member), .size = sizeof(*((struct object *)0)->member), \
	.count = offsetof(struct object, number)

#define CHOICES(table) .choices = table, .choice_count = ARRAY_SIZE(table)

/* schema_objects.c: what there is several of */
extern const struct conf_choice conf_choices_auth[3];
extern const struct conf_section conf_section_controller;
extern const struct conf_section conf_section_group;
extern const struct conf_section conf_section_extent;
extern const struct conf_section conf_section_initiator_group;
extern const struct conf_section conf_section_target;

/* schema_settings.c */
extern const struct conf_section conf_section_settings;
extern const struct conf_section conf_section_iscsi;
extern const struct conf_section conf_section_isns;

#endif
