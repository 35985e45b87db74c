#include "keys/sign/padding.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/check.h"

enum { BLOCK_MAX = 1024, HASH_MAX = 64 };

static const struct {
	str prefix; /* RFC 8017 9.2 note 1: DER of DigestInfo up to the digest */
	size_t hash;
	const EVP_MD *(*md)(void);
} hashes[] = {
	{ { (const u8
		 *)"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
	    19 },
	  32,
	  EVP_sha256 },
	{ { (const u8
		 *)"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
	    19 },
	  48,
	  EVP_sha384 },
	{ { (const u8
		 *)"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
	    19 },
	  64,
	  EVP_sha512 },
};

bool padding_is_pkcs1(str block)
{
	for (size_t h = 0; h < ARRAY_LEN(hashes); h++) {
		size_t tail = hashes[h].prefix.n + hashes[h].hash, at;
		if (block.n < tail + 11 || block.p[0] != 0 || block.p[1] != 1)
			continue;
		at = block.n - tail;
		if (!str_starts(str_skip(block, at), hashes[h].prefix) || block.p[at - 1] != 0)
			continue;
		while (--at > 1 && block.p[at - 1] == 0xFF)
			;
		if (at == 2)
			return true;
	}
	return false;
}

/* RFC 8017 B.2.1 MGF1, XORed over data. */
static void unmask(u8 *data, size_t n, str seed, const EVP_MD *md)
{
	u8 input[HASH_MAX + 4], mask[EVP_MAX_MD_SIZE];
	size_t hash = (size_t)EVP_MD_get_size(md);

	memcpy(input, seed.p, seed.n);
	for (size_t at = 0; at < n; at += hash) {
		size_t counter = at / hash;
		for (size_t i = 0; i < 4; i++)
			input[seed.n + i] = (u8)(counter >> (24 - 8 * i));
		CHECK(EVP_Digest(input, seed.n + 4, mask, NULL, md, NULL));
		for (size_t i = 0; i < hash && at + i < n; i++)
			data[at + i] ^= mask[i];
	}
}

static bool is_pss_with(str block, size_t hash, const EVP_MD *md)
{
	u8 db[BLOCK_MAX];
	size_t n, one;

	if (block.n < 2 * hash + 2 || block.n > BLOCK_MAX)
		return false;
	n = block.n - hash - 1;
	memcpy(db, block.p, n);
	unmask(db, n, str_slice(block, n, n + hash), md);
	db[0] &= 0x7F; /* emBits is one less than the modulus has */
	one = n - hash - 1;
	for (size_t i = 0; i < one; i++)
		if (db[i] != 0)
			return false;
	return db[one] == 1;
}

bool padding_is_pss(str block)
{
	if (block.n == 0 || block.p[block.n - 1] != 0xBC || block.p[0] & 0x80)
		return false;
	for (size_t h = 0; h < ARRAY_LEN(hashes); h++)
		if (is_pss_with(block, hashes[h].hash, hashes[h].md()))
			return true;
	return false;
}
