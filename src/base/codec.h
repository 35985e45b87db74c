/*
 * The typed encoding of the bus and of records kept on disk: little-endian integers, a str as u32
 * length and bytes, a list as u32 count and items, a descriptor as u8 "is there one" beside the bytes.
 *
 * Structs and their encode and decode functions are generated from .tbl files (base/message.h).
 * A decoder trusts nothing: `bad` is sticky, counts are bounded by the bytes that are left, and a
 * message is good only when decoder_done() finds that it was used up to its last byte.
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include "base/buf.h"

enum { CODEC_FDS_MAX = 64, CODEC_LIST_MAX = 1 << 20 };

struct encoder {
	struct buf *bytes;      /* borrows; `full` tells whether all fitted */
	int fds[CODEC_FDS_MAX]; /* borrows */
	u32 fds_n;
};

struct decoder {
	struct arena *arena; /* lists are made here; strings borrow the input */
	str rest;
	const int *fds; /* borrows; owned by whoever received them */
	u32 fds_n, fds_used;
	bool bad;
};

void encode_u8(struct encoder *e, u8 value);
void encode_u32(struct encoder *e, u32 value);
void encode_u64(struct encoder *e, u64 value);
void encode_str(struct encoder *e, str value);
void encode_fd(struct encoder *e, int fd); /* negative: none */

u8 decode_u8(struct decoder *d);
u32 decode_u32(struct decoder *d);
u64 decode_u64(struct decoder *d);
bool decode_bool(struct decoder *d); /* only 0 and 1 are good */
str decode_str(struct decoder *d);
int decode_fd(struct decoder *d);
/* Count of a list whose items take at least one byte each, and zeroed room for them. */
void *decode_list(struct decoder *d, size_t item_size, size_t *count);
/* True when all bytes and descriptors were used and nothing was bad. */
bool decoder_done(const struct decoder *d) NODISCARD;

#endif
