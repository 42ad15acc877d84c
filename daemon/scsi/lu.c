/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/scsi/ledger.h"
#include "daemon/scsi/lu.h"
#include "daemon/scsi/stpg.h"
#include "daemon/scsi/threshold.h"
#include "yoke/crc32c.h"
#include "yoke/cursor.h"
#include "yoke/log.h"
#include "yoke/pages.h"
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

/* Marks the write keys of this cluster's controllers. */
static uint32_t cluster_id(const struct conf *conf)
{
	return conf->cluster ? crc32c(conf->cluster, strlen(conf->cluster)) & 0xffffff : 0;
}

int scsi_lu_open(struct scsi *scsi, struct scsi_lu *lu, const struct conf_extent *c, char *error,
	size_t error_size)
{
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

	scsi_lu_close(lu); /* what a removed LU has left in the slot */
	lu->gone = false;
	lu->scsi = scsi;
	lu->index = (uint16_t)(lu - scsi->lus);
	lu->group = c->group;
	lu->naa_length = c->naa.length ? c->naa.length : 16;
	if (c->naa.length) {
		memcpy(lu->naa, c->naa.bytes, sizeof(lu->naa));
	} else {
		scsi_naa_make(c->uuid, lu->naa);
	}
	for (int i = 0; i < lu->naa_length; i++) {
		snprintf(lu->naa_text + 2 * i, 3, "%02x", lu->naa[i]);
	}
	lu->conf = conf_extent_copy(c);
	if (!lu->conf) {
		snprintf(error, error_size, "extent %s: out of memory", c->name);
		return -ENOMEM;
	}
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
	lu->space = (struct scsi_space){.used_bytes = EXTENT_UNKNOWN,
		.free_bytes = EXTENT_UNKNOWN,
		.total_bytes = EXTENT_UNKNOWN};
	scsi_thresholds_set(lu, c);
	return 0;
}

void scsi_lu_close(struct scsi_lu *lu)
{
	if (lu->scsi) {
		scsi_ledger_forget(lu);
	}
	if (lu->extent) {
		extent_close(lu->extent);
	}
	conf_extent_free(lu->conf);
	memset((void *)lu, 0, sizeof(*lu));
	lu->gone = true;
}

void scsi_lu_shut(struct scsi_lu *lu)
{
	lu->close_wanted = lu->pins > 0;
	if (!lu->close_wanted) {
		extent_close(lu->extent);
		lu->extent = NULL;
		log_notice("extent %s: closed, it has been removed", lu->conf->name);
	}
}

void scsi_lu_unpin(struct scsi_lu *lu)
{
	if (--lu->pins == 0 && lu->close_wanted) {
		scsi_lu_shut(lu);
	}
}

/* At the start the extents of the configuration take the slots from the first on. */
static int units_open(struct scsi *scsi, char *error, size_t error_size)
{
	const struct conf *conf = scsi->conf;
	cleanup_free uint16_t *slot_of = calloc(conf->extent_count + 1u, sizeof(*slot_of));
	int err = 0;

	for (unsigned i = 0; slot_of && !err && i < conf->extent_count; i++) {
		slot_of[i] = (uint16_t)i;
		err = scsi_lu_open(scsi, &scsi->lus[i], &conf->extents[i], error, error_size);
	}
	if (err) {
		return err;
	}
	if (!slot_of) {
		snprintf(error, error_size, "out of memory for the logical units");
		return -ENOMEM;
	}
	scsi->map = scsi_map_new(scsi, conf, slot_of, error, error_size);
	return scsi->map ? 0 : -EEXIST;
}

void scsi_groups_fill(struct scsi *scsi)
{
	const struct scsi_map *map = scsi->map;

	for (unsigned g = 0; g < scsi->group_count; g++) {
		scsi->groups[g].lu_count = 0;
		scsi->groups[g].sick = 0;
	}
	for (unsigned i = 0; i < map->lu_count; i++) {
		scsi->groups[scsi->lus[map->order[i]].group].lu_count++;
	}
	/* All of them in one piece of memory that is large enough for every configuration. */
	for (unsigned g = 0, at = 0; g < scsi->group_count; g++) {
		scsi->groups[g].lus = scsi->group_lus + at;
		at += scsi->groups[g].lu_count;
		scsi->groups[g].lu_count = 0;
	}
	for (unsigned i = 0; i < map->lu_count; i++) {
		struct scsi_group *group = &scsi->groups[scsi->lus[map->order[i]].group];

		group->lus[group->lu_count++] = map->order[i];
		group->sick += scsi->lus[map->order[i]].sick;
	}
}

int scsi_units_make(struct scsi *scsi, char *error, size_t error_size)
{
	int err;

	scsi->lus = pages_new(CONF_EXTENTS_MAX * sizeof(*scsi->lus));
	scsi->groups = calloc(scsi->conf->group_count + 1u, sizeof(*scsi->groups));
	scsi->group_lus = calloc(CONF_EXTENTS_MAX, sizeof(*scsi->group_lus));
	if (!scsi->lus || !scsi->groups || !scsi->group_lus) {
		snprintf(error, error_size, "out of memory for the logical units");
		return -ENOMEM;
	}
	err = units_open(scsi, error, error_size);
	if (err) {
		return err;
	}
	scsi->group_count = scsi->conf->group_count;
	for (unsigned g = 0; g < scsi->group_count; g++) {
		qb_list_init(&scsi->groups[g].moves);
	}
	scsi_groups_fill(scsi);
	return 0;
}

void scsi_units_free(struct scsi *scsi)
{
	scsi_map_free(scsi->map);
	free(scsi->group_lus);
	for (unsigned i = 0; scsi->lus && i < CONF_EXTENTS_MAX; i++) {
		if (scsi->lus[i].conf) {
			scsi_lu_close(&scsi->lus[i]);
		}
	}
	for (unsigned g = 0; g < scsi->group_count; g++) {
		scsi_stpg_forget(&scsi->groups[g]);
	}
	free(scsi->groups);
	pages_free(scsi->lus, CONF_EXTENTS_MAX * sizeof(*scsi->lus));
}
