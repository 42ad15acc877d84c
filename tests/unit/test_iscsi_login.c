/* SPDX-License-Identifier: BSD-3-Clause */
/* The login phase: transcripts of real initiators, every stage pair, every way to be refused. */
#include "daemon/iscsi/keys.h"
#include "tests/unit/iscsi_fixture.h"

#define OPEN_ISCSI_1                                                        \
	"InitiatorName=" HOST1 "\0InitiatorAlias=host1\0TargetName=" ARRAY1 \
	"\0SessionType=Normal\0AuthMethod=None\0"
#define OPEN_ISCSI_2                                                                         \
	"HeaderDigest=None\0DataDigest=None\0DefaultTime2Wait=2\0DefaultTime2Retain=0\0"     \
	"IFMarker=No\0OFMarker=No\0ErrorRecoveryLevel=0\0InitialR2T=No\0ImmediateData=Yes\0" \
	"MaxBurstLength=16776192\0FirstBurstLength=262144\0MaxOutstandingR2T=1\0"            \
	"MaxConnections=1\0DataPDUInOrder=Yes\0DataSequenceInOrder=Yes\0"                    \
	"MaxRecvDataSegmentLength=262144"
#define OPEN_ISCSI_ANSWER_2                                                                    \
	"MaxRecvDataSegmentLength=1048576\0HeaderDigest=None\0DataDigest=None\0"               \
	"DefaultTime2Wait=2\0DefaultTime2Retain=0\0IFMarker=Reject\0OFMarker=Reject\0"         \
	"ErrorRecoveryLevel=0\0InitialR2T=No\0ImmediateData=Yes\0MaxBurstLength=1048576\0"     \
	"FirstBurstLength=262144\0MaxOutstandingR2T=1\0MaxConnections=1\0DataPDUInOrder=Yes\0" \
	"DataSequenceInOrder=Yes"

static void defaults_before(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_true(f.login.params.initial_r2t);
	assert_true(f.login.params.immediate_data);
	assert_false(f.login.params.header_digest || f.login.params.data_digest);
	assert_int_equal(f.login.params.send_max_bytes, 8192);
	assert_int_equal(f.login.params.recv_max_bytes, 8192);
	assert_int_equal(f.login.params.max_burst_bytes, 262144);
	assert_int_equal(f.login.params.first_burst_bytes, 65536);
	assert_int_equal(f.login.params.time2wait_s, 2);
	assert_int_equal(f.login.params.time2retain_s, 20);
	assert_int_equal(f.login.params.protocol_level, 1);
}

static void open_iscsi_normal(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(SEND(&f, SECURITY_TO_OPERATIONAL, OPEN_ISCSI_1), ISCSI_LOGIN_REPLY);
	CHECK_REPLY(&f, SECURITY_TO_OPERATIONAL,
		"TargetPortalGroupTag=1\0TargetAlias=array1\0AuthMethod=None");
	assert_int_equal(reply_status(&f), 0);
	assert_int_equal(SEND(&f, OPERATIONAL_TO_FULL, OPEN_ISCSI_2), ISCSI_LOGIN_FINAL);
	assert_int_equal(f.login.state, ISCSI_LOGIN_STATE_DECISION);
	iscsi_login_accept(&f.login, 0x1234, &f.reply);
	CHECK_REPLY(&f, OPERATIONAL_TO_FULL, OPEN_ISCSI_ANSWER_2);
	assert_int_equal(be16_get(f.reply.bhs + ISCSI_LOGIN_TSIH), 0x1234);
	assert_memory_equal(f.reply.bhs + ISCSI_LOGIN_ISID, "\x00\x02\x3d\x01\x00\x00", 6);
	assert_int_equal(reply_status(&f), 0);
	assert_int_equal(f.login.state, ISCSI_LOGIN_STATE_FULL_FEATURE);
	assert_string_equal(f.login.initiator, HOST1);
	assert_string_equal(f.login.initiator_alias, "host1");
	assert_string_equal(f.login.target, ARRAY1);
	assert_int_equal(f.login.cid, 7);
	assert_int_equal(f.login.params.send_max_bytes, 262144);
	assert_int_equal(f.login.params.recv_max_bytes, 1048576);
	assert_int_equal(f.login.params.max_burst_bytes, 1048576);
	assert_int_equal(f.login.params.first_burst_bytes, 262144);
	assert_false(f.login.params.initial_r2t);
	assert_int_equal(f.login.params.time2retain_s, 0);
	assert_int_equal(SEND_EMPTY(&f, OPERATIONAL), ISCSI_LOGIN_DROP);
}

static void open_iscsi_discovery(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(SEND(&f, SECURITY_TO_OPERATIONAL, DISCOVERY "AuthMethod=None\0"),
		ISCSI_LOGIN_REPLY);
	CHECK_REPLY(&f, SECURITY_TO_OPERATIONAL, "AuthMethod=None");
	assert_int_equal(SEND(&f, OPERATIONAL_TO_FULL,
				 "HeaderDigest=None\0DataDigest=None\0DefaultTime2Wait=2\0"
				 "DefaultTime2Retain=0\0ErrorRecoveryLevel=2\0InitialR2T=No\0"
				 "MaxBurstLength=1\0MaxConnections=8\0"
				 "MaxRecvDataSegmentLength=32768"),
		ISCSI_LOGIN_FINAL);
	iscsi_login_accept(&f.login, 9, &f.reply);
	CHECK_REPLY(&f, OPERATIONAL_TO_FULL,
		"MaxRecvDataSegmentLength=1048576\0HeaderDigest=None\0DataDigest=None\0"
		"DefaultTime2Wait=2\0DefaultTime2Retain=0\0ErrorRecoveryLevel=0\0"
		"InitialR2T=Irrelevant\0MaxBurstLength=Irrelevant\0MaxConnections=Irrelevant");
	assert_true(f.login.params.discovery);
	assert_string_equal(f.login.target, "");
	assert_null(f.login.conf_target);
}

