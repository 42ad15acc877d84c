# SPDX-License-Identifier: BSD-3-Clause
UNIT_TESTS =
noinst_HEADERS += include/yoke/buf.h include/yoke/conf.h include/yoke/control.h include/yoke/crc32c.h \
	include/yoke/child.h include/yoke/cursor.h include/yoke/group.h include/yoke/ha.h include/yoke/iscsi.h include/yoke/isns.h include/yoke/journal.h include/yoke/ledger.h include/yoke/log.h \
	include/yoke/mailbox.h include/yoke/pages.h include/yoke/portal.h include/yoke/reactor.h include/yoke/reload.h include/yoke/scsi.h include/yoke/store.h include/yoke/task.h \
	include/yoke/util.h
