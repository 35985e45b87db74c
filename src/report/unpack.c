#include "report/unpack.h"

#define ZLIB_CONST
#include <zlib.h>

#include "base/buf.h"

enum { STEP = 64 * 1024 };

/* --- Inflating ----------------------------------------------------------------------------------------------- */

/* zlib's few allocations go with the arena: no early return can leak them. */
static void *z_alloc(void *arena, unsigned items, unsigned size)
{
	return arena_array(arena, items, size);
}

static void z_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

struct inflating {
	struct arena *a;
	z_stream z;
	struct buf *out;
	size_t in; /* bytes of the whole packed thing */
};

/* Negative window bits: raw deflate, as in a zip; 16 more: gzip's header and trailer are read and checked. */
static const struct fail *inflating_begin(struct inflating *x, struct arena *a, str bytes,
					  int window)
{
	*x = (struct inflating){ .a = a, .out = buf_new(a, UNPACK_BYTES + 1), .in = bytes.n };
	x->z.zalloc = z_alloc;
	x->z.zfree = z_free;
	x->z.opaque = a;
	x->z.next_in = bytes.p;
	x->z.avail_in = (uInt)bytes.n;
	if (inflateInit2(&x->z, window) != Z_OK)
		return fail_new(a, FAIL_INTERNAL, "zlib cannot begin");
	return NULL;
}

static bool ratio_is_hostile(const struct inflating *x)
{
	return x->out->n > UNPACK_RATIO_FREE && x->out->n / UNPACK_RATIO > x->in;
}

/* To the end of one deflate stream. */
static const struct fail *inflate_stream(struct inflating *x)
{
	int code;

	do {
		size_t left = x->out->max - x->out->n, step = left < STEP ? left : STEP;

		x->z.next_out = buf_room(x->out, step);
		x->z.avail_out = (uInt)step;
		code = inflate(&x->z, Z_NO_FLUSH);
		buf_added(x->out, step - x->z.avail_out);
		if (x->out->n > UNPACK_BYTES)
			return fail_new(x->a, FAIL_TOO_LARGE, "unpacked it is over %d bytes",
					UNPACK_BYTES);
		if (ratio_is_hostile(x))
			return fail_new(x->a, FAIL_TOO_LARGE,
					"packed more than %d times: not a report", UNPACK_RATIO);
	} while (code == Z_OK);
	if (code == Z_BUF_ERROR)
		return fail_new(x->a, FAIL_SYNTAX, "the packed data is cut off");
	return code == Z_STREAM_END ? NULL
				    : fail_new(x->a, FAIL_SYNTAX, "the packed data is damaged: %s",
					       x->z.msg ? x->z.msg : "no deflate stream");
}

/* --- gzip ---------------------------------------------------------------------------------------------------- */

static bool is_gzip(str bytes)
{
	return bytes.n >= 3 && bytes.p[0] == 0x1F && bytes.p[1] == 0x8B && bytes.p[2] == 8;
}

/* RFC 1952 2.2: members stand one behind the other. What follows and is none, zeros mostly, is passed over. */
static const struct fail *unpack_gzip(struct arena *a, str bytes, str *out)
{
	struct inflating x;

	TRY(inflating_begin(&x, a, bytes, 16 + MAX_WBITS));
	do {
		TRY(inflate_stream(&x));
		if (!is_gzip(str_from(x.z.next_in, x.z.avail_in)))
			break;
	} while (inflateReset(&x.z) == Z_OK);
	*out = buf_str(x.out);
	return NULL;
}

/* --- zip, APPNOTE 4.3 ---------------------------------------------------------------------------------------- */

enum zip_form {
	ZIP_LOCAL = 0x04034B50,
	ZIP_CENTRAL = 0x02014B50,
	ZIP_END = 0x06054B50,
	ZIP_LOCAL_BYTES = 30,
	ZIP_CENTRAL_BYTES = 46,
	ZIP_END_BYTES = 22,
	ZIP_COMMENT_BYTES = 65535,
	ZIP_ENCRYPTED = 1 << 0,
	ZIP_STORED = 0,
	ZIP_DEFLATED = 8,
};

struct zip_entry {
	str name;
	u32 flags, method, crc, packed, size, at;
};

static u32 get16(const u8 *p)
{
	return (u32)p[0] | (u32)p[1] << 8;
}

static u32 get32(const u8 *p)
{
	return get16(p) | get16(p + 2) << 16;
}

static bool is_zip(str bytes)
{
	return bytes.n >= 4 && (get32(bytes.p) == ZIP_LOCAL || get32(bytes.p) == ZIP_END);
}

static const struct fail *zip_bad(struct arena *a, const char *why)
{
	return fail_new(a, FAIL_SYNTAX, "not a zip file that can be read: %s", why);
}

