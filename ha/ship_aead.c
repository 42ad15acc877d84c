/* SPDX-License-Identifier: BSD-3-Clause */
#include "ha/ship_aead.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "config.h"

#ifdef HAVE_LIBIPSEC_MB
#include <intel-ipsec-mb.h>
#endif

struct ship_aead_ops {
	const char *name;
	bool (*set)(struct ship_aead *aead, const uint8_t *key);
	void (*clear)(struct ship_aead *aead);
	bool (*seal)(struct ship_aead *aead, const struct ship_aead_job *job, uint8_t last);
	bool (*open)(struct ship_aead *aead, const struct ship_aead_job *job, uint8_t *last);
};

struct ship_aead_engine {
	const struct ship_aead_ops *ops;
	EVP_CIPHER *cipher;
#ifdef HAVE_LIBIPSEC_MB
	IMB_MGR *mb;
#endif
};

struct ship_aead {
	const struct ship_aead_engine *engine;
	bool seals;
	EVP_CIPHER_CTX *evp;
#ifdef HAVE_LIBIPSEC_MB
	struct gcm_key_data *key;
	struct gcm_context_data context;
#endif
};

/* ----- OpenSSL ---------------------------------------------------------------------------------
 */

static bool ship_evp_set(struct ship_aead *aead, const uint8_t *key)
{
	aead->evp = EVP_CIPHER_CTX_new();
	return aead->evp && EVP_CipherInit_ex2(aead->evp, aead->engine->cipher, key, NULL,
				    aead->seals, NULL) == 1;
}

static void ship_evp_clear(struct ship_aead *aead)
{
	EVP_CIPHER_CTX_free(aead->evp);
}

static bool ship_evp_begin(struct ship_aead *aead, const struct ship_aead_job *job)
{
	int n;

	return EVP_CipherInit_ex2(aead->evp, NULL, NULL, job->nonce, -1, NULL) == 1 &&
	       EVP_CipherUpdate(aead->evp, NULL, &n, job->covered, (int)job->covered_size) == 1 &&
	       (job->size == 0 ||
		       EVP_CipherUpdate(aead->evp, job->to, &n, job->from, (int)job->size) == 1);
}

