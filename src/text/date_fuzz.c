/* A date that parses prints to one that parses to the same second. */
#include "text/date.h"

#include "base/arena.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct arena *a = arena_new(64 * 1024 * 1024);
	str text = str_from(data, size);
	i64 ms, again;
	int zone;

	if (date_parse(text, &ms, &zone) && ms >= -2208902400000 && ms < 253402214400000)
		CHECK(date_parse(date_print(a, ms, zone), &again, &zone) && again == ms);
	if (date_parse_imap(text, &ms, &zone) && ms >= -2208902400000 && ms < 253402214400000)
		CHECK(date_parse_imap(date_print_imap(a, ms, zone), &again, &zone) && again == ms);
	(void)!date_parse_imap_day(text, &ms);
	arena_free(&a);
	return 0;
}