/* The end record whose comment reaches exactly to the end of the file; looked for from there. */
static const struct fail *zip_find_end(struct arena *a, str file, str *directory, u32 *entries)
{
	size_t lowest = file.n > ZIP_END_BYTES + ZIP_COMMENT_BYTES
			    ? file.n - ZIP_END_BYTES - ZIP_COMMENT_BYTES
			    : 0;
	size_t at = file.n;

	while (at-- > lowest) {
		const u8 *p = file.p + at;
		if (file.n - at < ZIP_END_BYTES || get32(p) != ZIP_END ||
		    get16(p + 20) != file.n - at - ZIP_END_BYTES)
			continue;
		*entries = get16(p + 10);
		if (get16(p + 4) || get16(p + 6) || get16(p + 8) != *entries)
			return zip_bad(a, "several disks");
		if (get32(p + 16) > at || get32(p + 12) > at - get32(p + 16))
			return zip_bad(a, "the directory is out of bounds");
		*directory = str_slice(file, get32(p + 16), get32(p + 16) + get32(p + 12));
		return NULL;
	}
	return zip_bad(a, "no directory");
}

static bool zip_next(str *directory, struct zip_entry *e)
{
	const u8 *p = directory->p;
	size_t name, whole;

	if (directory->n < ZIP_CENTRAL_BYTES || get32(p) != ZIP_CENTRAL)
		return false;
	name = get16(p + 28);
	whole = ZIP_CENTRAL_BYTES + name + get16(p + 30) + get16(p + 32);
	if (directory->n < whole)
		return false;
	*e = (struct zip_entry){ .name = str_slice(*directory, ZIP_CENTRAL_BYTES,
						   ZIP_CENTRAL_BYTES + name),
				 .flags = get16(p + 8),
				 .method = get16(p + 10),
				 .crc = get32(p + 16),
				 .packed = get32(p + 20),
				 .size = get32(p + 24),
				 .at = get32(p + 42) };
	*directory = str_skip(*directory, whole);
	return true;
}

static bool is_folder(const struct zip_entry *e)
{
	return e->name.n && e->name.p[e->name.n - 1] == '/';
}

static bool has_report_name(const struct zip_entry *e)
{
	return str_ends_nocase(e->name, S(".xml")) || str_ends_nocase(e->name, S(".json"));
}

/* The one that counts. */
static const struct fail *zip_choose(struct arena *a, str directory, u32 entries,
				     struct zip_entry *out)
{
	bool any = false, named = false;

	if (entries > UNPACK_ENTRIES)
		return fail_new(a, FAIL_TOO_LARGE, "a zip file with %u files", entries);
	for (u32 i = 0; i < entries; i++) {
		struct zip_entry e;
		if (!zip_next(&directory, &e))
			return zip_bad(a, "the directory is damaged");
		if (is_folder(&e) || named || (any && !has_report_name(&e)))
			continue;
		*out = e;
		any = true;
		named = has_report_name(&e);
	}
	return any ? NULL : zip_bad(a, "there is no file in it");
}

/* The local header counts for its length only. */
static const struct fail *zip_data(struct arena *a, str file, const struct zip_entry *e, str *out)
{
	str rest = str_skip(file, e->at);
	size_t head;

	if (rest.n < ZIP_LOCAL_BYTES || get32(rest.p) != ZIP_LOCAL)
		return zip_bad(a, "a file has no header");
	head = ZIP_LOCAL_BYTES + get16(rest.p + 26) + get16(rest.p + 28);
	if (head > rest.n || e->packed > rest.n - head)
		return zip_bad(a, "a file is out of bounds");
	*out = str_slice(rest, head, head + e->packed);
	return NULL;
}

static const struct fail *zip_inflate(struct arena *a, const struct zip_entry *e, str data,
				      str *out)
{
	struct inflating x;

	if (e->method == ZIP_STORED) {
		*out = data;
		return NULL;
	}
	TRY(inflating_begin(&x, a, data, -MAX_WBITS));
	TRY(inflate_stream(&x));
	*out = buf_str(x.out);
	return NULL;
}

static const struct fail *unpack_zip(struct arena *a, str file, str *out)
{
	struct zip_entry e = { 0 };
	u32 entries = 0;
	str directory, data;

	TRY(zip_find_end(a, file, &directory, &entries));
	TRY(zip_choose(a, directory, entries, &e));
	if (e.flags & ZIP_ENCRYPTED)
		return zip_bad(a, "it is encrypted");
	if (e.method != ZIP_STORED && e.method != ZIP_DEFLATED)
		return zip_bad(a, "packed by an uncommon method");
	if (e.size > UNPACK_BYTES)
		return fail_new(a, FAIL_TOO_LARGE, "unpacked it is over %d bytes", UNPACK_BYTES);
	TRY(zip_data(a, file, &e, &data));
	TRY(zip_inflate(a, &e, data, out));
	if (out->n != e.size || crc32(0, out->p, (uInt)out->n) != e.crc)
		return zip_bad(a, "the content is not what the directory says");
	return NULL;
}

/* --- Either -------------------------------------------------------------------------------------------------- */

const struct fail *unpack(struct arena *a, str bytes, str *out)
{
	*out = bytes;
	if (bytes.n > UINT32_MAX)
		return fail_new(a, FAIL_TOO_LARGE, "too long to be a report");
	if (is_gzip(bytes))
		TRY(unpack_gzip(a, bytes, out));
	else if (is_zip(bytes))
		TRY(unpack_zip(a, bytes, out));
	else if (bytes.n > UNPACK_BYTES)
		return fail_new(a, FAIL_TOO_LARGE, "it is over %d bytes", UNPACK_BYTES);
	else
		return NULL;
	if (is_gzip(*out) || is_zip(*out))
		return fail_new(a, FAIL_SYNTAX, "packed twice");
	return NULL;
}
