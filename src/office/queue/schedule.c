/* See schedule.h for the states, schedule_int.h for the parts. */
#include "office/queue/schedule_int.h"

#include <string.h>

#include "base/check.h"

struct schedule *schedule_new(const struct env *e, u32 per_site, u32 total)
{
	struct arena *a = arena_new(SCHEDULE_ARENA);
	struct schedule *s = arena_new_of(a, struct schedule);

	s->magic = SCHEDULE_MAGIC;
	s->arena = a;
	s->env = e;
	table_init(&s->jobs, a, e);
	table_init(&s->messages, a, e);
	table_init(&s->sites, a, e);
	table_init(&s->peers, a, e);
	for (size_t i = 0; i < LANES; i++) {
		link_init(&s->lanes[i].turns);
		link_init(&s->lanes[i].slow_turns);
		link_init(&s->lanes[i].suspects);
	}
	link_init(&s->free_jobs);
	link_init(&s->free_sites);
	link_init(&s->free_peers);
	schedule_limits(s, per_site, total);
	return s;
}

void schedule_free(struct schedule **s)
{
	struct arena *a;

	if (*s == NULL)
		return;
	CHECK_MAGIC(*s, SCHEDULE_MAGIC);
	(*s)->magic = 0;
	a = (*s)->arena;
	arena_free(&a);
	*s = NULL;
}

void schedule_limits(struct schedule *s, u32 per_site, u32 total)
{
	s->lanes[LANE_MDA].per_site = s->lanes[LANE_MDA].total = UINT32_MAX;
	s->lanes[LANE_RELAY].per_site = per_site;
	s->lanes[LANE_RELAY].total = total;
}

/* --- Sites ------------------------------------------------------------------------------------------------- */

static struct site *site_find(const struct schedule *s, enum schedule_lane lane, str name)
{
	struct table_node *node = table_first(&s->sites, table_hash_str(&s->sites, name));

	for (; node; node = table_next(node)) {
		struct site *site = table_object(node, struct site, by_name);
		if (site->lane == lane && str_eq(str_from(site->name, site->name_n), name))
			return site;
	}
	return NULL;
}

static struct site *site_new(struct schedule *s, enum schedule_lane lane, str name)
{
	struct site *site;

	CHECK(name.n <= SCHEDULE_SITE_NAME);
	if (link_empty(&s->free_sites)) {
		site = arena_new_of(s->arena, struct site);
	} else {
		site = link_object(s->free_sites.next, struct site, turn);
		link_take(&site->turn);
	}
	*site = (struct site){ .lane = lane, .name_n = name.n };
	if (name.n)
		memcpy(site->name, name.p, name.n);
	link_init(&site->turn);
	link_init(&site->ready);
	table_add(&s->sites, &site->by_name, table_hash_str(&s->sites, name));
	return site;
}

/* A site stands in its lane's turns exactly when it has something ready and room for it. */
static void site_update(struct schedule *s, struct site *site)
{
	struct lane *lane = &s->lanes[site->lane];
	bool wants = !link_empty(&site->ready) && site->active < lane->per_site;

	if (wants && !site->in_turn)
		link_append(site->slow ? &lane->slow_turns : &lane->turns, &site->turn);
	else if (!wants && site->in_turn)
		link_take(&site->turn);
	site->in_turn = wants;
}

static void site_set_slow(struct schedule *s, struct site *site, bool slow)
{
	struct lane *lane = &s->lanes[site->lane];

	if (site->slow == slow)
		return;
	if (site->in_turn)
		link_take(&site->turn);
	site->in_turn = false;
	site->slow = slow;
	lane->slow_active =
	    slow ? lane->slow_active + site->active : lane->slow_active - site->active;
	site_update(s, site);
}

static void site_active(struct schedule *s, struct site *site, bool more)
{
	struct lane *lane = &s->lanes[site->lane];
	u32 one = more ? 1 : UINT32_MAX; /* modulo 2^32 */

	site->active += one;
	lane->active += one;
	lane->slow_active += site->slow ? one : 0;
}

static void site_release(struct schedule *s, struct site *site)
{
	if (--site->jobs)
		return;
	CHECK(!site->in_turn && site->active == 0);
	table_remove(&s->sites, &site->by_name);
	link_append(&s->free_sites, &site->turn);
}

/* --- Peers ------------------------------------------------------------------------------------------------- */

static struct peer *peer_find(const struct schedule *s, u64 number)
{
	struct table_node *node = table_first(&s->peers, table_hash_u64(&s->peers, number));

	for (; node; node = table_next(node)) {
		struct peer *peer = table_object(node, struct peer, by_number);
		if (peer->number == number)
			return peer;
	}
	return NULL;
}

