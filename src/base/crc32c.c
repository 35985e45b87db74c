#include "base/crc32c.h"

#include <string.h>

static u32 crc_table[256];

__attribute__((constructor)) static void table_make(void)
{
	for (u32 i = 0; i < 256; i++) {
		u32 c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
		crc_table[i] = c;
	}
}

static u32 update_portable(u32 c, str s)
{
	for (size_t i = 0; i < s.n; i++)
		c = crc_table[(c ^ s.p[i]) & 0xFF] ^ c >> 8;
	return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static u32 update_sse42(u32 c, str s)
{
	u64 wide = c, word;

	for (; s.n >= 8; s = str_skip(s, 8)) {
		memcpy(&word, s.p, 8);
		wide = __builtin_ia32_crc32di(wide, word);
	}
	return update_portable((u32)wide, s);
}
#endif

u32 crc32c(u32 crc, str bytes)
{
	u32 c = ~crc;

#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~update_sse42(c, bytes);
#endif
	return ~update_portable(c, bytes);
}
