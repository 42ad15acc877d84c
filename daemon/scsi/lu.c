/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/scsi/lu.h"
#include "yoke/crc32c.h"
#include "yoke/cursor.h"
#include "yoke/log.h"
#include "yoke/util.h"

int scsi_lun_decode(const uint8_t lun[8])
{
	for (int i = 2; i < 8; i++) {
		if (lun[i]) {
			return -1;
		}
	}
	switch (lun[0] >> 6) {
	case 0: /* peripheral device addressing; libiscsi and LIO write a LUN over 255 like this */
	case 1: /* flat space addressing */
		return (lun[0] & 0x3f) << 8 | lun[1];
	}
	return -1;
}

void scsi_lun_encode(uint16_t lun, uint8_t to[8])
{
	memset(to, 0, 8);
	if (lun > 255) {
		to[0] = (uint8_t)(0x40 | lun >> 8);
	}
	to[1] = (uint8_t)lun;
}

void scsi_naa_make(const uint8_t uuid[16], uint8_t naa[16])
{
	uint64_t high = be64_get(uuid);
	uint64_t folded = (high ^ high >> 28) & 0xfffffffffull;

	be64_put(naa, 6ull << 60 | (uint64_t)SCSI_NAA_OUI << 36 | folded);
	memcpy(naa + 8, uuid + 8, 8);
}

const struct scsi_target *scsi_target_find(const struct scsi *scsi, const char *name)
{
	for (unsigned i = 0; i < scsi->target_count; i++) {
		if (strcmp(scsi->targets[i].conf->name, name) == 0) {
			return &scsi->targets[i];
		}
	}
	return NULL;
}

/* The slot of a UUID in the open hash, or the free one where it would go. */
static uint16_t *uuid_slot(const struct scsi *scsi, const uint8_t uuid[16])
{
	uint64_t hash = (be64_get(uuid) ^ be64_get(uuid + 8)) * 0x9e3779b97f4a7c15ull;
	unsigned at = (unsigned)(hash >> 32) & scsi->uuid_mask;

	while (scsi->uuid_map[at] &&
		memcmp(scsi->lus[scsi->uuid_map[at] - 1].conf->uuid, uuid, 16) != 0) {
		at = (at + 1) & scsi->uuid_mask;
	}
	return &scsi->uuid_map[at];
}

struct scsi_lu *scsi_lu_by_uuid(const struct scsi *scsi, const uint8_t uuid[16])
{
	uint16_t index = *uuid_slot(scsi, uuid);

	return index ? &scsi->lus[index - 1] : NULL;
}

/* Marks the write keys of this cluster's controllers. */
static uint32_t cluster_id(const struct conf *conf)
{
	return conf->cluster ? crc32c(conf->cluster, strlen(conf->cluster)) & 0xffffff : 0;
}

static int lu_open(struct scsi *scsi, struct scsi_lu *lu, char *error, size_t error_size)
{
	const struct conf_extent *c = lu->conf;
	struct extent_config config = {.name = c->name,
		.type = c->type,
		.path = c->path,
		.size_bytes = c->size_bytes,
		.block_size = c->block_size,
		.read_only = c->read_only,
		.direct = c->direct,
		.clustered = scsi->conf->controller_count > 1,
		.write_key = c->write_key,
		.cluster_id = cluster_id(scsi->conf)};

	lu->extent = extent_open(&config, error, error_size);
	if (!lu->extent) {
		return -EIO;
	}
	lu->info = *extent_info(lu->extent);
	lu->block_size = c->block_size;
	lu->block_shift = (uint8_t)__builtin_ctz(c->block_size);
	lu->blocks = lu->info.size_bytes >> lu->block_shift;
	if (lu->blocks == 0) {
		snprintf(error, error_size,
			"extent %s: holds no block of %u bytes; give it a `size`", c->name,
			c->block_size);
		return -EINVAL;
	}
	return 0;
}