/* A discovery that names a target gets its portal group tag (RFC 7143 13.9). */
static void named_discovery(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(SEND(&f, OPERATIONAL, DISCOVERY "TargetName=" ARRAY1), ISCSI_LOGIN_REPLY);
	assert_string_equal(reply_value(&f, "TargetPortalGroupTag"), "1");
	assert_string_equal(f.login.target, ARRAY1);
}

static void libiscsi_normal(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.setup.controller = 2;
	iscsi_login_init(&f.login, &f.setup);
	assert_int_equal(SEND(&f, SECURITY_TO_OPERATIONAL,
				 "InitiatorName=" HOST1 "\0InitiatorAlias=libiscsi\0"
				 "TargetName=" OPEN1 "\0SessionType=Normal\0AuthMethod=CHAP,None"),
		ISCSI_LOGIN_REPLY);
	CHECK_REPLY(&f, SECURITY_TO_OPERATIONAL, "TargetPortalGroupTag=2\0AuthMethod=None");
	assert_int_equal(SEND(&f, OPERATIONAL_TO_FULL,
				 "HeaderDigest=None,CRC32C\0DataDigest=None\0InitialR2T=No\0"
				 "ImmediateData=Yes\0MaxBurstLength=262144\0"
				 "FirstBurstLength=262144\0MaxRecvDataSegmentLength=262144\0"
				 "DataPDUInOrder=Yes\0DataSequenceInOrder=Yes\0IFMarker=No\0"
				 "OFMarker=No"),
		ISCSI_LOGIN_FINAL);
	iscsi_login_accept(&f.login, 1, &f.reply);
	CHECK_REPLY(&f, OPERATIONAL_TO_FULL,
		"MaxRecvDataSegmentLength=1048576\0HeaderDigest=None\0DataDigest=None\0"
		"InitialR2T=No\0ImmediateData=Yes\0MaxBurstLength=262144\0"
		"FirstBurstLength=262144\0DataPDUInOrder=Yes\0DataSequenceInOrder=Yes\0"
		"IFMarker=Reject\0OFMarker=Reject");
}

static void windows_like(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.conf.iscsi.header_digest = f.conf.iscsi.data_digest = true;
	assert_int_equal(SEND(&f, SECURITY_TO_OPERATIONAL,
				 "InitiatorName=iqn.1991-05.com.microsoft:WIN-HOST\0"
				 "SessionType=Normal\0TargetName=" ARRAY1 "\0AuthMethod=None"),
		ISCSI_LOGIN_REPLY);
	assert_int_equal(SEND(&f, OPERATIONAL_TO_FULL,
				 "HeaderDigest=CRC32C,None\0DataDigest=CRC32C\0"
				 "ErrorRecoveryLevel=2\0InitialR2T=No\0ImmediateData=Yes\0"
				 "MaxRecvDataSegmentLength=65536\0MaxBurstLength=262144\0"
				 "FirstBurstLength=65536\0MaxConnections=8\0"
				 "DataPDUInOrder=No\0DataSequenceInOrder=No\0"
				 "DefaultTime2Wait=0\0DefaultTime2Retain=60\0"
				 "MaxOutstandingR2T=16"),
		ISCSI_LOGIN_FINAL);
	iscsi_login_accept(&f.login, 1, &f.reply);
	CHECK_REPLY(&f, OPERATIONAL_TO_FULL,
		"MaxRecvDataSegmentLength=1048576\0HeaderDigest=CRC32C\0DataDigest=CRC32C\0"
		"ErrorRecoveryLevel=0\0InitialR2T=No\0ImmediateData=Yes\0MaxBurstLength=262144\0"
		"FirstBurstLength=65536\0MaxConnections=1\0DataPDUInOrder=Yes\0"
		"DataSequenceInOrder=Yes\0DefaultTime2Wait=0\0DefaultTime2Retain=0\0"
		"MaxOutstandingR2T=8");
	assert_string_equal(f.login.initiator, "iqn.1991-05.com.microsoft:win-host");
	assert_true(f.login.params.header_digest && f.login.params.data_digest);
	assert_int_equal(f.login.params.max_outstanding_r2t, 8);
	assert_int_equal(f.login.params.send_max_bytes, 65536);
}

