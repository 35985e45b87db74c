#include "base/codec.h"

#include "base/arena.h"

static void encode_integer(struct encoder *e, u64 value, size_t bytes)
{
	u8 *p = buf_room(e->bytes, bytes);

	if (p == NULL)
		return;
	for (size_t i = 0; i < bytes; i++)
		p[i] = (u8)(value >> 8 * i);
	buf_added(e->bytes, bytes);
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

static u64 decode_integer(struct decoder *d, size_t bytes)
{
	u64 value = 0;

	if (d->bad || d->rest.n < bytes) {
		d->bad = true;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++)
		value |= (u64)d->rest.p[i] << 8 * i;
	d->rest = str_skip(d->rest, bytes);
	return value;
}

u8 decode_u8(struct decoder *d)
{
	return (u8)decode_integer(d, 1);
}

u32 decode_u32(struct decoder *d)
{
	return (u32)decode_integer(d, 4);
}

u64 decode_u64(struct decoder *d)
{
	return decode_integer(d, 8);
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
	str value;

	if (d->bad || d->rest.n < n) {
		d->bad = true;
		return STR_NONE;
	}
	value = str_slice(d->rest, 0, n);
	d->rest = str_skip(d->rest, n);
	return value;
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
