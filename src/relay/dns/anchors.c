#include "relay/dns/anchors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/scan.h"

/* RFC 5011 files as unbound writes them: ";;state=2 [  VALID  ]". */
static bool state_is_valid(str comment)
{
	size_t at = str_find_str(comment, S(";;state="));

	return at == SIZE_MAX || str_starts(str_skip(comment, at), S(";;state=2"));
}

static bool has_word(str record, str word)
{
	struct scan s = scan_of(record);
	str w;

	while (scan_wsp0(&s) && scan_span(&s, CHAR_VCHAR, &w))
		if (str_eq_nocase(w, word))
			return true;
	return false;
}

static const struct fail *anchors_add(struct arena *a, str line, struct anchors *out)
{
	size_t semicolon = str_find(line, ';');
	str record = str_trim(str_slice(line, 0, semicolon));
	const char *text = cstr(a, record);

	if (record.n == 0 || (semicolon != SIZE_MAX && !state_is_valid(str_skip(line, semicolon))))
		return NULL;
	if (text == NULL || !(has_word(record, S("DS")) || has_word(record, S("DNSKEY"))))
		return fail_new(a, FAIL_INVALID, "not a DS or DNSKEY record: %.*s",
				STR_ARG(str_slice(record, 0, 60)));
	if (out->n == ANCHORS_MAX)
		return fail_new(a, FAIL_INVALID, "more than %d trust anchors", ANCHORS_MAX);
	out->records[out->n++] = text;
	return NULL;
}

const struct fail *anchors_parse(struct arena *a, str text, struct anchors *out)
{
	while (text.n) {
		size_t end = str_find(text, '\n');
		TRY(anchors_add(a, str_slice(text, 0, end), out));
		text = end == SIZE_MAX ? STR_NONE : str_skip(text, end + 1);
	}
	return NULL;
}

const struct fail *anchors_read(struct arena *a, str path, struct anchors *out)
{
	const char *name = cstr(a, path);
	size_t before = out->n;
	struct stat st;
	str text;
	int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0 || fstat(arena_own_fd(a, fd), &st) != 0)
		return fail_new(a, FAIL_NOT_FOUND, "trust anchors %.*s cannot be read",
				STR_ARG(path));
	if (st.st_size > ANCHORS_FILE)
		return fail_new(a, FAIL_INVALID, "%.*s is too large for a file of trust anchors",
				STR_ARG(path));
	TRY(fd_read(a, fd, 0, (size_t)st.st_size, &text));
	TRY(anchors_parse(a, text, out));
	if (out->n == before)
		return fail_new(a, FAIL_INVALID, "%.*s holds no trust anchor", STR_ARG(path));
	return NULL;
}
