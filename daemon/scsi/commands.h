/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands, as the opcode table names them. decode() checks what the usage mask cannot and
 * says how much data moves; run() ends in scsi_task_finish(). All on the task's reactor.
 */
#ifndef YOKE_SCSI_COMMANDS_H
#define YOKE_SCSI_COMMANDS_H

#include "daemon/scsi/core.h"
#include "yoke/cursor.h"

/* For commands without parameters. */
bool scsi_decode_nothing(struct scsi_task *task);

/* capacity.c, inquiry.c and vpd.c, mode.c, report_luns.c, alua.c, rsoc.c */
bool scsi_inquiry_decode(struct scsi_task *task);
void scsi_inquiry_run(struct scsi_task *task);
bool scsi_request_sense_decode(struct scsi_task *task);
void scsi_request_sense_run(struct scsi_task *task);
void scsi_test_unit_ready_run(struct scsi_task *task);
bool scsi_start_stop_decode(struct scsi_task *task);
void scsi_start_stop_run(struct scsi_task *task);
bool scsi_capacity10_decode(struct scsi_task *task);
void scsi_capacity10_run(struct scsi_task *task);
bool scsi_capacity16_decode(struct scsi_task *task);
void scsi_capacity16_run(struct scsi_task *task);
bool scsi_defects_decode(struct scsi_task *task);
void scsi_defects_run(struct scsi_task *task);
bool scsi_mode_sense_decode(struct scsi_task *task);
void scsi_mode_sense_run(struct scsi_task *task);
bool scsi_mode_sense_beside_sanitize(const struct scsi_task *task);
bool scsi_report_luns_decode(struct scsi_task *task);
void scsi_report_luns_run(struct scsi_task *task);
bool scsi_rtpg_decode(struct scsi_task *task);
void scsi_rtpg_run(struct scsi_task *task);
/* stpg.c */
bool scsi_stpg_available(const struct scsi_lu *lu);
bool scsi_stpg_decode(struct scsi_task *task);
void scsi_stpg_run(struct scsi_task *task);
/* diagnostic.c, log_sense.c, lba_status.c */
bool scsi_send_diagnostic_decode(struct scsi_task *task);
void scsi_send_diagnostic_run(struct scsi_task *task);
bool scsi_receive_diagnostic_decode(struct scsi_task *task);
void scsi_receive_diagnostic_run(struct scsi_task *task);
bool scsi_write_buffer_decode(struct scsi_task *task);
void scsi_write_buffer_run(struct scsi_task *task);
bool scsi_read_buffer_decode(struct scsi_task *task);
void scsi_read_buffer_run(struct scsi_task *task);
bool scsi_log_select_decode(struct scsi_task *task);
void scsi_log_select_run(struct scsi_task *task);
bool scsi_log_sense_decode(struct scsi_task *task);
void scsi_log_sense_run(struct scsi_task *task);
bool scsi_lba_status_32_available(const struct scsi_lu *lu);
bool scsi_lba_status_decode(struct scsi_task *task);
void scsi_lba_status_run(struct scsi_task *task);
/* identify.c */
bool scsi_report_identifying_decode(struct scsi_task *task);
void scsi_report_identifying_run(struct scsi_task *task);
bool scsi_set_identifying_decode(struct scsi_task *task);
void scsi_set_identifying_run(struct scsi_task *task);
bool scsi_rstmf_decode(struct scsi_task *task);
void scsi_rstmf_run(struct scsi_task *task);
bool scsi_rsoc_decode(struct scsi_task *task);
void scsi_rsoc_run(struct scsi_task *task);

