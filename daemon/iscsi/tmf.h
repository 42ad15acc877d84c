/* SPDX-License-Identifier: BSD-3-Clause */
/* Task management functions (RFC 7143 11.5, 11.6). On the session's reactor. */
#ifndef YOKE_ISCSI_TMF_H
#define YOKE_ISCSI_TMF_H

#include "daemon/iscsi/pdu.h"
#include "daemon/iscsi/session.h"

struct iscsi_tmf {
	struct scsi_tmf tmf;
	struct iscsi_ordered ordered;
	struct iscsi_session *session;
	struct iscsi_conn *conn; /* the answer goes there */
	struct qb_list_head link; /* session->tmf_list */
	bool fenced; /* done, but for the acknowledgement of earlier responses */
	bool in_window;
	uint8_t bhs[ISCSI_BHS_BYTES];
};

/* Forgets it; the session may have waited for that. */
void iscsi_tmf_free(struct iscsi_tmf *tmf);

/* Something was acknowledged, or a connection is gone: answers those that waited for that. */
void iscsi_tmf_fence_check(struct iscsi_session *session);

/* Forgets those that wait: all of an ending session (`conn` NULL), or of a connection. */
void iscsi_tmf_fence_drop(struct iscsi_session *session, const struct iscsi_conn *conn);

#endif
