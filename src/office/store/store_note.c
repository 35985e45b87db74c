/* Notes in the segments, from which salvage rebuilds the mailboxes. */
#include "office/store/record.h"
#include "office/store/store_int.h"

static const struct fail *append(struct tx *t, enum record_kind kind, u64 id, struct buf *bytes,
				 bool lazy)
{
	struct record r = { .kind = (u8)kind, .id = id, .time = t->now, .summary = (u32)bytes->n };
	struct place place;
	const struct fail *f;

	if (bytes->full)
		f = fail_new(t->arena, FAIL_TOO_LARGE, "too many messages at once");
	else
		f = segments_append(t->arena, t->store->segments, &r, buf_str(bytes), STR_NONE,
				    lazy, &place);
	buf_free(bytes);
	return f;
}

/* Changed flags are not worth a sync of their own: the database has them. */
#define NOTE(kind, name, lazy)                                                    \
	const struct fail *note_##name(struct tx *t, const struct name##_note *n) \
	{                                                                         \
		struct buf bytes;                                                 \
		struct encoder e = { .bytes = &bytes };                           \
                                                                                  \
		buf_init(&bytes, SEGMENT_NOTE_BYTES);                             \
		encode_##name##_note(&e, n);                                      \
		return append(t, kind, n->account, &bytes, lazy);                 \
	}

NOTE(RECORD_ACCOUNT, account, false)
NOTE(RECORD_MAILBOX, mailbox, false)
NOTE(RECORD_PLACED, placed, false)
NOTE(RECORD_FLAGS, flags, true)
NOTE(RECORD_EXPUNGED, expunged, false)
