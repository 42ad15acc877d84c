/* SPDX-License-Identifier: BSD-3-Clause */
/* Vital product data (SPC-4 7.8, SBC-3 6.6). */
#include <stdio.h>
#include <string.h>

#include "daemon/scsi/commands.h"
#include "daemon/scsi/nexus.h"
#include "daemon/scsi/opcodes.h"
#include "daemon/scsi/threshold.h"
#include "yoke/util.h"

#define PROTOCOL_ISCSI	   0x50 /* in bits 7 to 4 */
#define CODE_BINARY	   0x01
#define CODE_ASCII	   0x02
#define CODE_UTF8	   0x03
#define PIV		   0x80
#define ASSOCIATION_LU	   0x00
#define ASSOCIATION_PORT   0x10
#define ASSOCIATION_DEVICE 0x20
#define TYPE_T10	   0x01
#define TYPE_NAA	   0x03
#define TYPE_RTPI	   0x04
#define TYPE_TPG	   0x05
#define TYPE_SCSI_NAME	   0x08
#define BLOCK_PAGE_BYTES   0x3c
#define SCSI_VPD_PORT_MAX  260u /* bytes of one port in page 88 */
#define OPTIMAL_BYTES	   (1u << 20)
#define WABEREQ_READS	   0x40 /* 01b: reads after BLOCK ERASE are good */

static void page_00(const struct scsi_task *task, struct cursor *c);

static void page_80(const struct scsi_task *task, struct cursor *c)
{
	const char *serial = task->lu->conf->serial;

	cursor_put_bytes(c, serial, strnlen(serial, 252));
}

/* Begins a designator; the end fills in its length. */
static size_t designator_begin(struct cursor *c, uint8_t code_set, uint8_t kind)
{
	cursor_put_u8(c, code_set);
	cursor_put_u8(c, kind);
	cursor_put_u16(c, 0);
	return c->pos;
}

static void designator_end(struct cursor *c, size_t begin)
{
	if (cursor_ok(c)) {
		c->base[begin - 1] = (uint8_t)(c->pos - begin);
	}
}

/* A SCSI name string: UTF-8, NUL, padded to a multiple of 4 (SPC-4 7.8.6.11). */
static void name_put(struct cursor *c, uint8_t kind, const char *name)
{
	size_t begin = designator_begin(c, PROTOCOL_ISCSI | CODE_UTF8, kind | TYPE_SCSI_NAME);
	size_t length = strlen(name) + 1;

	cursor_put_bytes(c, name, length);
	cursor_put_zeros(c, (4 - length % 4) % 4);
	designator_end(c, begin);
}

static void number_put(struct cursor *c, uint8_t type, uint16_t number)
{
	size_t begin =
		designator_begin(c, PROTOCOL_ISCSI | CODE_BINARY, PIV | ASSOCIATION_PORT | type);

	cursor_put_u16(c, 0);
	cursor_put_u16(c, number);
	designator_end(c, begin);
}

static void page_83(const struct scsi_task *task, struct cursor *c)
{
	const struct scsi_lu *lu = task->lu;
	const struct scsi_identity *who = &task->nexus->who;
	const char *vendor = task->nexus->core->scsi->conf->vendor;
	char port[SCSI_NAME_MAX + 16];
	size_t begin;

	begin = designator_begin(c, CODE_BINARY, ASSOCIATION_LU | TYPE_NAA);
	cursor_put_bytes(c, lu->naa, lu->naa_length);
	designator_end(c, begin);

	begin = designator_begin(c, CODE_ASCII, ASSOCIATION_LU | TYPE_T10);
	cursor_put_bytes(c, vendor, strnlen(vendor, 8));
	for (size_t i = strnlen(vendor, 8); i < 8; i++) {
		cursor_put_u8(c, ' ');
	}
	page_80(task, c);
	designator_end(c, begin);

	number_put(c, TYPE_RTPI, who->rtpi);
	number_put(c, TYPE_TPG, who->controller);
	snprintf(port, sizeof(port), "%s,t,0x%04x", who->target, who->controller);
	name_put(c, PIV | ASSOCIATION_PORT, port);
	name_put(c, PIV | ASSOCIATION_DEVICE, who->target);
}

