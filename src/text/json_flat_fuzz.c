/* What is valid is walked to its end, and every member that is printed again has the value it had. */
#include "text/json_flat.h"

#include "base/arena.h"
#include "base/check.h"
#include "text/json.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void walk(struct arena *a, str json)
{
	str list, object, value, again;

	if (json_flat_list(json, S("facts"), &list))
		while (json_flat_next(&list, &object))
			CHECK(json_flat_valid(object));
	if (json_flat_get(a, json, S("a"), &value) && str_is_utf8(value)) {
		struct buf *out = buf_new(a, 1 << 24);
		struct json j = json_to(out);
		json_object(&j);
		json_key(&j, "a"), json_str(&j, value);
		json_object_end(&j);
		CHECK(json_flat_valid(buf_str(out)));
		CHECK(json_flat_get(a, buf_str(out), S("a"), &again) && again.n == value.n);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(256 * 1024 * 1024);
	str json = str_from(data, size);
	i64 n;

	(void)!json_flat_i64(json, S("total"), &n);
	if (json_flat_valid(json))
		walk(a, json);
	arena_free(&a);
	return 0;
}
