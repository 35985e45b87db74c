/* The writer's thread, many who submit and wait, many who read: run with TSan. */
#include "office/store/store_test_support.h"

#include "base/check.h"

enum { SUBMITTERS = 4, EACH = 40 };

struct person {
	struct world *w;
	struct body_draft draft;
	pthread_t thread;
	atomic_bool *stop;
};

struct thread_job {
	struct write_job job;
	struct person *person;
	struct office_message_append_answer answer;
};

static const struct fail *append(struct tx *t, struct write_job *job)
{
	struct thread_job *j = (struct thread_job *)job;
	const struct office_message_append_request q = { .name = S("INBOX") };

	return store_message_append(t, j->person->w->account, &q, &j->person->draft, &j->answer);
}

static void *submit(void *context)
{
	struct person *p = context;

	for (int i = 0; i < EACH; i++) {
		struct arena *a = arena_new(1 << 20);
		struct thread_job j = { .job = { .run = append, .arena = a }, .person = p };

		CHECK(writer_do(p->w->store, &j.job) == NULL);
		CHECK(j.answer.uid > 0);
		arena_free(&a);
	}
	return NULL;
}

static void *look(void *context)
{
	struct person *p = context;
	u32 rows = 0;

	while (!atomic_load(p->stop)) {
		struct arena *a = arena_new(16 << 20);
		struct uid_range all = { .low = 1, .high = UINT32_MAX };
		struct office_mailbox_open_answer box = { .rows = 0 };
		struct office_message_fetch_answer r = { .count = 0 };
		struct office_message_fetch_request q = { .uids = &all,
							  .uids_n = 1,
							  .want = FETCH_BYTES };
		struct tx t;

		CHECK(store_read_begin(p->w->store, a, &t) == NULL);
		CHECK(store_mailbox_open(&t, p->w->account, S("INBOX"), false, &box) == NULL);
		q.mailbox = box.info.id;
		CHECK(store_message_fetch(&t, p->w->account, &q, &r) == NULL);
		store_read_end(&t);
		CHECK(box.rows >= rows && r.count == box.rows);
		rows = box.rows;
		arena_free(&a);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct world w;
	struct person writers[SUBMITTERS], readers[SUBMITTERS];
	atomic_bool stop = false;

	(void)state;
	world_new(&w);
	w.env = *env_system();
	writer_start(w.store);
	for (int i = 0; i < SUBMITTERS; i++) {
		writers[i] = (struct person){ .w = &w };
		make_draft(&w, 2000, (u32)i, &writers[i].draft);
		readers[i] = (struct person){ .w = &w, .stop = &stop };
	}
	for (int i = 0; i < SUBMITTERS; i++) {
		assert_int_equal(pthread_create(&writers[i].thread, NULL, submit, &writers[i]), 0);
		assert_int_equal(pthread_create(&readers[i].thread, NULL, look, &readers[i]), 0);
	}
	for (int i = 0; i < SUBMITTERS; i++)
		pthread_join(writers[i].thread, NULL);
	atomic_store(&stop, true);
	for (int i = 0; i < SUBMITTERS; i++)
		pthread_join(readers[i].thread, NULL);
	writer_stop(w.store);
	world_reopen(&w);
	{
		struct office_verify_answer v;
		struct tx t;

		must(store_read_begin(w.store, w.arena, &t));
		must(store_verify(&t, &v));
		store_read_end(&t);
		assert_int_equal(v.problem_count, 0);
		assert_int_equal(v.messages, SUBMITTERS * EACH);
	}
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_threads) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
