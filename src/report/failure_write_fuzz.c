/* Headers of any bytes as a failure report would show them. Nothing that looks like a marker of ours before an '@' may be seen again. */
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
	    S("Received: for <marker.of.ours@x.example>\r\nFrom: marker.of.ours@y.example\r\n"));
	buf_add(header, str_from(data, size));
	failure_redact(a, buf_str(header), key, out);
	shown = buf_str(out);
	if (str_find_str(str_from(data, size), S("marker")) == SIZE_MAX)
		CHECK(str_find_str(shown, S("marker.of.ours")) == SIZE_MAX);
	for (size_t i = 0; i < shown.n; i++)
		CHECK(shown.p[i] < 0x7F && (shown.p[i] >= ' ' || shown.p[i] == '\t' ||
					    shown.p[i] == '\r' || shown.p[i] == '\n'));
	arena_free(&a);
	return 0;
}