/* RFC 7143 6.3: what may follow what, all states and all 64 values of T, CSG and NSG. */
static void stage_transitions(void **state)
{
	for (unsigned start = 0; start < 3; start++) {
		for (unsigned v = 0; v < 64; v++) {
			bool t = v & 32, legal;
			unsigned csg = v >> 2 & 3, nsg = v & 3;
			uint8_t flags = (uint8_t)((t ? 0x80 : 0) | csg << 2 | nsg);
			enum iscsi_login_step step;
			struct fixture f;

			if (v & 16) {
				continue;
			}
			fixture_init(&f);
			if (start) {
				step = SEND(&f, start == 1 ? SECURITY : OPERATIONAL, NAMES);
				assert_int_equal(step, ISCSI_LOGIN_REPLY);
				step = SEND_EMPTY(&f, flags);
			} else {
				step = SEND(&f, flags, NAMES);
			}
			legal = csg < 2 && (start == 0 || csg == start - 1) &&
				(!t || nsg == 3 || (csg == 0 && nsg == 1));
			if (!legal) {
				check_refused(&f, step, ISCSI_LOGIN_INITIATOR_ERROR);
			} else if (t && nsg == 3) {
				assert_int_equal(step, ISCSI_LOGIN_FINAL);
				iscsi_login_accept(&f.login, 1, &f.reply);
				assert_int_equal(f.reply.bhs[1], flags);
			} else {
				assert_int_equal(step, ISCSI_LOGIN_REPLY);
				assert_int_equal(f.reply.bhs[1], t ? flags : csg << 2);
				assert_int_equal(
					f.login.state, csg || t ? ISCSI_LOGIN_STATE_OPERATIONAL
								: ISCSI_LOGIN_STATE_SECURITY);
			}
		}
	}
}

/* Once the operational stage is reached there is no way back. */
static void no_way_back(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(SEND(&f, SECURITY_TO_OPERATIONAL, NAMES), ISCSI_LOGIN_REPLY);
	check_refused(&f, SEND_EMPTY(&f, SECURITY), ISCSI_LOGIN_INITIATOR_ERROR);
	/* a transition that was not asked for is not taken: still in the security stage */
	fixture_init(&f);
	assert_int_equal(SEND(&f, SECURITY, NAMES), ISCSI_LOGIN_REPLY);
	check_refused(&f, SEND_EMPTY(&f, OPERATIONAL_TO_FULL), ISCSI_LOGIN_INITIATOR_ERROR);
}

static void straight_to_full_feature(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(SEND(&f, SECURITY_TO_FULL, NAMES), ISCSI_LOGIN_FINAL);
	iscsi_login_accept(&f.login, 3, &f.reply);
	CHECK_REPLY(&f, SECURITY_TO_FULL, "TargetPortalGroupTag=1\0TargetAlias=array1");
	/* nothing was declared in the operational stage, so the default rules */
	assert_int_equal(f.login.params.recv_max_bytes, 8192);
}

static const struct refusal {
	const char *what;
	uint8_t flags;
	unsigned status;
	const char *text;
	size_t length;
} refusals[] = {
#define ROW(what, flags, status, text)                  \
	{                                               \
		what, flags, status, text, sizeof(text) \
	}
	ROW("no InitiatorName", SECURITY, 0x0207, "TargetName=" ARRAY1),
	ROW("no InitiatorName in discovery", SECURITY, 0x0207, "SessionType=Discovery"),
	ROW("no TargetName", SECURITY, 0x0207, "InitiatorName=" HOST1),
	ROW("no TargetName, Normal said", SECURITY, 0x0207,
		"InitiatorName=" HOST1 "\0SessionType=Normal"),
	ROW("bad InitiatorName", SECURITY, 0x0200, "InitiatorName=me\0TargetName=" ARRAY1),
	ROW("empty InitiatorName", SECURITY, 0x0200, "InitiatorName=\0TargetName=" ARRAY1),
	ROW("unknown target", SECURITY, 0x0203,
		"InitiatorName=" HOST1 "\0TargetName=iqn.2026-01.org.example:nobody"),
	ROW("malformed target", SECURITY, 0x0203, "InitiatorName=" HOST1 "\0TargetName=x"),
	ROW("unknown target in discovery", SECURITY, 0x0203, DISCOVERY "TargetName=eui.0"),
	ROW("not in the groups", SECURITY, 0x0202, "InitiatorName=" HOST1 "\0TargetName=" OTHER1),
	ROW("not in the groups, discovery", SECURITY, 0x0202, DISCOVERY "TargetName=" OTHER1),
	ROW("unknown session type", SECURITY, 0x0209, NAMES "SessionType=Other"),
	ROW("only CHAP", SECURITY, 0x0201, NAMES "AuthMethod=CHAP"),
	ROW("unknown methods", SECURITY, 0x0201, NAMES "AuthMethod=KRB5,SRP"),
	ROW("empty AuthMethod", SECURITY, 0x0201, NAMES "AuthMethod="),
	ROW("AuthMethod in operational", OPERATIONAL, 0x0200, NAMES "AuthMethod=None"),
	ROW("CHAP key without CHAP", SECURITY, 0x0200, NAMES "CHAP_A=5"),
	ROW("CHAP key in operational", OPERATIONAL, 0x0200, NAMES "CHAP_N=me"),
	ROW("operational key in security", SECURITY, 0x0200, NAMES "InitialR2T=No"),
	ROW("declared size in security", SECURITY, 0x0200, NAMES "MaxRecvDataSegmentLength=8192"),
	ROW("marker in security", SECURITY, 0x0200, NAMES "IFMarker=No"),
	ROW("SendTargets in login", OPERATIONAL, 0x0200, NAMES "SendTargets=All"),
	ROW("TargetAlias from the initiator", SECURITY, 0x0200, NAMES "TargetAlias=x"),
	ROW("TargetAddress from the initiator", SECURITY, 0x0200, NAMES "TargetAddress=x"),
	ROW("tag from the initiator", SECURITY, 0x0200, NAMES "TargetPortalGroupTag=1"),
	ROW("name twice", SECURITY, 0x0200, NAMES "InitiatorName=" HOST1),
	ROW("key twice", OPERATIONAL, 0x0200, NAMES "InitialR2T=No\0InitialR2T=No"),
	ROW("Reject proposed", OPERATIONAL, 0x0200, NAMES "InitialR2T=Reject"),
	ROW("Irrelevant proposed", OPERATIONAL, 0x0200, NAMES "HeaderDigest=Irrelevant"),
	ROW("NotUnderstood proposed", OPERATIONAL, 0x0200, NAMES "X-a=NotUnderstood"),
	ROW("declared size too small", OPERATIONAL, 0x0200, NAMES "MaxRecvDataSegmentLength=511"),
	ROW("declared size too large", OPERATIONAL, 0x0200,
		NAMES "MaxRecvDataSegmentLength=16777216"),
	ROW("declared size no number", OPERATIONAL, 0x0200, NAMES "MaxRecvDataSegmentLength=lots"),
	ROW("no equals sign", SECURITY, 0x0200, NAMES "InitiatorAlias"),
	ROW("empty key", SECURITY, 0x0200, NAMES "=value"),
	ROW("key with a blank", SECURITY, 0x0200, NAMES "Initiator Alias=x"),
	ROW("key of 64 bytes", SECURITY, 0x0200,
		NAMES "Xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1"),
	{"no final NUL", SECURITY, 0x0200, NAMES "AuthMethod=None", sizeof(NAMES) - 1 + 15},
#undef ROW
};

