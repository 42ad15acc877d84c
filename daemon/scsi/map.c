/* SPDX-License-Identifier: BSD-3-Clause */
/* The map: what commands look targets and LUs up by. */
#include <stdio.h>
#include <string.h>

#include "daemon/scsi/lu.h"
#include "yoke/cursor.h"
#include "yoke/util.h"

static uint32_t hash16(const uint8_t bytes[16])
{
	uint64_t hash = (be64_get(bytes) ^ be64_get(bytes + 8)) * 0x9e3779b97f4a7c15ull;

	return (uint32_t)(hash >> 32);
}

/* The slot of a UUID in the open hash, or the free one where it would go. */
static uint16_t *uuid_slot(
	const struct scsi *scsi, const struct scsi_map *map, const uint8_t uuid[16])
{
	unsigned at = hash16(uuid) & map->uuid_mask;

	while (map->uuids[at] && memcmp(scsi->lus[map->uuids[at] - 1].conf->uuid, uuid, 16) != 0) {
		at = (at + 1) & map->uuid_mask;
	}
	return &map->uuids[at];
}

struct scsi_lu *scsi_lu_by_uuid(const struct scsi *scsi, const uint8_t uuid[16])
{
	const struct scsi_map *map = atomic_load_explicit(&scsi->map, memory_order_acquire);
	uint16_t index = *uuid_slot(scsi, map, uuid);

	return index ? &scsi->lus[index - 1] : NULL;
}

const struct scsi_target *scsi_target_find(const struct scsi_map *map, const char *name)
{
	for (unsigned i = 0; i < map->target_count; i++) {
		if (strcmp(map->targets[i].name, name) == 0) {
			return &map->targets[i];
		}
	}
	return NULL;
}

static int target_make(
	struct scsi_target *target, const struct conf_target *conf, const uint16_t *slot_of)
{
	target->name = strdup(conf->name);
	target->units = calloc(conf->lun_count + 1u, sizeof(*target->units));
	target->lun_limit = conf->lun_count ? conf->luns[conf->lun_count - 1].lun + 1u : 0;
	target->unit_of_lun = calloc(target->lun_limit + 1u, sizeof(*target->unit_of_lun));
	if (!target->name || !target->units || !target->unit_of_lun) {
		return -1;
	}
	target->unit_count = conf->lun_count;
	for (unsigned i = 0; i < conf->lun_count; i++) {
		target->units[i].lun = conf->luns[i].lun;
		target->units[i].lu = slot_of[conf->luns[i].extent];
		target->unit_of_lun[conf->luns[i].lun] = (uint16_t)(i + 1);
	}
	return 0;
}

/* No two LUs may look like one disk. `seen`: an open hash of as many places as uuids has. */
static bool identities_differ(const struct scsi *scsi, const struct scsi_map *map, uint16_t *seen,
	char *error, size_t error_size)
{
	for (unsigned i = 0; i < map->lu_count; i++) {
		const struct scsi_lu *lu = &scsi->lus[map->order[i]], *other = NULL;
		unsigned at = hash16(lu->naa) & map->uuid_mask;

		for (; seen[at]; at = (at + 1) & map->uuid_mask) {
			other = &scsi->lus[seen[at] - 1];
			if (memcmp(other->naa, lu->naa, 16) == 0) {
				snprintf(error, error_size,
					"extents %s and %s have the same identity (NAA %s); give "
					"one of them another `uuid` or `naa`",
					other->conf->name, lu->conf->name, lu->naa_text);
				return false;
			}
		}
		seen[at] = (uint16_t)(map->order[i] + 1);
	}
	return true;
}

/* 0, -1 when out of memory, -2 with a message. */
static int map_fill(const struct scsi *scsi, struct scsi_map *map, const struct conf *conf,
	const uint16_t *slot_of, char *error, size_t error_size)
{
	cleanup_free uint16_t *seen = NULL;

	map->uuid_mask = 15;
	while (map->uuid_mask < conf->extent_count * 2) {
		map->uuid_mask = map->uuid_mask * 2 + 1;
	}
	seen = calloc(map->uuid_mask + 1u, sizeof(*seen));
	map->uuids = calloc(map->uuid_mask + 1u, sizeof(*map->uuids));
	map->order = calloc(conf->extent_count + 1u, sizeof(*map->order));
	map->targets = calloc(conf->target_count + 1u, sizeof(*map->targets));
	if (!seen || !map->uuids || !map->order || !map->targets) {
		return -1;
	}
	for (unsigned i = 0; i < conf->extent_count; i++) {
		map->order[map->lu_count++] = slot_of[i];
		*uuid_slot(scsi, map, conf->extents[i].uuid) = (uint16_t)(slot_of[i] + 1);
	}
	for (unsigned i = 0; i < conf->target_count; i++) {
		map->target_count = i + 1;
		if (target_make(&map->targets[i], &conf->targets[i], slot_of)) {
			return -1;
		}
	}
	return identities_differ(scsi, map, seen, error, error_size) ? 0 : -2;
}

struct scsi_map *scsi_map_new(const struct scsi *scsi, const struct conf *conf,
	const uint16_t *slot_of, char *error, size_t error_size)
{
	struct scsi_map *map = calloc(1, sizeof(*map));
	int err = map ? map_fill(scsi, map, conf, slot_of, error, error_size) : -1;

	if (err == -1) {
		snprintf(error, error_size, "out of memory for the logical units");
	}
	if (err) {
		scsi_map_free(map);
		return NULL;
	}
	return map;
}

void scsi_map_free(struct scsi_map *map)
{
	if (!map) {
		return;
	}
	for (unsigned i = 0; i < map->target_count; i++) {
		free(map->targets[i].name);
		free(map->targets[i].units);
		free(map->targets[i].unit_of_lun);
	}
	free(map->targets);
	free(map->uuids);
	free(map->order);
	free(map);
}
