# SPDX-License-Identifier: BSD-3-Clause
# The interconnect; included from ha/local.mk.
libyokeha_a_SOURCES += \
	ha/ship.c ha/ship_private.h \
	ha/ship_cmd.c ha/ship_cmd.h \
	ha/ship_conn.c ha/ship_conn.h \
	ha/ship_frame.c ha/ship_frame.h \
	ha/ship_in.c ha/ship_in.h \
	ha/ship_job.c ha/ship_job.h \
	ha/ship_key.c ha/ship_key.h \
	ha/ship_listen.c \
	ha/ship_nexus.c ha/ship_nexus.h \
	ha/ship_out.c ha/ship_out.h \
	ha/ship_tls.c ha/ship_tls.h
