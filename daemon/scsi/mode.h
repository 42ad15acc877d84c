/* SPDX-License-Identifier: BSD-3-Clause */
/* The mode pages, as MODE SENSE tells and MODE SELECT changes them. */
#ifndef YOKE_SCSI_MODE_H
#define YOKE_SCSI_MODE_H

#include "daemon/scsi/core.h"
#include "daemon/scsi/state.h"

#define SCSI_MODE_PAGE_MOST 0x24 /* bytes behind code and length */

#define SCSI_MODE_SPF	    0x40 /* a page with a subpage code, and two bytes of length */

/* Values of PAGE CONTROL. */
enum scsi_mode_control {
	SCSI_MODE_CURRENT = 0,
	SCSI_MODE_CHANGEABLE = 1,
	SCSI_MODE_DEFAULT = 2,
	SCSI_MODE_SAVED = 3,
};

/* A bit that can be changed, and be saved. */
struct scsi_mode_field {
	uint8_t byte; /* behind code and length */
	uint8_t bit;
	uint8_t mode; /* SCSI_MODE_* of state.h */
};

struct scsi_mode_page {
	uint8_t code;
	uint8_t subpage; /* 0: in the form without subpage code */
	uint8_t length;
	bool (*available)(const struct scsi_lu *lu); /* NULL: every LU has it */
	/* What cannot be changed. */
	void (*put)(const struct scsi_lu *lu, uint8_t page[]);
	const struct scsi_mode_field *fields;
	unsigned field_count;
};

extern const struct scsi_mode_page scsi_mode_pages[];
extern const unsigned scsi_mode_page_count;

/* The page of these codes, if the LU has it; NULL. */
const struct scsi_mode_page *scsi_mode_page_find(
	const struct scsi_lu *lu, uint8_t code, uint8_t subpage);
/* Its parameters (page->length bytes) with fields by `mode`. */
void scsi_mode_page_put(const struct scsi_mode_page *page, const struct scsi_lu *lu, uint8_t mode,
	uint8_t to[SCSI_MODE_PAGE_MOST]);

#endif