/* Software identifiers (84): there are none. Network addresses for management (85): Yoke is managed
 * over a local socket alone. */
static void page_empty(const struct scsi_task *task, struct cursor *c)
{
}

/* Mode page policy: one set of mode pages for all nexuses, each LU its own. */
static void page_87(const struct scsi_task *task, struct cursor *c)
{
	cursor_put_u8(c, 0x3f); /* every page */
	cursor_put_u8(c, 0xff); /* and subpage */
	cursor_put_u8(c, 0x00); /* shared */
	cursor_put_u8(c, 0);
}

static void port_put(
	const struct scsi_task *task, struct cursor *c, uint8_t controller, uint16_t rtpi)
{
	char name[SCSI_NAME_MAX + 16];
	size_t begin;

	cursor_put_u16(c, 0);
	cursor_put_u16(c, rtpi);
	cursor_put_zeros(c, 6); /* no initiator port; the length of what follows comes last */
	cursor_put_u16(c, 0);
	begin = c->pos;
	snprintf(name, sizeof(name), "%s,t,0x%04x", task->nexus->who.target, controller);
	name_put(c, PIV | ASSOCIATION_PORT, name);
	if (cursor_ok(c)) {
		be16_put(c->base + begin - 2, (uint16_t)(c->pos - begin));
	}
}

/* The ports of both controllers, so far as they fit into a page. */
static void page_88(const struct scsi_task *task, struct cursor *c)
{
	const struct conf *conf = task->nexus->core->scsi->conf;

	for (uint8_t id = 1; id <= YOKE_CONTROLLERS; id++) {
		const struct conf_controller *controller = conf_controller_by_id(conf, id);

		for (unsigned i = 0; controller && i < controller->portal_count; i++) {
			if (cursor_left(c) < SCSI_VPD_PORT_MAX) {
				return;
			}
			port_put(task, c, id, (uint16_t)(id * 256u + i + 1));
		}
	}
}

uint32_t scsi_vpd_most(const struct scsi_task *task)
{
	const struct conf *conf = task->nexus->core->scsi->conf;
	uint32_t most = 1024;

	for (unsigned i = 0; task->cdb[2] == 0x88 && i < conf->controller_count; i++) {
		most += conf->controllers[i].portal_count * SCSI_VPD_PORT_MAX;
	}
	return most < UINT16_MAX ? most : UINT16_MAX;
}

/* Extended INQUIRY data: what the device server does with tasks. */
static void page_86(const struct scsi_task *task, struct cursor *c)
{
	cursor_put_u8(c, 0); /* no protection information, no microcode */
	cursor_put_u8(c, 0x07); /* HEADSUP, ORDSUP, SIMPSUP */
	cursor_put_u8(c, task->lu->info.volatile_cache ? 0x01 : 0x00); /* V_SUP */
	cursor_put_u8(c, 0x01); /* LUICLR */
	cursor_put_zeros(c, 5);
	cursor_put_u8(c, SCSI_SENSE_MAX); /* maximum supported sense data length */
	cursor_put_zeros(c, BLOCK_PAGE_BYTES - 10);
}