static bool ship_evp_seal(struct ship_aead *aead, const struct ship_aead_job *job, uint8_t last)
{
	uint8_t *end = job->to + job->size;
	int n;

	return ship_evp_begin(aead, job) && EVP_CipherUpdate(aead->evp, end, &n, &last, 1) == 1 &&
	       EVP_CipherFinal_ex(aead->evp, end + 1, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(
		       aead->evp, EVP_CTRL_AEAD_GET_TAG, SHIP_AEAD_TAG_BYTES, end + 1) == 1;
}

static bool ship_evp_open(struct ship_aead *aead, const struct ship_aead_job *job, uint8_t *last)
{
	const uint8_t *end = job->from + job->size;
	uint8_t none;
	int n;

	return ship_evp_begin(aead, job) && EVP_CipherUpdate(aead->evp, last, &n, end, 1) == 1 &&
	       EVP_CIPHER_CTX_ctrl(aead->evp, EVP_CTRL_AEAD_SET_TAG, SHIP_AEAD_TAG_BYTES,
		       (void *)(uintptr_t)(end + 1)) == 1 &&
	       EVP_CipherFinal_ex(aead->evp, &none, &n) == 1;
}

static const struct ship_aead_ops ship_evp_ops = {
	.name = "OpenSSL",
	.set = ship_evp_set,
	.clear = ship_evp_clear,
	.seal = ship_evp_seal,
	.open = ship_evp_open,
};

/* ----- IPsec-MB --------------------------------------------------------------------------------
 */

#ifdef HAVE_LIBIPSEC_MB

#define SHIP_MB_ALIGN 64u

static bool ship_mb_set(struct ship_aead *aead, const uint8_t *key)
{
	aead->key = aligned_alloc(
		SHIP_MB_ALIGN, (sizeof(*aead->key) + SHIP_MB_ALIGN - 1) & ~(SHIP_MB_ALIGN - 1));
	if (aead->key) {
		IMB_AES128_GCM_PRE(aead->engine->mb, key, aead->key);
	}
	return aead->key;
}

static void ship_mb_clear(struct ship_aead *aead)
{
	if (aead->key) {
		OPENSSL_cleanse(aead->key, sizeof(*aead->key));
	}
	free(aead->key);
}

static bool ship_mb_seal(struct ship_aead *aead, const struct ship_aead_job *job, uint8_t last)
{
	IMB_MGR *mb = aead->engine->mb;
	uint8_t *end = job->to + job->size;

	IMB_AES128_GCM_INIT(
		mb, aead->key, &aead->context, job->nonce, job->covered, job->covered_size);
	if (job->size > 0) {
		IMB_AES128_GCM_ENC_UPDATE(
			mb, aead->key, &aead->context, job->to, job->from, job->size);
	}
	IMB_AES128_GCM_ENC_UPDATE(mb, aead->key, &aead->context, end, &last, 1);
	IMB_AES128_GCM_ENC_FINALIZE(mb, aead->key, &aead->context, end + 1, SHIP_AEAD_TAG_BYTES);
	return true;
}

static bool ship_mb_open(struct ship_aead *aead, const struct ship_aead_job *job, uint8_t *last)
{
	IMB_MGR *mb = aead->engine->mb;
	const uint8_t *end = job->from + job->size;
	uint8_t tag[SHIP_AEAD_TAG_BYTES];

	IMB_AES128_GCM_INIT(
		mb, aead->key, &aead->context, job->nonce, job->covered, job->covered_size);
	if (job->size > 0) {
		IMB_AES128_GCM_DEC_UPDATE(
			mb, aead->key, &aead->context, job->to, job->from, job->size);
	}
	IMB_AES128_GCM_DEC_UPDATE(mb, aead->key, &aead->context, last, end, 1);
	IMB_AES128_GCM_DEC_FINALIZE(mb, aead->key, &aead->context, tag, sizeof(tag));
	return CRYPTO_memcmp(tag, end + 1, sizeof(tag)) == 0;
}

static const struct ship_aead_ops ship_mb_ops = {
	.name = "IPsec-MB",
	.set = ship_mb_set,
	.clear = ship_mb_clear,
	.seal = ship_mb_seal,
	.open = ship_mb_open,
};

/* What it would do in plain C without these is slower than OpenSSL, and not in constant time. */
static void ship_mb_find(struct ship_aead_engine *engine)
{
	const uint64_t wanted = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
	IMB_MGR *mb = alloc_mb_mgr(0);

	if (mb && (mb->features & wanted) == wanted) {
		init_mb_mgr_auto(mb, NULL);
		if (imb_get_errno(mb) == 0) {
			engine->mb = mb;
			engine->ops = &ship_mb_ops;
			return;
		}
	}
	free_mb_mgr(mb);
}

static void ship_mb_free(struct ship_aead_engine *engine)
{
	free_mb_mgr(engine->mb);
}

#else

static void ship_mb_find(struct ship_aead_engine *engine)
{
	(void)engine;
}

static void ship_mb_free(struct ship_aead_engine *engine)
{
	(void)engine;
}

#endif

/* ----- either ----------------------------------------------------------------------------------
 */

struct ship_aead_engine *ship_aead_engine_new(bool portable)
{
	struct ship_aead_engine *engine = calloc(1, sizeof(*engine));

	if (!engine) {
		return NULL;
	}
	engine->ops = &ship_evp_ops;
	engine->cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
	if (!engine->cipher) {
		free(engine);
		return NULL;
	}
	if (!portable) {
		ship_mb_find(engine);
	}
	return engine;
}

void ship_aead_engine_free(struct ship_aead_engine *engine)
{
	if (engine) {
		ship_mb_free(engine);
		EVP_CIPHER_free(engine->cipher);
		free(engine);
	}
}

const char *ship_aead_engine_name(const struct ship_aead_engine *engine)
{
	return engine->ops->name;
}

struct ship_aead *ship_aead_new(
	const struct ship_aead_engine *engine, bool seals, const uint8_t key[SHIP_AEAD_KEY_BYTES])
{
	struct ship_aead *aead = calloc(1, sizeof(*aead));

	if (!aead) {
		return NULL;
	}
	aead->engine = engine;
	aead->seals = seals;
	if (!engine->ops->set(aead, key)) {
		ship_aead_free(aead);
		return NULL;
	}
	return aead;
}

void ship_aead_free(struct ship_aead *aead)
{
	if (aead) {
		aead->engine->ops->clear(aead);
		OPENSSL_cleanse(aead, sizeof(*aead));
		free(aead);
	}
}

bool ship_aead_seal(struct ship_aead *aead, const struct ship_aead_job *job, uint8_t last)
{
	return aead->engine->ops->seal(aead, job, last);
}

bool ship_aead_open(struct ship_aead *aead, const struct ship_aead_job *job, uint8_t *last)
{
	return aead->engine->ops->open(aead, job, last);
}