static void refused(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];
		struct fixture f;

		print_message("%s\n", r->what);
		fixture_init(&f);
		check_refused(&f, send_text(&f, r->flags, r->text, r->length), r->status);
	}
}

/* Names belong to the first request, even when they did not come there. */
static void late_names(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(SEND(&f, SECURITY, DISCOVERY), ISCSI_LOGIN_REPLY);
	check_refused(&f, SEND(&f, SECURITY, "TargetName=" ARRAY1), ISCSI_LOGIN_INITIATOR_ERROR);
	fixture_init(&f);
	assert_int_equal(SEND(&f, SECURITY, NAMES), ISCSI_LOGIN_REPLY);
	check_refused(&f, SEND(&f, SECURITY, "SessionType=Normal"), ISCSI_LOGIN_INITIATOR_ERROR);
}

/* A key agreed on in one request may not come back in the next. */
static void renegotiation(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(SEND(&f, OPERATIONAL, NAMES "InitialR2T=No"), ISCSI_LOGIN_REPLY);
	check_refused(&f, SEND(&f, OPERATIONAL, "InitialR2T=No"), ISCSI_LOGIN_INITIATOR_ERROR);
}

/* A target that requires authentication: there is none to be had without CHAP. */
static void authentication_required(void **state)
{
	static const uint8_t skips[] = {
		OPERATIONAL, OPERATIONAL_TO_FULL, SECURITY_TO_OPERATIONAL, SECURITY_TO_FULL};
	struct fixture f;

	for (size_t i = 0; i < ARRAY_SIZE(skips); i++) {
		fixture_init(&f);
		f.groups[0].auth = CONF_AUTH_CHAP;
		check_refused(&f, SEND(&f, skips[i], NAMES), ISCSI_LOGIN_AUTHENTICATION_FAILED);
	}
	fixture_init(&f);
	f.groups[0].auth = CONF_AUTH_CHAP;
	check_refused(&f, SEND(&f, SECURITY_TO_FULL, NAMES "AuthMethod=None"),
		ISCSI_LOGIN_AUTHENTICATION_FAILED);
	/* a method that was chosen and has not run yet does not let anybody pass */
	fixture_init(&f);
	f.groups[0].auth = CONF_AUTH_CHAP;
	assert_int_equal(
		SEND(&f, SECURITY_TO_FULL, NAMES "AuthMethod=CHAP,None"), ISCSI_LOGIN_REPLY);
	assert_int_equal(f.reply.bhs[1], SECURITY);
	assert_string_equal(reply_value(&f, "AuthMethod"), "CHAP");
	check_refused(&f, SEND_EMPTY(&f, SECURITY_TO_FULL), ISCSI_LOGIN_INITIATOR_ERROR);
}