static int lus_make(struct scsi *scsi, char *error, size_t error_size)
{
	const struct conf *conf = scsi->conf;

	for (unsigned i = 0; i < conf->extent_count; i++) {
		struct scsi_lu *lu = &scsi->lus[i];
		int err;

		lu->scsi = scsi;
		lu->conf = &conf->extents[i];
		lu->index = (uint16_t)i;
		lu->group = lu->conf->group;
		scsi_naa_make(lu->conf->uuid, lu->naa);
		for (int k = 0; k < 16; k++) {
			snprintf(lu->naa_text + 2 * k, 3, "%02x", lu->naa[k]);
		}
		err = lu_open(scsi, lu, error, error_size);
		if (err) {
			return err;
		}
		scsi->lu_count = i + 1;
		*uuid_slot(scsi, lu->conf->uuid) = (uint16_t)(i + 1);
		for (unsigned k = 0; k < i; k++) {
			if (memcmp(scsi->lus[k].naa, lu->naa, 16) == 0) {
				snprintf(error, error_size,
					"extents %s and %s have the same identity (NAA %s); give "
					"one of "
					"them another `uuid`",
					scsi->lus[k].conf->name, lu->conf->name, lu->naa_text);
				return -EEXIST;
			}
		}
	}
	return 0;
}

static int target_make(struct scsi_target *target, const struct conf_target *conf)
{
	target->conf = conf;
	target->lun_limit = conf->lun_count ? conf->luns[conf->lun_count - 1].lun + 1u : 0;
	target->unit_of_lun = calloc(target->lun_limit + 1u, sizeof(*target->unit_of_lun));
	if (!target->unit_of_lun) {
		return -ENOMEM;
	}
	for (unsigned i = 0; i < conf->lun_count; i++) {
		target->unit_of_lun[conf->luns[i].lun] = (uint16_t)(i + 1);
	}
	return 0;
}

static int groups_make(struct scsi *scsi)
{
	for (unsigned g = 0; g < scsi->group_count; g++) {
		struct scsi_group *group = &scsi->groups[g];

		group->lus = calloc(scsi->lu_count + 1u, sizeof(*group->lus));
		if (!group->lus) {
			return -ENOMEM;
		}
		for (unsigned i = 0; i < scsi->lu_count; i++) {
			if (scsi->lus[i].group == g) {
				group->lus[group->lu_count++] = (uint16_t)i;
			}
		}
	}
	return 0;
}

int scsi_units_make(struct scsi *scsi, char *error, size_t error_size)
{
	const struct conf *conf = scsi->conf;
	int err;

	scsi->lus = calloc(conf->extent_count + 1u, sizeof(*scsi->lus));
	scsi->targets = calloc(conf->target_count + 1u, sizeof(*scsi->targets));
	scsi->groups = calloc(conf->group_count + 1u, sizeof(*scsi->groups));
	scsi->uuid_mask = 15;
	while (scsi->uuid_mask < conf->extent_count * 2) {
		scsi->uuid_mask = scsi->uuid_mask * 2 + 1;
	}
	scsi->uuid_map = calloc(scsi->uuid_mask + 1u, sizeof(*scsi->uuid_map));
	if (!scsi->lus || !scsi->uuid_map || !scsi->targets || !scsi->groups) {
		snprintf(error, error_size, "out of memory for the logical units");
		return -ENOMEM;
	}
	err = lus_make(scsi, error, error_size);
	if (err) {
		return err;
	}
	scsi->group_count = conf->group_count;
	err = groups_make(scsi);
	for (unsigned i = 0; !err && i < conf->target_count; i++) {
		err = target_make(&scsi->targets[i], &conf->targets[i]);
		scsi->target_count = i + 1;
	}
	if (err) {
		snprintf(error, error_size, "out of memory for the logical units");
	}
	return err;
}

void scsi_units_free(struct scsi *scsi)
{
	for (unsigned i = 0; i < scsi->target_count; i++) {
		free(scsi->targets[i].unit_of_lun);
	}
	for (unsigned i = 0; i < scsi->group_count; i++) {
		free(scsi->groups[i].lus);
	}
	for (unsigned i = 0; scsi->lus && i < scsi->conf->extent_count; i++) {
		if (scsi->lus[i].extent) {
			extent_close(scsi->lus[i].extent);
		}
	}
	free(scsi->uuid_map);
	free(scsi->targets);
	free(scsi->groups);
	free(scsi->lus);
}
