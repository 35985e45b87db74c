/*
 * verify and salvage. Verify asks the running office when there is one, else looks at the files itself; salvage only works on a store
 * that nobody runs.
 */
#include <errno.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/ctl_int.h"
#include "sql/sql.h"
#include "office/store/store.h"

static const char *store_folder(struct ctl *c)
{
	return cstr(c->arena, str_format(c->arena, "%.*s/store", STR_ARG(c->config->server_data)));
}

/*
 * Root works as the owner of the folder: what verify and salvage make must be the office's afterwards. The folder is entered first, since the
 * owner may not pass through those above it.
 */
static const struct fail *enter_as_owner(struct ctl *c, const char *folder)
{
	struct stat st;

	if (folder == NULL || chdir(folder) != 0 || stat(".", &st) != 0)
		return ctl_errno(c->arena, errno, "entering the store's folder");
	if (geteuid() != 0 || st.st_uid == 0)
		return NULL;
	if (setgroups(0, NULL) != 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) != 0 ||
	    setresuid(st.st_uid, st.st_uid, st.st_uid) != 0)
		return fail_errno(c->arena, errno, "becoming the owner of the store");
	return NULL;
}

static const struct fail *verify(struct ctl *c, struct office_verify_answer *r)
{
	struct office_verify_request q = { 0 };
	const struct fail *f = ctl_connect(c);

	if (f == NULL)
		return office_verify(c->arena, c->office, &q, r);
	if (f->what != FAIL_UNAVAILABLE)
		return f;
	TRY(enter_as_owner(c, store_folder(c)));
	sql_before_jail();
	return store_verify_folder(c->arena, ".", r);
}

enum exit_status ctl_verify(struct ctl *c)
{
	static const char *const columns[] = { "messages", "bytes", "problem_count", "problems" };
	struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));
	struct office_verify_answer r;
	const struct fail *f = verify(c, &r);

	if (f)
		return ctl_fail(c, f, "verify the store");
	listing_u64(l, r.messages);
	listing_u64(l, r.bytes);
	listing_u64(l, r.problem_count);
	listing_list(l, r.problems, r.problems_n);
	listing_print_one(l);
	if (r.problem_count == 0)
		return EXIT_OK;
	return ctl_error(c, EXIT_FAILED, "E1012", S("the store has problems"), STR_NONE,
			 S("restore a backup, or stop postern and: postern salvage"));
}

static enum exit_status say_salvaged(struct ctl *c, const struct salvage_report *r)
{
	static const char *const columns[] = { "accounts",    "mailboxes", "messages",
					       "undelivered", "unplaced",  "damaged" };
	struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));

	listing_u64(l, r->accounts);
	listing_u64(l, r->mailboxes);
	listing_u64(l, r->messages);
	listing_u64(l, r->undelivered);
	listing_u64(l, r->unplaced);
	listing_u64(l, r->damaged);
	listing_print_one(l);
	return EXIT_OK;
}

static const struct fail *salvage(struct ctl *c, struct salvage_report *r)
{
	TRY(ctl_config(c));
	TRY(enter_as_owner(c, store_folder(c)));
	sql_before_jail();
	return store_salvage(c->arena, ".", r);
}

enum exit_status ctl_salvage(struct ctl *c)
{
	struct salvage_report r;
	const struct fail *f;

	if (!ctl_confirm(c, S("salvage"),
			 "set the database aside and build a new one from the segments"))
		return EXIT_USAGE;
	f = salvage(c, &r);
	return f ? ctl_fail(c, f, "salvage the store") : say_salvaged(c, &r);
}
