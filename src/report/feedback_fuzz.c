/* Any fields and any original give clean texts, or are refused. The input is cut at its first NUL into the two. */
#include "report/feedback.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(256 * 1024 * 1024);
	str bytes = str_from(data, size);
	size_t cut = str_find(bytes, 0);
	struct feedback_report r;

	if (feedback_read(a, str_slice(bytes, 0, cut),
			  cut < size ? str_skip(bytes, cut + 1) : STR_NONE, &r) == NULL) {
		CHECK(r.type.n && r.kind <= FEEDBACK_AUTH_FAILURE && r.incidents);
		CHECK(str_is_utf8(r.subject) && !str_has(r.subject, '\n') &&
		      !str_has(r.original_from, '\r'));
		CHECK(r.original_to_n <= FEEDBACK_LIST && r.domains_n <= FEEDBACK_LIST);
	}
	arena_free(&a);
	return 0;
}