static struct peer *peer_get(struct schedule *s, u64 number)
{
	struct peer *peer = peer_find(s, number);

	if (peer)
		return peer;
	if (link_empty(&s->free_peers)) {
		peer = arena_new_of(s->arena, struct peer);
	} else {
		peer = link_object(s->free_peers.next, struct peer, jobs);
		link_take(&peer->jobs);
	}
	*peer = (struct peer){ .number = number };
	link_init(&peer->jobs);
	table_add(&s->peers, &peer->by_number, table_hash_u64(&s->peers, number));
	return peer;
}

static void peer_free(struct schedule *s, struct peer *peer)
{
	table_remove(&s->peers, &peer->by_number);
	link_append(&s->free_peers, &peer->jobs);
}

/* --- Rows: one function a change of state ------------------------------------------------------------------- */

static struct job_row *row_find(const struct schedule *s, u64 id)
{
	struct table_node *node = table_first(&s->jobs, table_hash_u64(&s->jobs, id));

	for (; node; node = table_next(node)) {
		struct job_row *row = table_object(node, struct job_row, by_id);
		if (row->job.id == id)
			return row;
	}
	return NULL;
}

/* A row of the database may hold anything; what is cut shares a site with its like. */
static struct site *site_get(struct schedule *s, enum schedule_lane lane, str name)
{
	struct site *site;

	name = str_slice(name, 0, SCHEDULE_SITE_NAME);
	site = site_find(s, lane, name);
	return site ? site : site_new(s, lane, name);
}

static struct job_row *row_new(struct schedule *s, const struct schedule_job *job, str site_name)
{
	enum schedule_lane lane = job->kind == JOB_RELAY ? LANE_RELAY : LANE_MDA;
	struct job_row *row;

	if (link_empty(&s->free_jobs)) {
		row = arena_new_of(s->arena, struct job_row);
	} else {
		row = link_object(s->free_jobs.next, struct job_row, line);
		link_take(&row->line);
	}
	*row = (struct job_row){ .job = *job, .site = site_get(s, lane, site_name) };
	row->site->jobs++;
	link_init(&row->line);
	table_add(&s->jobs, &row->by_id, table_hash_u64(&s->jobs, job->id));
	table_add(&s->messages, &row->by_message, table_hash_u64(&s->messages, job->message));
	return row;
}

static void row_wait(struct schedule *s, struct job_row *row, u64 due)
{
	row->job.state = JOB_WAITING;
	row->job.due = due;
	heap_add(s, row);
}

static void row_make_ready(struct schedule *s, struct job_row *row)
{
	row->job.state = JOB_READY;
	row->suspect = row->deaths > 0 && row->site->lane == LANE_MDA;
	link_append(row->suspect ? &s->lanes[LANE_MDA].suspects : &row->site->ready, &row->line);
	site_update(s, row->site);
}

static void row_activate(struct schedule *s, struct job_row *row, struct peer *peer)
{
	link_take(&row->line);
	row->job.state = JOB_ACTIVE;
	row->peer = peer;
	row->taken = env_monotonic(s->env);
	link_append(&peer->jobs, &row->line); /* oldest first */
	peer->active++;
	site_active(s, row->site, true);
	site_update(s, row->site);
}

/* ACTIVE -> SETTLING. */
static void row_leave_peer(struct job_row *row)
{
	link_take(&row->line);
	row->peer->active--;
	if (row->peer->active == 0)
		row->peer->alone = false;
	row->peer = NULL;
	row->job.state = JOB_SETTLING;
}

/* Out of whatever list it is in; the caller puts it where it belongs next. */
static void row_detach(struct schedule *s, struct job_row *row)
{
	if (row->job.state == JOB_WAITING)
		heap_remove(s, row);
	if (row->job.state == JOB_READY)
		link_take(&row->line);
	if (row->job.state == JOB_ACTIVE)
		row_leave_peer(row);
	if (row->job.state == JOB_SETTLING)
		site_active(s, row->site, false);
	row->job.state = JOB_HELD; /* in no list */
	site_update(s, row->site);
}

static void row_free(struct schedule *s, struct job_row *row)
{
	row_detach(s, row);
	table_remove(&s->jobs, &row->by_id);
	table_remove(&s->messages, &row->by_message);
	site_release(s, row->site);
	link_append(&s->free_jobs, &row->line);
}

/* --- Jobs come --------------------------------------------------------------------------------------------- */

