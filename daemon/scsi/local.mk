# SPDX-License-Identifier: BSD-3-Clause
noinst_LIBRARIES += libyokescsi.a
libyokescsi_a_SOURCES = \
	daemon/scsi/alua.c \
	daemon/scsi/capacity.c \
	daemon/scsi/claim.c \
	daemon/scsi/commands.h \
	daemon/scsi/core.h \
	daemon/scsi/gate.c daemon/scsi/gate.h \
	daemon/scsi/group.c daemon/scsi/group.h \
	daemon/scsi/hold.c daemon/scsi/hold.h \
	daemon/scsi/inquiry.c \
	daemon/scsi/lu.c daemon/scsi/lu.h \
	daemon/scsi/mode.c \
	daemon/scsi/nexus.c daemon/scsi/nexus.h \
	daemon/scsi/opcodes.c daemon/scsi/opcodes.h \
	daemon/scsi/order.c \
	daemon/scsi/parameter.c \
	daemon/scsi/report_luns.c \
	daemon/scsi/rsoc.c \
	daemon/scsi/rw.c \
	daemon/scsi/scsi.c \
	daemon/scsi/sense.c daemon/scsi/sense.h \
	daemon/scsi/serve.c \
	daemon/scsi/sync.c \
	daemon/scsi/task.c daemon/scsi/tasks.h \
	daemon/scsi/tmf.c \
	daemon/scsi/unmap.c \
	daemon/scsi/verify.c \
	daemon/scsi/vpd.c \
	daemon/scsi/write_same.c
libyokescsi_a_CFLAGS = $(AM_CFLAGS)
