/*
 * Makes structs, encoders and decoders from a table. No include guard: it is included in pairs,
 *
 *	#define MESSAGE_STRUCTS  (or MESSAGE_PROTOTYPES, or MESSAGE_FUNCTIONS)
 *	#include "base/message.h"
 *	#include "text/skeleton.tbl"
 *	#include "base/message_end.h"
 *
 * over rows of the form
 *
 *	MESSAGE(envelope, STR(sender) U64(size) LIST(recipient, recipients) FD(body))
 *
 * Fields: U8 U32 U64 BOOL STR FD, SUB(message, name) for a message inside,
 * LIST(message, name) for `const struct message *name; size_t name_n`, LIST_STR, LIST_U64, LIST_FD.
 * Every message also gets `void encode_NAME(struct encoder *, const struct NAME *)` and
 * `void decode_NAME(struct decoder *, struct NAME *)`.
 */
#if defined(MESSAGE_STRUCTS)

#define MESSAGE(name, fields)                                                                      \
	struct name {                                                                              \
		fields u8 end_; /* no message is an empty struct */                                \
	};
#define U8(f) u8 f;
#define U32(f) u32 f;
#define U64(f) u64 f;
#define BOOL(f) bool f;
#define STR(f) str f;
#define FD(f) int f; /* -1: none; a decoded one is owned by the receiver's arena */
#define SUB(type, f) struct type f;
#define LIST(type, f)                                                                              \
	const struct type *f;                                                                      \
	size_t f##_n;
#define LIST_STR(f)                                                                                \
	const str *f;                                                                              \
	size_t f##_n;
#define LIST_U64(f)                                                                                \
	const u64 *f;                                                                              \
	size_t f##_n;
#define LIST_FD(f)                                                                                 \
	const int *f;                                                                              \
	size_t f##_n;

#elif defined(MESSAGE_PROTOTYPES)

#define MESSAGE(name, fields)                                                                      \
	void encode_##name(struct encoder *e, const struct name *m);                               \
	void decode_##name(struct decoder *d, struct name *m);

#elif defined(MESSAGE_ENCODERS)

#define MESSAGE(name, fields)                                                                      \
	void encode_##name(struct encoder *e, const struct name *m)                                \
	{                                                                                          \
		(void)e;                                                                           \
		(void)m;                                                                           \
		fields                                                                             \
	}
#define U8(f) encode_u8(e, m->f);
#define U32(f) encode_u32(e, m->f);
#define U64(f) encode_u64(e, m->f);
#define BOOL(f) encode_u8(e, m->f);
#define STR(f) encode_str(e, m->f);
#define FD(f) encode_fd(e, m->f);
#define SUB(type, f) encode_##type(e, &m->f);
#define LIST_OF(f, encode_item)                                                                    \
	encode_u32(e, (u32)m->f##_n);                                                              \
	for (size_t i = 0; i < m->f##_n; i++)                                                      \
		encode_item;
#define LIST(type, f) LIST_OF(f, encode_##type(e, &m->f[i]))
#define LIST_STR(f) LIST_OF(f, encode_str(e, m->f[i]))
#define LIST_U64(f) LIST_OF(f, encode_u64(e, m->f[i]))
#define LIST_FD(f) LIST_OF(f, encode_fd(e, m->f[i]))

#elif defined(MESSAGE_DECODERS)

#define MESSAGE(name, fields)                                                                      \
	void decode_##name(struct decoder *d, struct name *m)                                      \
	{                                                                                          \
		(void)d;                                                                           \
		m->end_ = 0;                                                                       \
		fields                                                                             \
	}
#define U8(f) m->f = decode_u8(d);
#define U32(f) m->f = decode_u32(d);
#define U64(f) m->f = decode_u64(d);
#define BOOL(f) m->f = decode_bool(d);
#define STR(f) m->f = decode_str(d);
#define FD(f) m->f = decode_fd(d);
#define SUB(type, f) decode_##type(d, &m->f);
#define LIST_OF(type, f, decode_item)                                                              \
	{                                                                                          \
		type *items = decode_list(d, sizeof(type), &m->f##_n);                             \
		for (size_t i = 0; i < m->f##_n && !d->bad; i++)                                   \
			decode_item;                                                               \
		m->f = items;                                                                      \
	}
#define LIST(type, f) LIST_OF(struct type, f, decode_##type(d, &items[i]))
#define LIST_STR(f) LIST_OF(str, f, items[i] = decode_str(d))
#define LIST_U64(f) LIST_OF(u64, f, items[i] = decode_u64(d))
#define LIST_FD(f) LIST_OF(int, f, items[i] = decode_fd(d))

#else
#error "say which: MESSAGE_STRUCTS, MESSAGE_PROTOTYPES, MESSAGE_ENCODERS or MESSAGE_DECODERS"
#endif
