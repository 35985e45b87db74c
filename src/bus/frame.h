/*
 * Frames: what travels on a seqpacket socket between our processes, descriptors beside the bytes. The bus uses them for calls,
 * parent and its children for control messages.
 *
 *	u64 sequence | u32 number | u8 form | body          FRAME_INLINE, FRAME_FAIL
 *	u64 sequence | u32 number | u8 form | u64 size      FRAME_FILE: the first descriptor is the body, a sealed memfd
 *
 * A sender writes frame_begin, encoders on &o.encoder, frame_end, frame_send (again and again after FRAME_AGAIN), frame_free. A receiver
 * gets an arena that holds the body and owns the descriptors. Nothing that a peer sends is trusted: FRAME_BAD means drop the peer.
 * An empty packet counts as the end: seqpacket cannot tell them apart.
 */
#ifndef BUS_FRAME_H
#define BUS_FRAME_H

#include "base/codec.h"

enum { FRAME_HEAD = 13, FRAME_FDS = CODEC_FDS_MAX + 1 };

enum frame_form { FRAME_INLINE, FRAME_FILE, FRAME_FAIL };
enum frame_result {
	FRAME_OK,
	FRAME_AGAIN, /* the socket takes or has nothing now */
	FRAME_END,   /* the peer is gone */
	FRAME_BAD,   /* received: nonsense; sent: it cannot be sent, ever */
};

struct frame {
	u64 sequence;
	u32 number;
	enum frame_form form; /* FRAME_FILE is unpacked: never seen by the receiver */
	str body;
	const int *fds;
	u32 fds_n;
};

struct frame_out {
	struct buf bytes;
	struct encoder encoder; /* borrows bytes */
	int file;               /* -1, or the body when it did not fit */
	size_t file_bytes;
};

void frame_begin(struct frame_out *o, u64 sequence, u32 number, enum frame_form form);
/* The body is complete. False when it is over BUS_BODY_MAX, has too many descriptors, or there is no memory file to be had. */
bool frame_end(struct frame_out *o) NODISCARD;
enum frame_result frame_send(const struct frame_out *o, int fd); /* never blocks */
void frame_free(struct frame_out *o);

/* scratch: BUS_FRAME bytes to receive into. *a is given on FRAME_OK only; budget BUS_ARENA. Never blocks. */
enum frame_result frame_receive(int fd, u8 *scratch, struct arena **a, struct frame *f);
struct decoder frame_decoder(struct arena *a, const struct frame *f);

#endif
