/* SPDX-License-Identifier: BSD-3-Clause */
/* Behind the functions of yoke/iscsi.h for the other controller's portals. */
#ifndef YOKE_ISCSI_ADOPT_H
#define YOKE_ISCSI_ADOPT_H

struct iscsi;

/* After the reactors have stopped. */
void iscsi_adoption_free(struct iscsi *iscsi);

#endif
