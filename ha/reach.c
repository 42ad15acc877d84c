/* SPDX-License-Identifier: BSD-3-Clause */
#include "reach.h"

void reach_quorum(struct reach *reach, bool in_reach, uint64_t now_ms)
{
	reach->lost = false;
	if (!in_reach) {
		reach->since_ms = 0;
	} else if (!reach->since_ms) {
		reach->since_ms = now_ms ? now_ms : 1;
	}
}

void reach_joined(struct reach *reach)
{
	reach->lost = false;
}

void reach_lost(struct reach *reach)
{
	reach->lost = reach->since_ms != 0;
}

bool reach_is_out(const struct reach *reach)
{
	return !reach->since_ms;
}

bool reach_is_settled(const struct reach *reach, uint64_t now_ms)
{
	return reach->since_ms && !reach->lost && now_ms - reach->since_ms >= REACH_SETTLED_MS;
}