static const struct answer {
	const char *offer, *key, *value;
} answers[] = {
	{"HeaderDigest=CRC32C,None", "HeaderDigest", "None"}, /* not offered by configuration */
	{"HeaderDigest=CRC32C", "HeaderDigest", "CRC32C"}, /* but mandatory to implement */
	{"DataDigest=MD5", "DataDigest", "Reject"},
	{"MaxConnections=8", "MaxConnections", "1"},
	{"MaxConnections=0", "MaxConnections", "Reject"},
	{"MaxConnections=65536", "MaxConnections", "Reject"},
	{"InitialR2T=Yes", "InitialR2T", "Yes"},
	{"InitialR2T=Maybe", "InitialR2T", "Reject"},
	{"ImmediateData=No", "ImmediateData", "No"},
	{"ImmediateData=yes", "ImmediateData", "Reject"},
	{"MaxBurstLength=0x10000", "MaxBurstLength", "65536"},
	{"MaxBurstLength=777", "MaxBurstLength", "777"},
	{"MaxBurstLength=511", "MaxBurstLength", "Reject"},
	{"FirstBurstLength=16777215", "FirstBurstLength", "262144"},
	{"FirstBurstLength=0", "FirstBurstLength", "Reject"},
	{"DefaultTime2Wait=3600", "DefaultTime2Wait", "3600"},
	{"DefaultTime2Wait=3601", "DefaultTime2Wait", "Reject"},
	{"DefaultTime2Retain=3600", "DefaultTime2Retain", "0"},
	{"MaxOutstandingR2T=65535", "MaxOutstandingR2T", "8"},
	{"MaxOutstandingR2T=0", "MaxOutstandingR2T", "Reject"},
	{"DataPDUInOrder=No", "DataPDUInOrder", "Yes"},
	{"DataSequenceInOrder=No", "DataSequenceInOrder", "Yes"},
	{"ErrorRecoveryLevel=2", "ErrorRecoveryLevel", "0"},
	{"ErrorRecoveryLevel=3", "ErrorRecoveryLevel", "Reject"},
	{"TaskReporting=FastAbort,ResponseFence,RFC3720", "TaskReporting", "ResponseFence"},
	{"TaskReporting=RFC3720,ResponseFence", "TaskReporting", "RFC3720"},
	{"TaskReporting=FastAbort", "TaskReporting", "Reject"},
	{"iSCSIProtocolLevel=2", "iSCSIProtocolLevel", "2"},
	{"iSCSIProtocolLevel=31", "iSCSIProtocolLevel", "2"},
	{"iSCSIProtocolLevel=1", "iSCSIProtocolLevel", "1"},
	{"iSCSIProtocolLevel=0", "iSCSIProtocolLevel", "0"},
	{"iSCSIProtocolLevel=32", "iSCSIProtocolLevel", "Reject"},
	{"IFMarker=Yes", "IFMarker", "Reject"},
	{"OFMarker=No", "OFMarker", "Reject"},
	{"IFMarkInt=2048~8192", "IFMarkInt", "Reject"},
	{"OFMarkInt=2048", "OFMarkInt", "Reject"},
	{"X-com.example.test=1", "X-com.example.test", "NotUnderstood"},
	{"RDMAExtensions=Yes", "RDMAExtensions", "NotUnderstood"},
	{"X#NodeArchitecture=linux", "X#NodeArchitecture", NULL},
	{"InitiatorAlias=me", "InitiatorAlias", NULL},
};

static void single_answers(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		const struct answer *a = &answers[i];
		struct fixture f;

		print_message("%s\n", a->offer);
		fixture_init(&f);
		assert_int_equal(SEND(&f, SECURITY_TO_OPERATIONAL, NAMES), ISCSI_LOGIN_REPLY);
		assert_int_equal(send_text(&f, OPERATIONAL, a->offer, strlen(a->offer) + 1),
			ISCSI_LOGIN_REPLY);
		if (a->value) {
			assert_string_equal(reply_value(&f, a->key), a->value);
		} else {
			assert_null(reply_value(&f, a->key));
		}
	}
}

/* A rejected key keeps its default. */
static void reject_keeps_default(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(SEND(&f, OPERATIONAL_TO_FULL,
				 NAMES "MaxBurstLength=1\0InitialR2T=1\0MaxOutstandingR2T=0"),
		ISCSI_LOGIN_FINAL);
	assert_int_equal(f.login.params.max_burst_bytes, 262144);
	assert_true(f.login.params.initial_r2t);
	assert_int_equal(f.login.params.max_outstanding_r2t, 1);
}

/* FirstBurstLength never exceeds MaxBurstLength, in whatever order and requests they come. */
static void first_burst_bounded(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(
		SEND(&f, OPERATIONAL_TO_FULL, NAMES "FirstBurstLength=65536\0MaxBurstLength=4096"),
		ISCSI_LOGIN_FINAL);
	iscsi_login_accept(&f.login, 1, &f.reply);
	assert_string_equal(reply_value(&f, "FirstBurstLength"), "4096");
	assert_int_equal(f.login.params.first_burst_bytes, 4096);

	fixture_init(&f);
	assert_int_equal(SEND(&f, OPERATIONAL, NAMES "MaxBurstLength=4096"), ISCSI_LOGIN_REPLY);
	assert_int_equal(
		SEND(&f, OPERATIONAL_TO_FULL, "FirstBurstLength=65536"), ISCSI_LOGIN_FINAL);
	iscsi_login_accept(&f.login, 1, &f.reply);
	assert_string_equal(reply_value(&f, "FirstBurstLength"), "4096");

	/* the default is bounded too */
	fixture_init(&f);
	assert_int_equal(
		SEND(&f, OPERATIONAL_TO_FULL, NAMES "MaxBurstLength=4096"), ISCSI_LOGIN_FINAL);
	assert_int_equal(f.login.params.first_burst_bytes, 4096);
}

static void first_burst_irrelevant(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(SEND(&f, OPERATIONAL,
				 NAMES "InitialR2T=Yes\0ImmediateData=No\0FirstBurstLength=1024"),
		ISCSI_LOGIN_REPLY);
	assert_string_equal(reply_value(&f, "FirstBurstLength"), "Irrelevant");
}

/* All four combinations of both sides, for each boolean that the configuration can turn. */
static void boolean_matrix(void **state)
{
	for (unsigned v = 0; v < 4; v++) {
		bool ours = v & 1, theirs = v & 2;
		struct fixture f;

		fixture_init(&f);
		f.conf.iscsi.initial_r2t = f.conf.iscsi.immediate_data = ours;
		assert_int_equal(theirs ? SEND(&f, OPERATIONAL_TO_FULL,
						  NAMES "InitialR2T=Yes\0ImmediateData=Yes")
					: SEND(&f, OPERATIONAL_TO_FULL,
						  NAMES "InitialR2T=No\0ImmediateData=No"),
			ISCSI_LOGIN_FINAL);
		assert_int_equal(f.login.params.initial_r2t, ours || theirs);
		assert_int_equal(f.login.params.immediate_data, ours && theirs);
	}
}