void schedule_add(struct schedule *s, const struct schedule_job *job, str site)
{
	struct job_row *row;

	CHECK_MAGIC(s, SCHEDULE_MAGIC);
	CHECK(row_find(s, job->id) == NULL);
	row = row_new(s, job, site);
	if (job->state == JOB_WAITING)
		row_wait(s, row, job->due);
	else
		CHECK(job->state == JOB_HELD);
}

static struct job_row *dsn_find(const struct schedule *s, u64 message, enum job_kind kind)
{
	struct table_node *node = table_first(&s->messages, table_hash_u64(&s->messages, message));

	for (; node; node = table_next(node)) {
		struct job_row *row = table_object(node, struct job_row, by_message);
		if (row->job.message == message && row->job.kind == kind)
			return row;
	}
	return NULL;
}

void schedule_add_dsn(struct schedule *s, u64 id, u64 message, enum job_kind kind, u64 due)
{
	struct job_row *row = dsn_find(s, message, kind);

	CHECK(kind == JOB_DSN_FAILURE || kind == JOB_DSN_DELAY);
	if (row == NULL)
		schedule_add(s,
			     &(struct schedule_job){ .id = id,
						     .message = message,
						     .due = due,
						     .kind = kind,
						     .state = JOB_WAITING },
			     S("dsn"));
	else if (row->job.state == JOB_ACTIVE || row->job.state == JOB_SETTLING)
		row->again = true;
}

/* --- Jobs go out ------------------------------------------------------------------------------------------- */

u64 schedule_next_due(const struct schedule *s)
{
	return s->heap_n ? s->heap[0]->job.due : UINT64_MAX;
}

void schedule_set_back(struct schedule *s, u64 ms)
{
	for (size_t i = 0; i < s->heap_n; i++) { /* all by the same: the heap stays one */
		struct schedule_job *job = &s->heap[i]->job;
		job->due = job->due > ms ? job->due - ms : 0;
	}
}

static void wake_due(struct schedule *s)
{
	u64 now = env_now(s->env);

	while (s->heap_n && s->heap[0]->job.due <= now) {
		struct job_row *row = s->heap[0];
		heap_remove(s, row);
		row_make_ready(s, row);
	}
}

/* Whose time is over, the oldest of each peer first. */
static void note_slow(struct schedule *s)
{
	u64 now = env_monotonic(s->env);

	for (size_t i = 0; i < s->peers.slots_n; i++)
		for (struct table_node *node = s->peers.slots[i]; node; node = node->next) {
			struct peer *p = table_object(node, struct peer, by_number);
			for (struct link *l = p->jobs.next; l != &p->jobs; l = l->next) {
				struct job_row *row = link_object(l, struct job_row, line);
				if (row->taken + SCHEDULE_SLOW_MS > now)
					break;
				site_set_slow(s, row->site, row->site->lane == LANE_RELAY);
			}
		}
}

/* The line that gives the next job; NULL: there is none, or no room. */
static struct link *line_next(struct lane *lane)
{
	bool room = lane->active / 2 < lane->total;
	bool quick =
	    room && !link_empty(&lane->turns) && lane->active - lane->slow_active < lane->total;
	bool slow = room && !link_empty(&lane->slow_turns) &&
		    lane->slow_active < lane->total - lane->total / 2;

	if (!quick && !slow)
		return NULL;
	lane->slow_next = quick && (!slow || !lane->slow_next);
	return lane->slow_next ? &lane->turns : &lane->slow_turns;
}

static struct job_row *take_from_turns(struct lane *lane)
{
	struct link *line = line_next(lane);
	struct site *site;

	if (line == NULL)
		return NULL;
	site = link_object(line->next, struct site, turn);
	link_take(&site->turn); /* to the end of the line, when it still wants a turn */
	link_append(line, &site->turn);
	return link_object(site->ready.next, struct job_row, line);
}

size_t schedule_take(struct schedule *s, enum schedule_lane lane_number, u64 peer_number,
		     size_t max, struct schedule_job *out)
{
	struct lane *lane = &s->lanes[lane_number];
	struct peer *peer = peer_get(s, peer_number);
	struct job_row *row;
	size_t n = 0;

	CHECK_MAGIC(s, SCHEDULE_MAGIC);
	wake_due(s);
	note_slow(s);
	if (peer->alone || (!link_empty(&lane->suspects) && peer->active))
		return 0;
	if (!link_empty(&lane->suspects) && max) {
		row = link_object(lane->suspects.next, struct job_row, line);
		row_activate(s, row, peer);
		peer->alone = true;
		out[0] = row->job;
		return 1;
	}
	while (n < max && (row = take_from_turns(lane)) != NULL) {
		row_activate(s, row, peer);
		out[n++] = row->job;
	}
	return n;
}

