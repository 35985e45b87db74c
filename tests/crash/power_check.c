/*
 * Opens a store as the office does after a power cut, and says what is in it. Reads folders from stdin, one a line; answers for each:
 *   message ADDRESS UID NUMBER good|bad     a row of a mailbox; NUMBER 0: not one of the ledger's
 *   queued RECIPIENT NUMBER good|bad        an entry of the queue
 *   problem TEXT                            store_verify's, or why it could not be opened or read
 *   end
 * Built by power_test.py against libpostern.a.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fd.h"
#include "office/store/store.h"
#include "sql/sql.h"

enum { HASH_TEXT = 64, MESSAGE_MOST = 4 << 20 };

static void say_fail(const char *what, const struct fail *f)
{
	printf("problem %s: %.*s\n", what, STR_ARG(f->text));
}

static bool hash_is(const u8 *body, size_t n, const char *expected)
{
	u8 digest[32];
	char text[HASH_TEXT + 1];

	if (EVP_Digest(body, n, digest, NULL, EVP_sha256(), NULL) != 1)
		return false;
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return memcmp(text, expected, HASH_TEXT) == 0;
}

/* "NUMBER good", as its X-Ledger field says. */
static void say_body(struct tx *t, u64 id)
{
	static const char mark[] = "X-Ledger: ";
	static u8 bytes[MESSAGE_MOST + 1];
	const struct fail *f;
	u64 size, skeleton;
	int fd;
	const char *at, *body;
	char *hash;
	unsigned long number;

	f = store_body_get(t, id, &fd, &size, &skeleton);
	if (f || size > MESSAGE_MOST || pread(fd, bytes, size, 0) != (ssize_t)size) {
		printf("0 bad\n");
		return;
	}
	bytes[size] = 0;
	at = memmem(bytes, size, mark, sizeof mark - 1);
	body = memmem(bytes, size, "\r\n\r\n", 4);
	if (!at || !body) {
		printf("0 good\n");
		return;
	}
	number = strtoul(at + sizeof mark - 1, &hash, 10);
	body += 4;
	printf("%lu %s\n", number,
	       hash_is((const u8 *)body, size - (size_t)(body - (const char *)bytes), hash + 1) ? "good" : "bad");
}

static const struct fail *say_mailboxes(struct tx *t)
{
	struct query *q = SQL_QUERY0(t->db, "SELECT a.address, m.key, m.body_id FROM message_env m JOIN account a ON a.id = m.account_id");

	while (sql_row(q)) {
		str address = sql_str(q, t->arena);
		u64 key = sql_u64(q);
		u64 body = sql_u64(q);

		printf("message %.*s %u ", STR_ARG(address), (u32)key);
		say_body(t, body);
	}
	return sql_end(t->arena, q);
}

static const struct fail *say_queue(struct tx *t)
{
	struct query *q = SQL_QUERY0(t->db, "SELECT original, message_id FROM queue_entry");

	while (sql_row(q)) {
		str original = sql_str(q, t->arena);
		u64 id = sql_u64(q);

		printf("queued %.*s ", STR_ARG(original));
		say_body(t, id);
	}
	return sql_end(t->arena, q);
}

static void say_problems(struct tx *t)
{
	struct office_verify_answer r;
	const struct fail *f = store_verify(t, &r);

	if (f)
		say_fail("verify", f);
	for (size_t i = 0; !f && i < r.problems_n; i++)
		printf("problem %.*s\n", STR_ARG(r.problems[i]));
}

static void look(struct arena *a, const char *folder)
{
	const struct store_options o = { .folder = folder };
	struct store *s = NULL;
	const struct fail *f = store_open(a, &o, &s);
	struct tx t;

	if (!f)
		f = store_read_begin(s, a, &t);
	if (f) {
		say_fail("open", f);
		return;
	}
	f = say_mailboxes(&t);
	if (!f)
		f = say_queue(&t);
	if (f)
		say_fail("read", f);
	say_problems(&t);
	store_read_end(&t);
	store_close(&s);
}

int main(void)
{
	char folder[4096];

	while (fgets(folder, sizeof folder, stdin)) {
		struct arena *a = arena_new(256 << 20);

		folder[strcspn(folder, "\n")] = 0;
		look(a, folder);
		arena_free(&a);
		printf("end\n");
		fflush(stdout);
	}
	return 0;
}
