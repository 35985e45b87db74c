#include "base/codec.h"

#include "base/arena.h"

static inline void encode_integer(struct encoder *e, u64 value, size_t bytes)
{
	u8 p[8];

	for (size_t i = 0; i < bytes; i++)
		p[i] = (u8)(value >> 8 * i);
	buf_add(e->bytes, str_from(p, bytes));
}

void encode_u8(struct encoder *e, u8 value)
{
	encode_integer(e, value, 1);
}

void encode_u32(struct encoder *e, u32 value)
{
	encode_integer(e, value, 4);
}

void encode_u64(struct encoder *e, u64 value)
{
	encode_integer(e, value, 8);
}

void encode_str(struct encoder *e, str value)
{
	if (value.n > UINT32_MAX) {
		e->bytes->full = true;
		return;
	}
	encode_u32(e, (u32)value.n);
	buf_add(e->bytes, value);
}

void encode_fd(struct encoder *e, int fd)
{
	encode_u8(e, fd >= 0);
	if (fd < 0)
		return;
	if (e->fds_n == CODEC_FDS_MAX) {
		e->bytes->full = true;
		return;
	}
	e->fds[e->fds_n++] = fd;
}

/* The next n bytes; NULL when there are fewer. */
static inline const u8 *decode_bytes(struct decoder *d, size_t n)
{
	const u8 *p = d->rest.p;

	if (d->bad || d->rest.n < n) {
		d->bad = true;
		return NULL;
	}
	d->rest = (str){ p + n, d->rest.n - n };
	return p;
}

static inline u32 little_endian(const u8 *p)
{
	return (u32)p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}

u8 decode_u8(struct decoder *d)
{
	const u8 *p = decode_bytes(d, 1);

	return p ? p[0] : 0;
}

u32 decode_u32(struct decoder *d)
{
	const u8 *p = decode_bytes(d, 4);

	return p ? little_endian(p) : 0;
}

u64 decode_u64(struct decoder *d)
{
	const u8 *p = decode_bytes(d, 8);

	return p ? little_endian(p) | (u64)little_endian(p + 4) << 32 : 0;
}

bool decode_bool(struct decoder *d)
{
	u8 value = decode_u8(d);

	if (value > 1)
		d->bad = true;
	return value == 1;
}

str decode_str(struct decoder *d)
{
	u32 n = decode_u32(d);
	const u8 *p = decode_bytes(d, n);

	return p && n ? str_from(p, n) : STR_NONE;
}

int decode_fd(struct decoder *d)
{
	if (!decode_bool(d))
		return -1;
	if (d->fds_used == d->fds_n) {
		d->bad = true;
		return -1;
	}
	return d->fds[d->fds_used++];
}

void *decode_list(struct decoder *d, size_t item_size, size_t *count)
{
	u32 n = decode_u32(d);

	*count = 0;
	/* Every item takes a byte or more; what they become must fit the budget: a byte may become a large struct. */
	if (d->bad || n > d->rest.n || n > CODEC_LIST_MAX || n > arena_left(d->arena) / item_size) {
		d->bad = true;
		return NULL;
	}
	*count = n;
	return arena_array(d->arena, n, item_size);
}

bool decoder_done(const struct decoder *d)
{
	return !d->bad && d->rest.n == 0 && d->fds_used == d->fds_n;
}
