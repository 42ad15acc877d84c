/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults, their end, and whether all is well. */
#ifndef YOKE_TEST_SIM_FAULTS_H
#define YOKE_TEST_SIM_FAULTS_H

#include "tests/sim/sim.h"

void faults_strike(struct sim *sim);
/* No fault, but beside all of them: another configuration. */
void faults_change(struct sim *sim);
void faults_mend(struct sim *sim);
/* Every group has an owner, and is served by both controllers. */
bool faults_all_served(struct sim *sim);

#endif
