/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What yoked and yoke-isns say to each other, a line each. yoked tells everything up to "start";
 * whenever the targets change, "change", all those that there are now, those that went, and "start"
 * again; in the end "stop". The end of its pipe without "stop" means that yoked is gone, and the
 * program ends without deregistering: the name server finds out by its status inquiries.
 */
#ifndef YOKE_ISNS_WORDS_H
#define YOKE_ISNS_WORDS_H

#define ISNS_LINE_MAX	     768

#define ISNS_TOLD_ENTITY     "entity" /* identifier */
#define ISNS_TOLD_PERIOD     "period" /* seconds */
#define ISNS_TOLD_ESI	     "esi" /* seconds between status inquiries; 0 = none wanted */
#define ISNS_TOLD_TAG	     "tag" /* portal group tag */
#define ISNS_TOLD_PORTAL     "portal" /* address:port */
#define ISNS_TOLD_TARGET     "target" /* name, and its alias */
#define ISNS_TOLD_WENT	     "went" /* name of a target that is to be taken out */
#define ISNS_TOLD_START	     "start"
#define ISNS_TOLD_CHANGE     "change" /* the targets that follow take the place of all */
#define ISNS_TOLD_STOP	     "stop"

#define ISNS_SAYS_REGISTERED "registered" /* granted period and inquiry interval, seconds */
#define ISNS_SAYS_INQUIRY    "inquiry" /* answered one */
#define ISNS_SAYS_FAILED     "failed" /* why, for people */
#define ISNS_SAYS_GONE	     "gone" /* deregistered */

#endif