bool schedule_holds(const struct schedule *s, u64 id, u64 peer, struct schedule_job *out)
{
	const struct job_row *row = row_find(s, id);

	if (row == NULL || row->job.state != JOB_ACTIVE || row->peer->number != peer)
		return false;
	if (out)
		*out = row->job;
	return true;
}

/* --- Jobs come back ---------------------------------------------------------------------------------------- */

bool schedule_settle(struct schedule *s, u64 id, u64 peer)
{
	if (!schedule_holds(s, id, peer, NULL))
		return false;
	row_leave_peer(row_find(s, id));
	return true;
}

void schedule_again(struct schedule *s, u64 id, u64 due, u32 attempts)
{
	struct job_row *row = row_find(s, id);

	if (row == NULL || row->job.state != JOB_SETTLING)
		return;
	row_detach(s, row);
	row->deaths = 0;
	row->unread = 0;
	row->again = false;
	row->job.attempts = attempts;
	if (!row->hold_after)
		row_wait(s, row, due);
	row->hold_after = false;
}

void schedule_move(struct schedule *s, u64 id, str name)
{
	struct job_row *row = row_find(s, id);
	struct site *site;

	if (row == NULL || row->job.state != JOB_WAITING ||
	    name.n == 0) /* else in a list of its site */
		return;
	site = site_get(s, row->site->lane, name);
	site->jobs++;
	site_release(s, row->site);
	row->site = site;
}

void schedule_busy(struct schedule *s, u64 id, str name)
{
	const struct job_row *row = row_find(s, id);
	const struct site *site = row ? site_find(s, row->site->lane, name) : NULL;
	u64 most = SCHEDULE_BUSY_MS + (site ? site->jobs * SCHEDULE_BUSY_EACH_MS : 0);

	if (row == NULL)
		return;
	schedule_again(s, id, env_now(s->env) + SCHEDULE_BUSY_MS + env_random_below(s->env, most),
		       row->job.attempts);
	schedule_move(s, id, name);
}

void schedule_unread(struct schedule *s, u64 id)
{
	struct job_row *row = row_find(s, id);
	u64 wait = SCHEDULE_UNREAD_MS;
	u32 times;

	if (row == NULL || row->job.state != JOB_SETTLING)
		return;
	times = row->unread + 1;
	for (u32 i = 1; i < times && wait < SCHEDULE_UNREAD_MOST_MS; i++)
		wait *= 2;
	if (wait > SCHEDULE_UNREAD_MOST_MS)
		wait = SCHEDULE_UNREAD_MOST_MS;
	schedule_again(s, id, env_now(s->env) + wait, row->job.attempts);
	row->unread = times;
}

void schedule_finish(struct schedule *s, u64 id)
{
	struct job_row *row = row_find(s, id);

	if (row == NULL)
		return;
	if (row->job.state == JOB_SETTLING && env_monotonic(s->env) < row->taken + SCHEDULE_SLOW_MS)
		site_set_slow(s, row->site, false);
	if (row->again && row->job.state == JOB_ACTIVE) /* nothing was found of it, too early */
		row_leave_peer(row);
	if (row->again && row->job.state == JOB_SETTLING)
		schedule_again(s, id, env_now(s->env), row->job.attempts);
	else
		row_free(s, row);
}

/* One job of a peer that died; true when it is held now. */
static bool row_survive(struct schedule *s, struct job_row *row, bool alone)
{
	bool relay = row->site->lane == LANE_RELAY;
	u64 spread = SCHEDULE_SPREAD_MS, now = env_now(s->env);

	row_detach(s, row);
	if (relay || alone || row->deaths == 0)
		row->deaths++;
	if (row->hold_after) {
		row->hold_after = false;
		return false;
	}
	if (row->deaths >= (relay ? SCHEDULE_DEATHS_RELAY : SCHEDULE_DEATHS))
		return true;
	if (row->deaths == 1)
		row_wait(s, row, now);
	else
		row_wait(s, row, now + env_random_below(s->env, spread << row->deaths));
	return false;
}

size_t schedule_peer_gone(struct schedule *s, u64 number, u64 *poisoned, size_t max)
{
	struct peer *peer = peer_find(s, number);
	size_t n = 0;
	bool alone;

	if (peer == NULL)
		return 0;
	alone = peer->active == 1;
	while (!link_empty(&peer->jobs)) {
		struct job_row *row = link_object(peer->jobs.next, struct job_row, line);
		if (n == max)
			return n;
		if (row_survive(s, row, alone))
			poisoned[n++] = row->job.id;
	}
	peer_free(s, peer);
	return n;
}