/* atomic.c, rw.c, sync.c, verify.c, write_same.c, unmap.c */
bool scsi_compare_write_decode(struct scsi_task *task);
void scsi_compare_write_run(struct scsi_task *task);
bool scsi_orwrite_decode(struct scsi_task *task);
void scsi_orwrite_run(struct scsi_task *task);
bool scsi_write_atomic_decode(struct scsi_task *task);
void scsi_write_atomic_run(struct scsi_task *task);
bool scsi_write_atomic_available(const struct scsi_lu *lu);
uint32_t scsi_atomic_bytes(const struct scsi_lu *lu); /* the largest atomic write; 0 = none */
bool scsi_read_decode(struct scsi_task *task);
void scsi_read_run(struct scsi_task *task);
bool scsi_write_decode(struct scsi_task *task);
void scsi_write_run(struct scsi_task *task);
bool scsi_sync_decode(struct scsi_task *task);
void scsi_sync_run(struct scsi_task *task);
bool scsi_verify_decode(struct scsi_task *task);
void scsi_verify_run(struct scsi_task *task);
bool scsi_write_verify_decode(struct scsi_task *task);
void scsi_write_verify_run(struct scsi_task *task);
bool scsi_prefetch_decode(struct scsi_task *task);
void scsi_prefetch_run(struct scsi_task *task);
bool scsi_write_same_decode(struct scsi_task *task);
void scsi_write_same_run(struct scsi_task *task);
bool scsi_unmap_decode(struct scsi_task *task);
void scsi_unmap_run(struct scsi_task *task);
/* sanitize.c */
bool scsi_sanitize_overwrite_decode(struct scsi_task *task);
bool scsi_sanitize_erase_decode(struct scsi_task *task);
void scsi_sanitize_run(struct scsi_task *task);
void scsi_sanitize_recorded(struct scsi_task *task);
/* extended_copy.c, odx.c, copy_results.c, copy_vpd.c */
bool scsi_extended_copy_decode(struct scsi_task *task);
void scsi_extended_copy_run(struct scsi_task *task);
void scsi_copy_abort_run(struct scsi_task *task);
bool scsi_copy_status_lid1_decode(struct scsi_task *task);
void scsi_copy_status_lid1_run(struct scsi_task *task);
bool scsi_copy_parameters_decode(struct scsi_task *task);
void scsi_copy_parameters_run(struct scsi_task *task);
bool scsi_copy_failure_decode(struct scsi_task *task);
void scsi_copy_failure_run(struct scsi_task *task);
bool scsi_copy_status_lid4_decode(struct scsi_task *task);
void scsi_copy_status_lid4_run(struct scsi_task *task);
bool scsi_populate_token_decode(struct scsi_task *task);
void scsi_populate_token_run(struct scsi_task *task);
bool scsi_write_using_token_decode(struct scsi_task *task);
void scsi_write_using_token_run(struct scsi_task *task);
bool scsi_token_information_decode(struct scsi_task *task);
void scsi_token_information_run(struct scsi_task *task);
bool scsi_all_tokens_decode(struct scsi_task *task);
void scsi_all_tokens_run(struct scsi_task *task);
void scsi_copy_vpd_put(const struct scsi_task *task, struct cursor *c); /* the page's descriptors */
bool scsi_unmap_available(const struct scsi_lu *lu);

/* pr_in.c, pr_out.c, reserve.c, mode_select.c */
bool scsi_pr_keys_decode(struct scsi_task *task);
void scsi_pr_keys_run(struct scsi_task *task);
bool scsi_pr_reservation_decode(struct scsi_task *task);
void scsi_pr_reservation_run(struct scsi_task *task);
bool scsi_pr_capabilities_decode(struct scsi_task *task);
void scsi_pr_capabilities_run(struct scsi_task *task);
bool scsi_pr_full_status_decode(struct scsi_task *task);
void scsi_pr_full_status_run(struct scsi_task *task);
bool scsi_pr_register_decode(struct scsi_task *task);
bool scsi_pr_typed_decode(struct scsi_task *task);
bool scsi_pr_clear_decode(struct scsi_task *task);
bool scsi_pr_move_decode(struct scsi_task *task);
void scsi_pr_out_run(struct scsi_task *task);
void scsi_reserve_run(struct scsi_task *task);
void scsi_release_run(struct scsi_task *task);
bool scsi_mode_select_decode(struct scsi_task *task);
void scsi_mode_select_run(struct scsi_task *task);

/* LBA and count of a 6, 10, 12 or 16-byte CDB of that family; left alone for any other. */
void scsi_range_get(const uint8_t *cdb, unsigned length, uint64_t *lba, uint64_t *blocks);
/* The same of the task's CDB, into task->lba and task->blocks. */
void scsi_range_decode(struct scsi_task *task);
/* The same, and the range must lie on the LU; false with 5/21/00. */
bool scsi_range_check(struct scsi_task *task);
/* As scsi_range_check(), and the data must fit into one transfer; false with 5/24/00. */
bool scsi_transfer_check(struct scsi_task *task);

/* Submits task->io on `length` bytes at the task's LBA, with `data` (NULL for FLUSH and the like).
 */
void scsi_io_submit(struct scsi_task *task, enum extent_op op, uint8_t *data, uint64_t offset_bytes,
	uint64_t length_bytes, void (*done)(struct extent_io *io, int res));
/* The first half of it: false when what the I/O came to does not count. */
bool scsi_io_stands(struct scsi_task *task, int res);
/*
 * To be called first in an I/O's done(): false when the task is over (error, or its epoch is).
 */
bool scsi_io_check(struct scsi_task *task, int res, bool writes);
/* The same for a write by task->io that carries data of the initiator: counts it. */
bool scsi_write_check(struct scsi_task *task, int res);
/* The done() of task->io where such a write is the last that a command does. */
void scsi_write_done(struct extent_io *io, int res);

/*
 * Parameter data: a command that answers `allocation` bytes at most of up to `most` bytes sets both
 * in decode(); run() writes into the cursor, then ends.
 */
bool scsi_parameter_decode(struct scsi_task *task, uint32_t allocation, uint32_t most);
struct cursor scsi_parameter_begin(struct scsi_task *task);
void scsi_parameter_end(struct scsi_task *task, const struct cursor *c);

/* One VPD page (page code in the CDB) and whether there is such a page. */
bool scsi_vpd_has(uint8_t page);
/* Room that the page may need. */
uint32_t scsi_vpd_most(const struct scsi_task *task);
void scsi_vpd_put(const struct scsi_task *task, struct cursor *c);

#endif
