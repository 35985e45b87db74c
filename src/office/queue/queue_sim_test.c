/*
 * The simulator (ARCHITECTURE 7): store, queue and scheduler under a seeded clock, chance and disk, with people, peers and far servers
 * around them, in lives that end anywhere, against a ledger of what was promised (sim_ledger_test.h). Each seed is a history:
 *
 *	some lives, each a process that is killed at a call of the seed's choice, or ends because a sync failed; then one that
 *	lives on, in which the queue must become empty. Meanwhile disks fail and fill, clocks jump, peers die.
 *
 * Whatever happens: nothing acknowledged is lost or changed, nothing is delivered twice here, nor relayed twice but for the one excuse
 * (RFC 1047), retries keep to the policy, no site waits for another's heap, UIDs and modseqs rise, the store verifies.
 *
 *	queue_sim_test                     a few seeds, and each control
 *	queue_sim_test COUNT [FIRST]       so many seeds from FIRST on; "seed N" replays with COUNT 1
 *	queue_sim_test COUNT FIRST RULE    with that rule broken (enum sim_break): how many seeds notice
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "office/queue/sim_peer_test.h"

enum {
	SEEDS = 40,
	CONTROL_SEEDS = 150, /* at most: a control ends with the first that notices */
	STEPS = 60,
	LIVES = 6,
	DRAIN_STEPS = 6000,
	LIFE_CALLS = 1500,
	START_CALLS = 100, /* within which a life is killed: half of a history, its start */
	FILE_BYTES = 1 << 20,
};

static const char *const break_names[BREAKS] = { "nothing", "promise", "schedule", "once",
						 "uid",     "wait",    "disk" };

/* --- The folder: what a new store is, put back for each seed --- */

struct folder {
	char path[64];
	u8 database[FILE_BYTES], segment[FILE_BYTES];
	size_t database_n, segment_n;
};

static struct folder folder;

static void file_path(char out[128], const char *name)
{
	snprintf(out, 128, "%s/%s", folder.path, name);
}

