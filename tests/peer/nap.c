/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into iscsi-test-cu: sleep() for a few seconds at most. One of its tests asks once a
 * minute whether a sanitize operation has ended, which here takes eight seconds. Its other naps are
 * shorter than this.
 */
#include <time.h>
#include <unistd.h>

#define NAP_LONGEST_S 4u

unsigned int sleep(unsigned int seconds)
{
	struct timespec left = {.tv_sec = seconds < NAP_LONGEST_S ? seconds : NAP_LONGEST_S};

	return nanosleep(&left, &left) < 0 ? (unsigned int)left.tv_sec + 1 : 0;
}
