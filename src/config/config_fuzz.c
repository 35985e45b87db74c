/* Any bytes as a configuration file: parsed or refused; what was parsed prints and parses to the same. */
#include "base/arena.h"
#include "base/check.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n);

int LLVMFuzzerTestOneInput(const u8 *bytes, size_t n)
{
	struct arena *a = arena_new(64 << 20);
	struct buf *text = buf_new(a, 4 << 20);
	struct config *c, *again;

	if (config_parse(a, S("fuzz"), str_from(bytes, n), &c) == NULL) {
		config_print(text, c, true);
		CHECK(config_parse(a, S("again"), buf_str(text), &again) == NULL);
		CHECK(str_eq(config_encode(a, c), config_encode(a, again)));
	}
	arena_free(&a);
	return 0;
}