static void page_b0(const struct scsi_task *task, struct cursor *c)
{
	const struct scsi_lu *lu = task->lu;
	bool unmap = scsi_unmap_available(lu);
	uint32_t shift = lu->block_shift;
	uint32_t physical = lu->conf->physical_block_size;
	uint32_t atomic = scsi_atomic_bytes(lu) >> shift;

	cursor_put_u8(c, 0x01); /* WSNZ: WRITE SAME of 0 blocks is refused */
	cursor_put_u8(c, SCSI_COMPARE_BLOCKS_MAX);
	cursor_put_u16(c, (uint16_t)(physical > lu->block_size ? physical >> shift : 1));
	cursor_put_u32(c, BUF_MAX_BYTES >> shift);
	cursor_put_u32(c, OPTIMAL_BYTES >> shift);
	cursor_put_u32(c, 0); /* PRE-FETCH: no limit */
	cursor_put_u32(c, unmap ? (uint32_t)(SCSI_UNMAP_BYTES_MAX >> shift) : 0);
	cursor_put_u32(c, unmap ? SCSI_UNMAP_RANGES_MAX : 0);
	cursor_put_u32(c, unmap ? lu->info.unmap_granularity_bytes >> shift : 0);
	cursor_put_u32(c, unmap ? 0x80000000u : 0); /* UGAVALID, alignment 0 */
	cursor_put_u64(c, SCSI_SAME_BYTES_MAX >> shift);
	cursor_put_u32(c, atomic);
	cursor_put_u32(c, 0); /* no alignment */
	cursor_put_u32(c, 0); /* no granularity but the block */
	cursor_put_u32(c, atomic); /* with an atomic boundary */
	cursor_put_u32(c, atomic); /* the largest boundary */
}

static void page_b1(const struct scsi_task *task, struct cursor *c)
{
	const struct conf_extent *extent = task->lu->conf;

	cursor_put_u16(c, extent->rotational_known ? extent->rotation_rpm : 0);
	/* WABEREQ: blocks that were erased read as zeros. WACEREQ: there is no cryptographic erase.
	 */
	cursor_put_u8(c, 0);
	cursor_put_u8(c, scsi_unmap_available(task->lu) ? WABEREQ_READS : 0);
	cursor_put_zeros(c, BLOCK_PAGE_BYTES - 4);
}

/* Block limits extension: no streams, no scattered writes. */
static void page_b7(const struct scsi_task *task, struct cursor *c)
{
	cursor_put_zeros(c, BLOCK_PAGE_BYTES);
}

static void page_b2(const struct scsi_task *task, struct cursor *c)
{
	const struct scsi_lu *lu = task->lu;
	bool unmap = scsi_unmap_available(lu);

	/* Unit of log page 0C and of thresholds; 0: there are none */
	cursor_put_u8(c, scsi_threshold_available(lu, SCSI_THRESHOLD_USED)
				 ? (uint8_t)scsi_threshold_exponent(lu)
				 : 0);
	cursor_put_u8(c, unmap ? 0xe4 : 0); /* LBPU, LBPWS, LBPWS10, LBPRZ = 1 */
	cursor_put_u8(c, unmap ? 0x02 : 0); /* thin provisioned */
	cursor_put_u8(c,
		scsi_threshold_available(lu, SCSI_THRESHOLD_PERCENT) ? SCSI_THRESHOLD_TENTHS : 0);
}

/* A page without a row does not exist; page 00 lists the rows in ascending order. */
static void (*const pages[256])(const struct scsi_task *task, struct cursor *c) = {
	[0x00] = page_00,
	[0x80] = page_80,
	[0x83] = page_83,
	[0x84] = page_empty,
	[0x85] = page_empty,
	[0x86] = page_86,
	[0x87] = page_87,
	[0x88] = page_88,
	[0x8f] = scsi_copy_vpd_put,
	[0xb0] = page_b0,
	[0xb1] = page_b1,
	[0xb2] = page_b2,
	[0xb7] = page_b7,
};

static void page_00(const struct scsi_task *task, struct cursor *c)
{
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		if (pages[i]) {
			cursor_put_u8(c, (uint8_t)i);
		}
	}
}

bool scsi_vpd_has(uint8_t page)
{
	return pages[page] != NULL;
}

void scsi_vpd_put(const struct scsi_task *task, struct cursor *c)
{
	uint8_t page = task->cdb[2];

	cursor_put_u8(c, 0); /* connected, direct access */
	cursor_put_u8(c, page);
	cursor_put_u16(c, 0);
	pages[page](task, c);
	if (cursor_ok(c)) {
		be16_put(c->base + 2, (uint16_t)(c->pos - 4));
	}
}
