/* Frames on seqpacket sockets: see frame.h. */
#include "bus/frame.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/fd.h"
#include "bus/bus.h"

enum { FORM_AT = 12 };

union control {
	struct cmsghdr align;
	u8 bytes[CMSG_SPACE(FRAME_FDS * sizeof(int))];
};

void frame_begin(struct frame_out *o, u64 sequence, u32 number, enum frame_form form)
{
	o->file = -1;
	o->file_bytes = 0;
	o->encoder.fds_n = 0;
	o->encoder.bytes = &o->bytes;
	buf_init(&o->bytes, BUS_BODY_MAX + FRAME_HEAD);
	encode_u64(&o->encoder, sequence);
	encode_u32(&o->encoder, number);
	encode_u8(&o->encoder, (u8)form);
}

/* Moves the body into a sealed memory file; the frame keeps head and size. */
static bool move_to_file(struct frame_out *o)
{
	str body = str_skip(buf_str(&o->bytes), FRAME_HEAD);
	u8 head[FRAME_HEAD];
	u64 size = body.n;

	o->file = fd_memory("bus");
	if (o->file < 0 || !fd_write_all(o->file, body) || !fd_seal(o->file))
		return false;
	memcpy(head, o->bytes.p, sizeof head);
	head[FORM_AT] = FRAME_FILE;
	buf_free(&o->bytes); /* the frame may have to wait: not with the body twice */
	buf_add(&o->bytes, str_from(head, sizeof head));
	encode_u64(&o->encoder, size);
	o->file_bytes = body.n;
	return true;
}

bool frame_end(struct frame_out *o)
{
	if (o->bytes.full)
		return false;
	if (o->bytes.n <= BUS_FRAME)
		return true;
	return o->bytes.p[FORM_AT] == FRAME_INLINE && move_to_file(o);
}

void frame_free(struct frame_out *o)
{
	buf_free(&o->bytes);
	fd_close(&o->file);
}

static void control_fill(struct msghdr *m, union control *c, const struct frame_out *o)
{
	size_t n = o->encoder.fds_n, head = o->file >= 0;
	struct cmsghdr *h;
	int fds[FRAME_FDS];

	if (n + head == 0)
		return;
	fds[0] = o->file;
	memcpy(fds + head, o->encoder.fds, n * sizeof(int));
	m->msg_control = c;
	m->msg_controllen = CMSG_SPACE((n + head) * sizeof(int));
	h = CMSG_FIRSTHDR(m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN((n + head) * sizeof(int));
	memcpy(CMSG_DATA(h), fds, (n + head) * sizeof(int));
}

enum frame_result frame_send(const struct frame_out *o, int fd)
{
	struct iovec v = { o->bytes.p, o->bytes.n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	union control c;
	ssize_t n;

	control_fill(&m, &c, o);
	do
		n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return FRAME_OK;
	/* ETOOMANYREFS: too many descriptors of ours are in flight; they land as the peer reads. */
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS)
		return FRAME_AGAIN;
	return errno == EBADF || errno == EMSGSIZE || errno == EINVAL ? FRAME_BAD : FRAME_END;
}

/* What came beside the bytes now belongs to the arena, whatever becomes of the frame. */
static bool control_take(struct msghdr *m, struct arena *a, struct frame *f)
{
	bool good = !(m->msg_flags & (MSG_TRUNC | MSG_CTRUNC));

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int *fds = arena_array_of(a, n, int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) {
			good = false;
			continue;
		}
		memcpy(fds, CMSG_DATA(h), n * sizeof(int));
		for (size_t i = 0; i < n; i++)
			arena_own_fd(a, fds[i]);
		good = good && f->fds_n == 0;
		f->fds = fds;
		f->fds_n = (u32)n;
	}
	return good;
}

static bool file_unpack(struct arena *a, struct frame *f)
{
	struct decoder d = { .arena = a, .rest = f->body };
	u64 size = decode_u64(&d);

	if (!decoder_done(&d) || f->fds_n == 0 || size == 0 || size > BUS_BODY_MAX)
		return false;
	if (!fd_is_sealed(f->fds[0], size) || fd_map(a, f->fds[0], size, &f->body) != NULL)
		return false;
	f->form = FRAME_INLINE;
	f->fds++;
	f->fds_n--;
	return true;
}

static bool frame_unpack(struct arena *a, str bytes, struct frame *f)
{
	struct decoder d = { .arena = a, .rest = bytes };
	u8 form;

	f->sequence = decode_u64(&d);
	f->number = decode_u32(&d);
	form = decode_u8(&d);
	if (d.bad || form > FRAME_FAIL)
		return false;
	f->form = form;
	f->body = str_copy(a, d.rest);
	return form != FRAME_FILE || file_unpack(a, f);
}

enum frame_result frame_receive(int fd, u8 *scratch, struct arena **out, struct frame *f)
{
	struct iovec v = { scratch, BUS_FRAME };
	union control c;
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c
	};
	struct arena *a;
	ssize_t n;

	do
		n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? FRAME_AGAIN
									      : FRAME_END;
	if (n == 0 && m.msg_controllen == 0)
		return FRAME_END;
	*f = (struct frame){ 0 };
	a = arena_new(BUS_ARENA);
	if (!control_take(&m, a, f) || !frame_unpack(a, str_from(scratch, (size_t)n), f)) {
		arena_free(&a);
		return FRAME_BAD;
	}
	*out = a;
	return FRAME_OK;
}

struct decoder frame_decoder(struct arena *a, const struct frame *f)
{
	return (struct decoder){ .arena = a, .rest = f->body, .fds = f->fds, .fds_n = f->fds_n };
}
