/*
 * When the kernel has no memory left it ends the process that it thinks worst of, by its size and /proc/PID/oom_score_adj (proc(5)).
 * A child that is ended comes again, and nothing is lost; with parent everything goes. So parent asks to be among the last, and its
 * children are what it was itself told to be (systemd's OOMScoreAdjust=). An ordinary user may only raise the number: there the
 * children step forward. Where /proc cannot be written nothing changes: size decides, and parent is the smallest.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/scan.h"
#include "parent/parent_int.h"

enum {
	AMONG_THE_LAST =
	    -900, /* -1000 is never: were only parent left, everybody would wait for ever */
	CHILDREN_FORWARD = 100,
	FORWARD_MOST = 1000,
};

static const char number_file[] = "/proc/self/oom_score_adj";

static bool number_read(int *out)
{
	u8 text[16];
	int fd = open(number_file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
	struct scan s = scan_of(str_from(text, n < 0 ? 0 : (size_t)n));
	bool negative = scan_byte(&s, '-');
	u32 value;

	fd_close(&fd);
	if (!scan_u32(&s, &value) || value > FORWARD_MOST)
		return false;
	*out = negative ? -(int)value : (int)value;
	return true;
}

static bool number_write(int value)
{
	char text[16];
	int fd = open(number_file, O_WRONLY | O_CLOEXEC),
	    n = snprintf(text, sizeof text, "%d", value);
	bool good = fd >= 0 && write(fd, text, (size_t)n) == n;

	fd_close(&fd);
	return good;
}

void memory_protect(struct parent *p)
{
	if (!number_read(&p->oom_given))
		return;
	p->oom_children = p->oom_given;
	p->oom_lowered = p->oom_given > AMONG_THE_LAST && number_write(AMONG_THE_LAST);
	if (!p->oom_lowered && p->oom_given >= 0)
		p->oom_children += CHILDREN_FORWARD;
	if (p->oom_children > FORWARD_MOST)
		p->oom_children = FORWARD_MOST;
}

void memory_expose(const struct parent *p)
{
	(void)!number_write(p->oom_children);
}

void memory_release(const struct parent *p)
{
	if (p->oom_lowered)
		(void)!number_write(p->oom_given);
}
