/* Headers of any bytes as a failure report would show them. Nothing of our local part may be seen again; its '~' tells it from what an input
 * puts together (over a fold, a marker of letters came together by itself). */
#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "report/failure_write.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const u8 key[FAILURE_KEY] = "fuzz";
	struct arena *a = arena_new(1 << 24);
	struct buf *header = buf_new(a, 1 << 20), *out = buf_new(a, FAILURE_HEADER);
	str shown;

	if (size > 64 * 1024)
		size = 64 * 1024;
	buf_add(
	    header,
	    S("Received: for <mark~er.of.ours@x.example>\r\nFrom: mark~er.of.ours@y.example\r\n"));
	buf_add(header, str_from(data, size));
	failure_redact(a, buf_str(header), key, out);
	shown = buf_str(out);
	if (str_find(str_from(data, size), '~') == SIZE_MAX)
		CHECK(str_find_str(shown, S("mark~er")) == SIZE_MAX);
	for (size_t i = 0; i < shown.n; i++)
		CHECK(shown.p[i] < 0x7F && (shown.p[i] >= ' ' || shown.p[i] == '\t' ||
					    shown.p[i] == '\r' || shown.p[i] == '\n'));
	arena_free(&a);
	return 0;
}