static enum iscsi_login_step send_bhs(struct fixture *f, const uint8_t *bhs)
{
	return iscsi_login_input(&f->login, bhs, (const uint8_t *)NAMES, sizeof(NAMES), &f->reply);
}

/* One byte of the header changed: at the first request, and at the second of a good login. */
static void header_fields(void **state)
{
	static const struct {
		const char *what;
		unsigned offset;
		uint8_t value;
		unsigned first, second;
	} rows[] = {
		{"version min 1", ISCSI_LOGIN_VERSION_MIN, 1, 0x0205, 0x0205},
		{"version max 1", ISCSI_LOGIN_VERSION_MAX, 1, 0, 0},
		{"AHS", ISCSI_BHS_AHS_LENGTH, 1, 0x0200, 0x0200},
		{"other ISID", ISCSI_LOGIN_ISID + 5, 9, 0, 0x0200},
		{"reserved ISID", ISCSI_LOGIN_ISID, 0xc0, 0x0200, 0x0200},
		{"other TSIH", ISCSI_LOGIN_TSIH + 1, 9, 0, 0x0200},
		{"other CID", ISCSI_LOGIN_CID, 9, 0, 0x0200},
		{"other ITT", ISCSI_BHS_ITT, 9, 0, 0x0200},
		{"C with T", ISCSI_BHS_FLAGS, 0xc1, 0x0200, 0x0200},
		{"reserved bits", ISCSI_BHS_FLAGS, 0x30, 0, 0},
		{"not immediate", ISCSI_BHS_OPCODE, 0x03, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned second = 0; second < 2; second++) {
			unsigned status = second ? rows[i].second : rows[i].first;
			uint8_t bhs[ISCSI_BHS_BYTES];
			enum iscsi_login_step step;
			struct fixture f;

			print_message("%s, request %u\n", rows[i].what, second + 1);
			fixture_init(&f);
			request_bhs(&f, SECURITY, 0, bhs);
			if (second) {
				assert_int_equal(send_bhs(&f, bhs), ISCSI_LOGIN_REPLY);
			}
			bhs[rows[i].offset] = rows[i].value;
			step = second ? iscsi_login_input(&f.login, bhs, NULL, 0, &f.reply)
				      : send_bhs(&f, bhs);
			if (status) {
				check_refused(&f, step, status);
			} else {
				assert_int_equal(step, ISCSI_LOGIN_REPLY);
			}
		}
	}
}

static void reserved_itt(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.itt = ISCSI_TAG_NONE;
	check_refused(&f, SEND(&f, SECURITY, NAMES), ISCSI_LOGIN_INITIATOR_ERROR);
}

/* Before the first Login Request silence, after it 020B; every other opcode. */
static void other_opcodes(void **state)
{
	for (unsigned opcode = 0; opcode < 64; opcode++) {
		uint8_t bhs[ISCSI_BHS_BYTES] = {(uint8_t)opcode};
		struct fixture f;

		if (opcode == ISCSI_OP_LOGIN_REQUEST) {
			continue;
		}
		fixture_init(&f);
		assert_int_equal(
			iscsi_login_input(&f.login, bhs, NULL, 0, &f.reply), ISCSI_LOGIN_DROP);
		fixture_init(&f);
		assert_int_equal(SEND(&f, SECURITY, NAMES), ISCSI_LOGIN_REPLY);
		check_refused(&f, iscsi_login_input(&f.login, bhs, NULL, 0, &f.reply),
			ISCSI_LOGIN_INVALID_REQUEST);
	}
}

/* A further connection of a session may not touch what the leading one agreed on. */
static void leading_only(void **state)
{
	struct fixture f;

	fixture_init(&f);
	f.tsih = 5;
	check_refused(&f, SEND(&f, OPERATIONAL, NAMES "MaxBurstLength=4096"),
		ISCSI_LOGIN_INITIATOR_ERROR);
	fixture_init(&f);
	f.tsih = 5;
	assert_int_equal(
		SEND(&f, OPERATIONAL_TO_FULL, NAMES "SessionType=Normal\0HeaderDigest=None"),
		ISCSI_LOGIN_FINAL);
	assert_int_equal(f.login.tsih, 5);
	iscsi_login_refuse(&f.login, ISCSI_LOGIN_NO_SESSION, &f.reply);
	assert_int_equal(reply_status(&f), 0x020a);
	assert_int_equal(f.reply.data_length, 0);
	assert_int_equal(f.login.state, ISCSI_LOGIN_STATE_FAILED);
	assert_string_equal(f.login.reason, "session does not exist");
}

/* The same login, its text cut in two at every byte: C=1 first, the name of a key cut too. */
static void split_everywhere(void **state)
{
	static const char text[] = OPEN_ISCSI_1;
	struct fixture whole, f;

	fixture_init(&whole);
	assert_int_equal(
		send_text(&whole, SECURITY_TO_OPERATIONAL, text, sizeof(text)), ISCSI_LOGIN_REPLY);
	for (size_t cut = 0; cut <= sizeof(text); cut++) {
		fixture_init(&f);
		assert_int_equal(send_text(&f, SECURITY | CONTINUE, text, cut), ISCSI_LOGIN_REPLY);
		assert_int_equal(f.reply.bhs[1], SECURITY);
		assert_int_equal(f.reply.data_length, 0);
		assert_int_equal(
			send_text(&f, SECURITY_TO_OPERATIONAL, text + cut, sizeof(text) - cut),
			ISCSI_LOGIN_REPLY);
		check_reply(&f, SECURITY_TO_OPERATIONAL, (char *)whole.reply.data,
			whole.reply.data_length);
	}
}