static size_t file_read(const char *name, u8 *out)
{
	char path[128];
	ssize_t n;
	int fd;

	file_path(path, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = read(fd, out, FILE_BYTES);
	assert_true(n > 0 && n < FILE_BYTES);
	close(fd);
	return (size_t)n;
}

static void file_write(const char *name, const u8 *bytes, size_t n)
{
	char path[128];
	int fd;

	file_path(path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	close(fd);
}

static void file_remove(const char *name)
{
	char path[128];

	file_path(path, name);
	unlink(path);
}

static void folder_reset(void)
{
	file_remove("postern.db-wal");
	file_remove("postern.db-shm");
	file_write("postern.db", folder.database, folder.database_n);
	file_write("mail/00000001.seg", folder.segment, folder.segment_n);
	for (u32 i = 2; i < 10; i++) {
		char name[32];
		snprintf(name, sizeof name, "mail/%08u.seg", i);
		file_remove(name);
	}
}

static void folder_free(void)
{
	folder_reset();
	file_remove("postern.db");
	file_remove("mail/00000001.seg");
	file_remove("lock");
	file_remove("reserve");
	{
		char path[128];
		file_path(path, "mail");
		rmdir(path);
	}
	assert_int_equal(rmdir(folder.path), 0);
}

/* --- A life --- */

static const struct fail *life_open(struct life *l)
{
	const struct store_options o = { .folder = folder.path, .env = &sim_env, .readers = 1 };

	l->d = (struct desk){ .policy = { .retry_first = 300000,
					  .retry_most = 7200000,
					  .expire = 86400000,
					  .delay_notice = 14400000 },
			      .per_site = 10 };
	if (l->s->w.broken == BREAK_WAIT)
		l->d.policy.retry_first = l->d.policy.retry_most = 1000;
	l->d.w.env = sim_env;
	l->d.w.arena = arena_new(64 << 20);
	return store_open(l->d.w.arena, &o, &l->d.w.store);
}

static const struct fail *friend_add(struct tx *t, void *context)
{
	const str bob = str_cstr(sim_people[SIM_BOB]);

	(void)context;
	return store_alias_add(t, str_cstr(sim_friend), &bob, 1);
}

/* A child of the parent: makes what every seed begins with. */
static void make_folder(struct sim *s)
{
	struct life l = { .s = s };

	must(life_open(&l));
	must(world_write(&l.d.w, false, desk_accounts, NULL));
	must(world_write(&l.d.w, false, friend_add, NULL));
	store_close(&l.d.w.store);
	_exit(SIM_DONE);
}

/* Whether a message whose commit nobody heard of is there: all of it, or nothing. */
static void decide_item(struct life *l, u32 mark)
{
	struct sim_item *item = &l->s->items[mark];
	struct query *q;
	u64 entries = 0, wanted = 0;
	struct tx t;

	for (size_t i = 0; i < SIM_ACCOUNTS; i++)
		wanted += item->here[i];
	for (size_t i = 0; i < SIM_FAR; i++)
		wanted += item->there[i];
	must(store_read_begin(l->d.w.store, l->d.w.arena, &t));
	q = SQL_QUERY(t.db,
		      "SELECT count(*) FROM queue_entry e JOIN body b ON b.id = e.message_id"
		      " WHERE b.size = ?",
		      SQL_U64(sim_size_of(mark)));
	if (sql_row(q))
		entries = sql_u64(q);
	must(sql_end(l->d.w.arena, q));
	store_read_end(&t);
	SIM_CHECK(entries == 0 || entries == wanted, "CORRUPT: mark %u is half there", mark);
	item->known = entries ? KEPT : NEVER;
	if (item->kind == ITEM_REPORT && entries)
		report_kept(l->s, item);
	if (item->kind == ITEM_LETTER && entries && item->id > l->s->last_id)
		l->s->last_id = item->id;
}

static void decide_items(struct life *l)
{
	for (u32 i = 0; i < l->s->items_n; i++)
		if (l->s->items[i].known == MAYBE && l->s->items[i].kind != ITEM_APPENDED)
			decide_item(l, i);
}

/* A start gives UIDs again: what the ledger must notice. */
static const struct fail *break_uid(struct tx *t, void *context)
{
	(void)context;
	return SQL_RUN0(t->arena, t->db, "UPDATE mailbox SET uidnext = max(1, uidnext - 1)");
}

static void life_begin(struct life *l)
{
	u32 faults = l->s->w.faults;
	const struct fail *f = life_open(l);

	if (f && (l->s->w.faults > faults || f->what == FAIL_BUSY))
		_exit(SIM_RESTART);
	if (f)
		sim_fail("CORRUPT: does not open: %.*s", STR_ARG(f->text));
	if (l->s->w.broken == BREAK_UID)
		(void)!world_write(&l->d.w, false, break_uid, NULL);
	desk_begin(&l->d);
	for (size_t i = 0; i < SIM_PEERS; i++)
		peer_begin(l, i);
	sim_compare(&l->d, l->s, true);
	decide_items(l);
	waits_forget(l->s);
	waits_of_another_clock(l);
}

/* One of the next few writes, syncs or commits fails, or all of them for a while: a full disk. */
static void plan_fault(struct sim *s)
{
	s->w.fault_at = (int)sim_below(&s->w, PLACES);
	s->w.fault_error = sim_below(&s->w, 2) ? EIO : ENOSPC;
	s->w.fault_in = 1 + (u32)sim_below(&s->w, 4);
	s->w.fault_for = s->w.fault_error == ENOSPC ? 1 + (u32)sim_below(&s->w, 6) : 1;
}

static void clock_jump(struct sim_world *w)
{
	if (sim_below(w, 2))
		w->clock += sim_below(w, 4 * 3600000);
	else
		w->clock -= sim_below(w, 3600000);
}

static void clock_go(struct life *l, u64 ms)
{
	l->s->w.clock += ms;
	l->s->w.monotonic += ms;
}

static void step(struct life *l)
{
	struct sim_world *w = &l->s->w;

	switch (sim_below(w, 32)) {
	case 0:
		plan_fault(l->s);
		return;
	case 1:
		clock_jump(w);
		l->watched = 0; /* what was due may be so no longer */
		return;
	case 2:
		step_flood(l);
		return;
	case 3:
		step_admin(l, sim_below(w, 2) ? QUEUE_RETRY : QUEUE_RELEASE);
		return;
	case 4:
		peer_die(l, sim_below(w, SIM_PEERS));
		return;
	case 5:
	case 6:
		clock_go(l, sim_below(w, 1200000));
		return;
	case 7:
		life_commit(l);
		return;
	case 8:
		sim_compare(&l->d, l->s, l->pending == 0);
		return;
	case 9:
	case 10:
	case 11:
		step_append(l);
		return;
	case 12:
	case 13:
		step_flags(l);
		return;
	case 14:
		step_expunge(l);
		return;
	case 15:
	case 16:
		step_copy(l);
		return;
	case 17:
	case 18:
	case 19:
	case 20:
		step_arrive(l);
		return;
	case 21:
		step_room(l, sim_below(w, 2) ? 0 : 1);
		return;
	default:
		step_peer(l);
	}
}

/* --- The end --- */

/* Which entry stays, and as what. */
__attribute__((noreturn)) static void starved(struct life *l)
{
	struct query *q;
	struct tx t;

	must(store_read_begin(l->d.w.store, l->d.w.arena, &t));
	q = SQL_QUERY0(t.db, "SELECT e.job, e.kind, e.status, e.report, e.attempts, b.size"
			     " FROM queue_entry e JOIN body b ON b.id = e.message_id");
	if (sql_row(q)) {
		u64 job = sql_u64(q), kind = sql_u64(q), status = sql_u64(q), report = sql_u64(q),
		    attempts = sql_u64(q), size = sql_u64(q);
		struct schedule_job known = { .state = 99 };
		(void)schedule_find(l->d.queue->schedule, job, &known);
		sim_fail("STARVED: the queue does not become empty: mark %llu kind %llu status %llu"
			 " report %llu attempts %llu, in the schedule %d",
			 (unsigned long long)(size - SIM_SIZE), (unsigned long long)kind,
			 (unsigned long long)status, (unsigned long long)report,
			 (unsigned long long)attempts, (int)known.state);
	}
	sim_fail("STARVED: a message without entries");
}

/* Everybody lives and answers; the clock goes to where something is due. */
static void drain(struct life *l)
{
	l->draining = true;
	l->watched = 0;
	l->s->w.fault_in = 0;
	l->s->w.die_at = UINT64_MAX;
	clock_go(l, WRITER_RESERVE_RETRY_MS); /* a disk that was full is tried again */
	life_commit(l);
	step_admin(l, QUEUE_RELEASE); /* poison that was none */
	step_room(l, 0);
	for (u32 i = 0; desk_number(&l->d, ask_queued, 0, 0) > 0; i++) {
		u64 due = queue_pump(l->d.queue);
		if (i >= DRAIN_STEPS)
			starved(l);
		for (u32 k = 0; k < 12; k++)
			step_peer(l);
		if (due != UINT64_MAX && due > l->s->w.clock)
			clock_go(l, due - l->s->w.clock);
		else
			clock_go(l, 1000);
		arena_reset(l->d.w.arena);
	}
}

static void check_far(struct life *l, const struct sim_item *item, u32 mark)
{
	for (size_t i = 0; i < SIM_FAR; i++) {
		bool told = item->reported[i] ||
			    (item->null_sender && desk_has_event(&l->d, item->id, EVENT_DSN_NONE));
		if (!item->there[i] || item->known == NEVER) {
			SIM_CHECK(item->relayed[i] == 0 && !item->reported[i],
				  "GHOST: mark %u went to %zu", mark, i);
			continue;
		}
		SIM_CHECK(item->relayed[i] || told, "LOST: mark %u for %zu", mark, i);
		SIM_CHECK(item->relayed[i] <= 1 + item->excused[i], "DUPLICATE: mark %u to %zu",
			  mark, i);
	}
}

static void check_item(struct life *l, u32 mark)
{
	const struct sim_item *item = &l->s->items[mark];

	if (item->kind == ITEM_APPENDED)
		return; /* the comparison of mailboxes has seen it */
	for (size_t i = 0; i < SIM_ACCOUNTS; i++) {
		bool told = i == SIM_BOB &&
			    (item->given_up || (item->null_sender &&
						desk_has_event(&l->d, item->id, EVENT_DSN_NONE)));
		SIM_CHECK(!item->here[i] || item->known != KEPT || item->placed[i] || told,
			  "LOST: mark %u for account %zu", mark, i + 1);
		SIM_CHECK(item->known != NEVER || !item->placed[i], "GHOST: mark %u", mark);
	}
	check_far(l, item, mark);
}

/* Every body, read whole: its length is its mark, and its subject says the same. */
static void check_bodies(struct life *l, struct sim_box *b, u64 account)
{
	struct uid_range all = { .low = 1, .high = UINT32_MAX };
	size_t seen = 0;

	do {
		struct office_message_fetch_request q = { .mailbox = b->id,
							  .uids = &all,
							  .uids_n = 1,
							  .want = FETCH_BYTES | FETCH_SKELETON };
		struct office_message_fetch_answer r = { .count = 0 };
		struct decoder d = { .arena = l->d.w.arena };
		struct tx t;

		must(store_read_begin(l->d.w.store, l->d.w.arena, &t));
		must(store_message_fetch(&t, account, &q, &r));
		store_read_end(&t);
		must(fd_map(l->d.w.arena, r.data, r.bytes, &d.rest));
		for (u32 i = 0; i < r.count; i++, seen++) {
			struct fetch_item item;
			struct skeleton s;
			u64 size;
			decode_fetch_item(&d, &item);
			must(skeleton_decode(l->d.w.arena, item.skeleton, &s));
			SIM_CHECK(str_u64(str_skip(s.envelope.subject, 8), &size) &&
				      size == item.bytes.n,
				  "CORRUPT: body of uid %u", item.uid);
		}
		all.low = r.next;
	} while (all.low);
	SIM_CHECK(seen == b->rows_n, "LOST: %zu bodies of %zu", seen, b->rows_n);
}

static void check_end(struct life *l)
{
	struct office_verify_answer v;
	struct tx t;

	sim_compare(&l->d, l->s, true);
	for (u32 i = 0; i < l->s->items_n; i++)
		check_item(l, i);
	for (u64 account = 1; account <= SIM_ACCOUNTS; account++)
		for (size_t name = 0; name < SIM_NAMES; name++)
			check_bodies(l, sim_box(l->s, account, name), account);
	must(store_read_begin(l->d.w.store, l->d.w.arena, &t));
	must(store_verify(&t, &v));
	store_read_end(&t);
	if (v.problem_count)
		sim_fail("CORRUPT: verify: %.*s", STR_ARG(v.problems[0]));
}

static void live(struct sim *s)
{
	static struct life l;

	l.s = s;
	l.next_peer = (u64)s->lives * 1000;
	life_begin(&l);
	while (s->steps_left) {
		s->steps_left--;
		step(&l);
		schedule_check(l.d.queue->schedule);
		arena_reset(l.d.w.arena);
	}
	drain(&l);
	check_end(&l);
	_exit(SIM_DONE);
}

/* --- Seeds --- */

/* In a process of its own; how it ended. */
static int in_child(void (*run)(struct sim *), struct sim *s)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		run(s);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : SIM_FAILED;
}

/* Most lives end soon after their start or in the middle of their work; some live on. */
static void plan_life(struct sim *s)
{
	u64 span = sim_below(&s->w, 4) ? LIFE_CALLS : START_CALLS;

	s->w.die_at = UINT64_MAX;
	s->w.fault_in = 0;
	if (s->lives < LIVES && sim_below(&s->w, 3))
		s->w.die_at = s->w.calls + 1 + sim_below(&s->w, span);
	if (s->lives)
		clock_jump(&s->w);
}

static bool run_seed(struct sim *s, u64 seed, enum sim_break broken)
{
	int end;

	memset(s, 0, sizeof *s);
	s->w = (struct sim_world){
		.chance = seed * 7919, .random = seed, .clock = 1790000000000, .broken = broken
	};
	s->steps_left = STEPS;
	folder_reset();
	do {
		plan_life(s);
		end = in_child(live, s);
		s->lives++;
		s->w.kills += end == SIM_KILLED;
	} while (end == SIM_KILLED || end == SIM_RESTART);
	if (end != SIM_DONE && s->w.failure[0] == '\0')
		snprintf(s->w.failure, sizeof s->w.failure, "ended with %d", end);
	return end == SIM_DONE;
}

struct totals {
	u64 seeds, failed, lives, kills, faults, acknowledged, delivered, put_off, relays, reports;
};

static void count(struct totals *t, const struct sim *s)
{
	t->seeds++;
	t->lives += s->lives;
	t->kills += s->w.kills;
	t->faults += s->w.faults;
	t->acknowledged += s->acknowledged;
	t->delivered += s->delivered;
	t->put_off += s->put_off;
	t->relays += s->relays;
	t->reports += s->reports;
}

static struct sim *shared;

/* stop: at the first that fails. */
static struct totals run_seeds(u64 n, u64 first, enum sim_break broken, bool stop)
{
	struct totals t = { 0 };

	for (u64 seed = first; seed < first + n && !(stop && t.failed); seed++) {
		bool good = run_seed(shared, seed, broken);
		count(&t, shared);
		t.failed += !good;
		if (!good)
			printf("seed %llu: %s\n", (unsigned long long)seed, shared->w.failure);
	}
	printf(
	    "# rule broken: %s; seeds %llu, failed %llu, lives %llu, kills %llu, faults %llu, acknowledged %llu,"
	    " delivered %llu, full %llu, attempts %llu, reports %llu\n",
	    break_names[broken], (unsigned long long)t.seeds, (unsigned long long)t.failed,
	    (unsigned long long)t.lives, (unsigned long long)t.kills, (unsigned long long)t.faults,
	    (unsigned long long)t.acknowledged, (unsigned long long)t.delivered,
	    (unsigned long long)t.put_off, (unsigned long long)t.relays,
	    (unsigned long long)t.reports);
	return t;
}

static void sim_begin(void)
{
	const char *at = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	shared =
	    mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	sim_world = &shared->w;
	sim_world->die_at = UINT64_MAX;
	sim_world->clock = 1790000000000;
	log_level_set(LOG_ERROR + 1);
	sim_disk_begin();
	snprintf(folder.path, sizeof folder.path, "%s/postern-sim-XXXXXX", at);
	assert_non_null(mkdtemp(folder.path));
	assert_int_equal(in_child(make_folder, shared), SIM_DONE);
	folder.database_n = file_read("postern.db", folder.database);
	folder.segment_n = file_read("mail/00000001.seg", folder.segment);
}

/* As cmocka would say it. Not under cmocka, whose failures jump: the lives are processes, and in them a failure is an end. */
static int tell(int number, bool good, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", number, name);
	return good ? 0 : 1;
}

/* Seeds are good, and each broken rule is noticed. */
static int test_all(void)
{
	int failed = tell(1, run_seeds(SEEDS, 1, BREAK_NOTHING, false).failed == 0, "seeds");

	for (enum sim_break b = BREAK_NOTHING + 1; b < BREAKS; b++)
		failed += tell((int)b + 1, run_seeds(CONTROL_SEEDS, 1, b, true).failed == 1,
			       break_names[b]);
	return failed > 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: queue_sim_test [COUNT [FIRST [RULE]]]\n");
	return 2;
}

int main(int argc, char **argv)
{
	u64 n = 0, first = 1;
	size_t broken = 0;
	int failed;

	if ((argc > 1 && !str_u64(str_cstr(argv[1]), &n)) ||
	    (argc > 2 && !str_u64(str_cstr(argv[2]), &first)))
		return usage();
	while (argc > 3 && broken < BREAKS && strcmp(argv[3], break_names[broken]) != 0)
		broken++;
	if (broken == BREAKS)
		return usage();
	sim_begin();
	failed =
	    argc > 1 ? run_seeds(n, first, (enum sim_break)broken, false).failed > 0 : test_all();
	folder_free();
	return failed;
}
