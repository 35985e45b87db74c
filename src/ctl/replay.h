/*
 * A stored message judged again, with today's DNS and today's configuration: what would be decided differently? Done here, not in the
 * office, which parses no mail (Rule 0): the office hands out the bytes, the same verdict code as port 25 looks at them.
 *
 * What we wrote over the message is taken off first. Not back: fields in our name that it had brought and that were taken out.
 */
#ifndef CTL_REPLAY_H
#define CTL_REPLAY_H

#include "ctl/ctl_int.h"
#include "ctl/story.h"

struct replay {
	bool done;
	struct decision today;
};

const struct fail *replay_run(struct ctl *c, const struct story *s, struct replay *out);
/* Then and today, fact by fact; nothing when it was not done. */
void replay_put(struct ctl *c, struct buf *out, const struct story *s, const struct replay *r,
		enum language l);

#endif