/* Every proper prefix of a login's text, as if it were all: an answer, never a crash. */
static void truncated_everywhere(void **state)
{
	static const char text[] = NAMES OPEN_ISCSI_2;

	for (size_t n = 0; n < sizeof(text); n++) {
		struct fixture f;
		enum iscsi_login_step step;

		fixture_init(&f);
		step = send_text(&f, OPERATIONAL_TO_FULL, text, n);
		if (n > 0 && text[n - 1] != '\0') {
			check_refused(&f, step, ISCSI_LOGIN_INITIATOR_ERROR);
		} else {
			assert_true(step == ISCSI_LOGIN_FINAL || step == ISCSI_LOGIN_FAILED);
		}
	}
}

/* faults.md: 2,048 unknown keys in one login. The answer takes several C=1 responses. */
static void many_unknown_keys(void **state)
{
	static char text[8192 * 2];
	struct fixture f;
	size_t n, first;
	unsigned keys = 0, replies = 0;
	enum iscsi_login_step step;

	fixture_init(&f);
	assert_int_equal(SEND(&f, SECURITY_TO_OPERATIONAL, NAMES), ISCSI_LOGIN_REPLY);
	for (n = 0; keys < 2048; keys++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, "X%x=", keys) + 1;
	}
	first = n > 8192 ? 8192 : n;
	assert_int_equal(send_text(&f, OPERATIONAL | CONTINUE, text, first), ISCSI_LOGIN_REPLY);
	step = send_text(&f, OPERATIONAL_TO_FULL, text + first, n - first);
	for (keys = 0; step == ISCSI_LOGIN_REPLY; step = SEND_EMPTY(&f, OPERATIONAL_TO_FULL)) {
		assert_true(++replies < 20);
		assert_int_equal(f.reply.bhs[1], OPERATIONAL | CONTINUE);
		assert_int_equal(f.reply.data[f.reply.data_length - 1], 0);
		for (uint32_t i = 0; i < f.reply.data_length; i++) {
			keys += f.reply.data[i] == 0;
		}
	}
	assert_int_equal(step, ISCSI_LOGIN_FINAL);
	iscsi_login_accept(&f.login, 1, &f.reply);
	assert_int_equal(f.reply.bhs[1], OPERATIONAL_TO_FULL);
	for (uint32_t i = 0; i < f.reply.data_length; i++) {
		keys += f.reply.data[i] == 0;
	}
	assert_int_equal(keys, 2048 + 1); /* and our MaxRecvDataSegmentLength */
	assert_true(replies > 1);
}

/* Text where an empty request is due after our C=1. */
static void text_after_our_continue(void **state)
{
	static char text[8000];
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(SEND(&f, SECURITY_TO_OPERATIONAL, NAMES), ISCSI_LOGIN_REPLY);
	for (size_t n = 0; n < sizeof(text); n += 4) {
		memcpy(text + n, "Xa=", 4);
	}
	assert_int_equal(send_text(&f, OPERATIONAL, text, sizeof(text)), ISCSI_LOGIN_REPLY);
	assert_int_equal(f.reply.bhs[1], OPERATIONAL | CONTINUE);
	check_refused(&f, SEND(&f, OPERATIONAL, "Xb=1"), ISCSI_LOGIN_INITIATOR_ERROR);
}

/* faults.md: 8,180 to 8,200 bytes of text. Up to 8,192 fit in one request. */
static void around_8192_bytes(void **state)
{
	for (size_t n = 8180; n <= 8200; n++) {
		char text[8200];
		struct fixture f;
		enum iscsi_login_step step;

		memset(text, 'v', sizeof(text));
		memcpy(text, NAMES "X-long=", sizeof(NAMES "X-long=") - 1);
		text[n - 1] = '\0';
		fixture_init(&f);
		step = send_text(&f, OPERATIONAL, text, n);
		if (n > 8192) {
			check_refused(&f, step, ISCSI_LOGIN_INITIATOR_ERROR);
		} else {
			assert_int_equal(step, ISCSI_LOGIN_REPLY);
			assert_string_equal(reply_value(&f, "X-long"), "NotUnderstood");
		}
	}
}

/* A value of a known key has at most 255 bytes. */
static void long_value(void **state)
{
	char text[sizeof(NAMES) + 300];

	for (size_t n = 255; n <= 256; n++) {
		size_t at = sizeof(NAMES "InitiatorAlias=") - 1;
		struct fixture f;
		enum iscsi_login_step step;

		memcpy(text, NAMES "InitiatorAlias=", at);
		memset(text + at, 'a', n);
		text[at + n] = '\0';
		fixture_init(&f);
		step = send_text(&f, SECURITY, text, at + n + 1);
		if (n > 255) {
			check_refused(&f, step, ISCSI_LOGIN_INITIATOR_ERROR);
		} else {
			assert_int_equal(step, ISCSI_LOGIN_REPLY);
			assert_int_equal(strlen(f.login.initiator_alias), 255);
		}
	}
}

static void alias_not_utf8(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(SEND(&f, SECURITY, NAMES "InitiatorAlias=\xff\xfe"), ISCSI_LOGIN_REPLY);
	assert_string_equal(f.login.initiator_alias, "");
}