void schedule_peer_leaves(struct schedule *s, u64 number)
{
	struct peer *peer = peer_find(s, number);

	while (peer && !link_empty(&peer->jobs)) {
		struct job_row *row = link_object(peer->jobs.next, struct job_row, line);
		bool held = row->hold_after;

		row_detach(s, row);
		row->hold_after = false;
		if (!held)
			row_wait(s, row, env_now(s->env));
	}
}

static bool peer_is_late(const struct peer *peer, enum schedule_lane lane, u64 before)
{
	const struct job_row *oldest = link_object(peer->jobs.next, struct job_row, line);

	return !link_empty(&peer->jobs) && oldest->site->lane == lane && oldest->taken <= before;
}

bool schedule_overdue(const struct schedule *s, enum schedule_lane lane, u64 ms, u64 *peer)
{
	u64 now = env_monotonic(s->env);

	for (size_t i = 0; now >= ms && i < s->peers.slots_n; i++)
		for (struct table_node *node = s->peers.slots[i]; node; node = node->next) {
			const struct peer *p = table_object(node, struct peer, by_number);
			if (peer_is_late(p, lane, now - ms)) {
				*peer = p->number;
				return true;
			}
		}
	return false;
}

/* --- The administrator's hand ------------------------------------------------------------------------------- */

void schedule_retry(struct schedule *s, u64 id, u64 now)
{
	struct job_row *row = row_find(s, id);

	if (row && row->job.state == JOB_HELD) /* set aside: its rows say that it waits */
		schedule_release(s, id, now);
	if (row == NULL || row->job.state != JOB_WAITING)
		return;
	row_detach(s, row);
	row_wait(s, row, now);
}

void schedule_hold(struct schedule *s, u64 id)
{
	struct job_row *row = row_find(s, id);

	if (row == NULL)
		return;
	if (row->job.state == JOB_ACTIVE || row->job.state == JOB_SETTLING)
		row->hold_after = true;
	else
		row_detach(s, row);
}

void schedule_release(struct schedule *s, u64 id, u64 now)
{
	struct job_row *row = row_find(s, id);

	if (row == NULL)
		return;
	row->hold_after = false;
	row->deaths = 0;
	if (row->job.state == JOB_HELD)
		row_wait(s, row, now);
}

void schedule_drop(struct schedule *s, u64 id)
{
	struct job_row *row = row_find(s, id);

	if (row)
		row_free(s, row);
}

/* --- Looking ----------------------------------------------------------------------------------------------- */

bool schedule_find(const struct schedule *s, u64 id, struct schedule_job *out)
{
	const struct job_row *row = row_find(s, id);

	if (row)
		*out = row->job;
	return row != NULL;
}

size_t schedule_count(const struct schedule *s)
{
	return s->jobs.count;
}

size_t schedule_unsettled(const struct schedule *s, u64 message)
{
	struct table_node *node = table_first(&s->messages, table_hash_u64(&s->messages, message));
	size_t n = 0;

	for (; node; node = table_next(node)) {
		const struct job_row *row = table_object(node, struct job_row, by_message);
		bool delivery = row->job.kind == JOB_DELIVER || row->job.kind == JOB_RELAY;
		bool under_way = row->job.attempts == 0 || row->job.state == JOB_ACTIVE;
		n += row->job.message == message && delivery && under_way;
	}
	return n;
}

static void job_check(const struct schedule *s, const struct job_row *row)
{
	CHECK((row->job.state == JOB_ACTIVE) == (row->peer != NULL));
	if (row->job.state == JOB_WAITING)
		CHECK(row->heap_at < s->heap_n && s->heap[row->heap_at] == row);
	CHECK(row->site->jobs > 0);
}

void schedule_check(const struct schedule *s)
{
	u32 active[LANES] = { 0 }, slow[LANES] = { 0 };

	CHECK_MAGIC(s, SCHEDULE_MAGIC);
	for (size_t i = 0; i < s->jobs.slots_n; i++) {
		for (struct table_node *node = s->jobs.slots[i]; node; node = node->next) {
			const struct job_row *row = table_object(node, struct job_row, by_id);
			job_check(s, row);
			bool is_active =
			    row->job.state == JOB_ACTIVE || row->job.state == JOB_SETTLING;
			active[row->site->lane] += is_active;
			slow[row->site->lane] += is_active && row->site->slow;
		}
	}
	for (size_t i = 1; i < s->heap_n; i++)
		CHECK(s->heap[(i - 1) / 2]->job.due <= s->heap[i]->job.due);
	for (size_t i = 0; i < LANES; i++)
		CHECK(active[i] == s->lanes[i].active && slow[i] == s->lanes[i].slow_active);
}
