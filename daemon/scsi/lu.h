/* SPDX-License-Identifier: BSD-3-Clause */
/* Logical units, their names, and the map from a target's LUN to its LU. */
#ifndef YOKE_SCSI_LU_H
#define YOKE_SCSI_LU_H

#include "daemon/scsi/core.h"

/*
 * Opens the extents and makes scsi->lus, scsi->map and scsi->groups. 0 or a negative errno with
 * a message. Whatever was made is undone by scsi_units_free(), also after an error. Control thread.
 */
int scsi_units_make(struct scsi *scsi, char *error, size_t error_size);
void scsi_units_free(struct scsi *scsi);

/*
 * Opens the extent and fills the LU in; lu_close() undoes it, also after an error. The slot is not
 * to be had by anybody else. Control thread.
 */
int scsi_lu_open(struct scsi *scsi, struct scsi_lu *lu, const struct conf_extent *conf, char *error,
	size_t error_size);
void scsi_lu_close(struct scsi_lu *lu);
/* Closes the extent of a removed LU, later when it is pinned. Its names stay. Control thread. */
void scsi_lu_shut(struct scsi_lu *lu);
void scsi_lu_unpin(struct scsi_lu *lu);

/*
 * The map of a configuration: slot_of[i] is the slot of the LU of extent i. NULL with a message
 * when two LUs have one identity, or out of memory. Control thread.
 */
struct scsi_map *scsi_map_new(const struct scsi *scsi, const struct conf *conf,
	const uint16_t *slot_of, char *error, size_t error_size);
void scsi_map_free(struct scsi_map *map);

/* Sorts the LUs of the map that counts by group. Control thread. */
void scsi_groups_fill(struct scsi *scsi);

/* The target of that iSCSI name; NULL when there is none. */
const struct scsi_target *scsi_target_find(const struct scsi_map *map, const char *name);

/* The LU with that UUID; NULL when there is none. Any thread. */
struct scsi_lu *scsi_lu_by_uuid(const struct scsi *scsi, const uint8_t uuid[16]);

/*
 * The LUN in the eight bytes of the wire, peripheral (0 to 255) or flat addressing (SAM-5 4.7.7);
 * -1 for any other form.
 */
int scsi_lun_decode(const uint8_t lun[8]);
/* Peripheral addressing up to 255, flat above. */
void scsi_lun_encode(uint16_t lun, uint8_t to[8]);

/* Position in target->units of a LUN; -1 when it has no unit. */
static inline int scsi_target_unit(const struct scsi_target *target, int lun)
{
	return lun >= 0 && (unsigned)lun < target->lun_limit ? (int)target->unit_of_lun[lun] - 1
							     : -1;
}

/*
 * The NAA designator, type 6 (SPC-4 7.8.6.6), of an extent's UUID. Yoke has no OUI of its own, so
 * the one used has the "locally administered" bit set (IEEE 802c): SCSI_NAA_OUI; the other 100 bits
 * are the UUID's second half and its first half folded to 36 bits.
 */
#define SCSI_NAA_OUI 0x02594bu
void scsi_naa_make(const uint8_t uuid[16], uint8_t naa[16]);

#endif