/* Text without end, and requests without end. */
static void bounded(void **state)
{
	static char text[8192];
	struct fixture f;
	unsigned n;

	memset(text, 'v', sizeof(text));
	memcpy(text, "X-long=", 7);
	fixture_init(&f);
	for (n = 0; n < ISCSI_TEXT_IN_MAX / sizeof(text); n++) {
		assert_int_equal(
			send_text(&f, SECURITY | CONTINUE, text, sizeof(text)), ISCSI_LOGIN_REPLY);
	}
	check_refused(
		&f, send_text(&f, SECURITY | CONTINUE, text, 1), ISCSI_LOGIN_OUT_OF_RESOURCES);

	fixture_init(&f);
	assert_int_equal(SEND(&f, SECURITY, NAMES), ISCSI_LOGIN_REPLY);
	for (n = 1; n < ISCSI_LOGIN_PDUS_MAX; n++) {
		assert_int_equal(SEND_EMPTY(&f, SECURITY), ISCSI_LOGIN_REPLY);
	}
	check_refused(&f, SEND_EMPTY(&f, SECURITY), ISCSI_LOGIN_OUT_OF_RESOURCES);
}

/* Some initiators count padding in the data segment's length. */
static void extra_nuls(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(
		SEND(&f, SECURITY, "\0" NAMES "\0\0\0AuthMethod=None\0\0\0"), ISCSI_LOGIN_REPLY);
	assert_string_equal(reply_value(&f, "AuthMethod"), "None");
}

/* What goes into the log is printable, whatever came. */
static void reason_is_printable(void **state)
{
	struct fixture f;

	fixture_init(&f);
	check_refused(&f, SEND(&f, OPERATIONAL, NAMES "MaxRecvDataSegmentLength=\x1b[2J\x80\n"),
		ISCSI_LOGIN_INITIATOR_ERROR);
	for (const char *c = f.login.reason; *c; c++) {
		assert_true(*c >= ' ' && *c <= '~');
	}
}

/* Group membership: by name, by a group that holds everybody, without groups. */
static void groups(void **state)
{
	static const char *const targets[] = {NAMES,
		"InitiatorName=" HOST1 "\0TargetName=" OPEN1 "\0\0\0\0\0\0\0\0",
		"InitiatorName=" HOST1 "\0TargetName=EUI.02004567A425678D\0\0\0\0\0"};
	static const char *const names[] = {ARRAY1, OPEN1, ANY1};

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		size_t first = strlen(targets[i]) + 1;
		size_t length = first + strlen(targets[i] + first) + 1;
		struct fixture f;

		fixture_init(&f);
		assert_int_equal(send_text(&f, SECURITY, targets[i], length), ISCSI_LOGIN_REPLY);
		assert_string_equal(f.login.target, names[i]);
	}
}

static void names_of_things(void **state)
{
	for (unsigned i = 0; i < ISCSI_LOGIN_STATES; i++) {
		assert_string_not_equal(
			iscsi_login_state_name((enum iscsi_login_state)i), "unknown state");
	}
	for (unsigned i = 0; i <= ISCSI_LOGIN_DROP; i++) {
		assert_string_not_equal(
			iscsi_login_step_name((enum iscsi_login_step)i), "unknown step");
	}
	assert_string_equal(iscsi_login_status_name(ISCSI_LOGIN_NOT_FOUND), "target not found");
	assert_string_equal(iscsi_opcode_name(ISCSI_OP_R2T), "Ready To Transfer");
	assert_string_equal(iscsi_reject_reason_name(ISCSI_REJECT_FIELD), "invalid PDU field");
	assert_string_equal(iscsi_stage_name(ISCSI_STAGE_SECURITY), "SecurityNegotiation");
}

static void cleared(void **state)
{
	struct fixture f;

	fixture_init(&f);
	assert_int_equal(SEND(&f, SECURITY, NAMES), ISCSI_LOGIN_REPLY);
	iscsi_login_clear(&f.login);
	for (size_t i = 0; i < sizeof(f.login); i++) {
		assert_int_equal(((uint8_t *)&f.login)[i], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_before),
		cmocka_unit_test(open_iscsi_normal),
		cmocka_unit_test(open_iscsi_discovery),
		cmocka_unit_test(named_discovery),
		cmocka_unit_test(libiscsi_normal),
		cmocka_unit_test(windows_like),
		cmocka_unit_test(stage_transitions),
		cmocka_unit_test(no_way_back),
		cmocka_unit_test(straight_to_full_feature),
		cmocka_unit_test(refused),
		cmocka_unit_test(late_names),
		cmocka_unit_test(renegotiation),
		cmocka_unit_test(authentication_required),
		cmocka_unit_test(single_answers),
		cmocka_unit_test(reject_keeps_default),
		cmocka_unit_test(first_burst_bounded),
		cmocka_unit_test(first_burst_irrelevant),
		cmocka_unit_test(boolean_matrix),
		cmocka_unit_test(header_fields),
		cmocka_unit_test(reserved_itt),
		cmocka_unit_test(other_opcodes),
		cmocka_unit_test(leading_only),
		cmocka_unit_test(split_everywhere),
		cmocka_unit_test(truncated_everywhere),
		cmocka_unit_test(many_unknown_keys),
		cmocka_unit_test(text_after_our_continue),
		cmocka_unit_test(around_8192_bytes),
		cmocka_unit_test(long_value),
		cmocka_unit_test(alias_not_utf8),
		cmocka_unit_test(bounded),
		cmocka_unit_test(extra_nuls),
		cmocka_unit_test(reason_is_printable),
		cmocka_unit_test(groups),
		cmocka_unit_test(names_of_things),
		cmocka_unit_test(cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
