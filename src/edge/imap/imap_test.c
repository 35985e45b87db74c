/* Whole sessions against a fake office: each command, its states and its errors. */
#include "base/unit.h"
#include "edge/imap/imap.h"
#include "text/imap_fetch.h"
#include "text/imap_search.h"
#include "edge/imap/imap_int.h"
#include "edge/talk_test.h"

/* Lines "> sent" (with CRLF), "- sent" (without), "< expected", separated by LF. */
static void talk(struct talk *t, const char *script)
{
	struct arena *a = arena_new(64 << 20);
	str rest = str_cstr(script), line;

	while (rest.n > 0) {
		size_t end = str_find(rest, '\n');
		str step = str_slice(rest, 0, end), text = str_skip(step, 2);

		rest = end == SIZE_MAX ? STR_NONE : str_skip(rest, end + 1);
		if (step.p[0] == '>' || step.p[0] == '-') {
			talk_send(t, text);
			if (step.p[0] == '>')
				talk_send(t, S("\r\n"));
			continue;
		}
		if (!talk_line(t, a, &line))
			fail_msg("the session ended, expected \"%.*s\"", STR_ARG(text));
		if (!talk_matches(text, line))
			fail_msg("got \"%.*s\", expected \"%.*s\"", STR_ARG(line), STR_ARG(text));
	}
	arena_free(&a);
}

#define LOGIN                                         \
	"< * OK [CAPABILITY IMAP4rev1 *AUTH=PLAIN*\n" \
	"> a login alice@example.test alice\n"        \
	"< a OK [CAPABILITY *UIDPLUS *] logged in\n"

#define SELECT "> a select inbox\n< *\n< *\n< *\n< *\n< *\n< *\n< *\n< *\n< a OK *\n"

static const char mail[] =
    "From: Joe <joe@example.test>\r\nTo: alice@example.test\r\n"
    "Subject: =?utf-8?q?Caf=C3=A9?=\r\nDate: Sat, 21 Nov 2026 19:25:07 +0100\r\n"
    "Message-ID: <1@example.test>\r\n\r\nHello World\r\n";
static const char mixed[] =
    "From: joe@example.test\r\nSubject: two\r\nDate: Sun, 1 Nov 2026 10:00:00 +0000\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    "R3L832U=\r\n" /* "Grüße" cut: Grü, e in latin-1 */
    "--b\r\nContent-Type: message/rfc822\r\n\r\n"
    "From: in@example.test\r\nSubject: inner\r\n\r\ninner text\r\n"
    "--b--\r\n";

/* The fixture of a test: an office, and one session. */
struct scene {
	struct fake *fake;
	struct arena *arena;
	struct talk talk;
	bool talks;
};

static int scene_new(void **state)
{
	struct fake *x = fake_new();
	struct scene *s = arena_new_of(x->peers.arena, struct scene);

	s->fake = x;
	s->arena = arena_new(256 << 20);
	*state = s;
	return 0;
}

static void scene_end(struct scene *s)
{
	if (s->talks)
		talk_end(&s->talk);
	s->talks = false;
}

/* The peer goes, and takes nothing of what was on its way. */
static void scene_cut(struct scene *s)
{
	close(s->talk.fd);
	pthread_join(s->talk.thread, NULL);
	buf_free(&s->talk.in);
	s->talks = false;
}

/* A session, after the one before has ended. */
static void scene_begin(struct scene *s, const char *script)
{
	scene_end(s);
	talk_start(&s->talk, s->fake, SERVICE_IMAP, &imap_protocol);
	s->talks = true;
	talk(&s->talk, script);
}

static int scene_free(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;

	scene_end(s);
	arena_free(&s->arena);
	fake_free(&x);
	return 0;
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_new, scene_free)

/* A session that has logged in, with three messages in INBOX. */
static void run(struct scene *s, const char *script)
{
	fake_fill(s->fake, "INBOX", str_cstr(mail), 2);
	fake_fill(s->fake, "INBOX", str_cstr(mixed), 1);
	scene_begin(s, LOGIN);
	talk(&s->talk, script);
}

static void before_login(void **state)
{
	struct scene *s = *state;

	scene_begin(
	    s,
	    "< * OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256] "
	    "imap.example.test ready\n"
	    "> a select inbox\n< a BAD not in this state\n"
	    "> \n< * BAD *\n> a\n< * BAD *\n> a nonsense\n< a BAD *\n> + noop\n< * BAD *\n"
	    "> a noop x\n< a BAD *\n> a noop\n< a OK *\n"
	    "> a id NIL\n< * ID (\"name\" \"Postern\")\n< a OK *\n"
	    "> a id (\"name\" \"x\" \"version\" NIL)\n< * ID *\n< a OK *\n"
	    "> a id ((\n< a BAD *\n"
	    "> a starttls\n< a NO [UNAVAILABLE] *\n"
	    "> a authenticate GSSAPI\n< a NO *\n"
	    "> a authenticate PLAIN\n< + \n> *\n< a BAD cancelled\n"
	    "> a authenticate PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3cm9uZw==\n< a NO [AUTHENTICATIONFAILED] *\n"
	    "> a login x y\n< a NO [AUTHENTICATIONFAILED] *\n"
	    "> a login {18}\n< + *\n- alice@example.test\n>  {5+}\n- alice\n> \n< a OK [CAPABILITY*\n"
	    "> a login x y\n< a BAD not in this state\n"
	    "> a logout\n< * BYE *\n< a OK *\n");
}

static void limits_before_login(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;

	scene_begin(s, "< * OK *\n"
		       "> a login {4097}\n< a BAD [TOOBIG] *\n"
		       "> a login {4294967295}\n< a BAD *\n"
		       "> a login {99999999999999999999999}\n< a BAD *\n"
		       "> a login {2147483648+}\n< a BAD *\n< * BYE *\n");
	scene_end(s);
	x->peers.config->login_plaintext = false;
	scene_begin(
	    s,
	    "< * OK [CAPABILITY *LOGINDISABLED]*\n> a login alice@example.test alice\n"
	    "< a NO [PRIVACYREQUIRED] *\n> a authenticate PLAIN AGE=\n< a NO [PRIVACYREQUIRED]*\n");
	scene_end(s);
	assert_int_equal(x->refusals, 1); /* one event, however often it tries */
	x->peers.config->login_plaintext = true;
	x->peers.crowded = true; /* RFC 5530 3: not INUSE, for nobody else holds anything */
	scene_begin(s, "< * OK *\n> a login alice@example.test alice\n< a NO [UNAVAILABLE] *\n");
	scene_end(s);
	x->peers.crowded = false;
	x->peers.config->limit_errors = 3;
	scene_begin(s, "< * OK *\n> x\n< * BAD *\n> x\n< * BAD *\n> x\n< * BAD *\n< * BYE *\n");
	scene_end(s);
	assert_int_equal(x->refusals, 2);
}

static void mailboxes(void **state)
{
	run(*state,
	    "> a create work/2026/\n< a OK *\n> a create Work\n< a OK *\n> a create work/2026\n< a NO [ALREADYEXISTS] *\n"
	    "> a create \"\"\n< a NO *\n> a create ../x\n< a OK *\n> a create a//b\n< a NO [CANNOT] *\n"
	    "> a create \"x&\"\n< a NO *\n> a create \"caf&AOk-\"\n< a OK *\n"
	    "> a create old (use (\\Archive))\n< a OK *\n> a create old2 (use (\\Flagged))\n< a NO [USEATTR] *\n"
	    "> a create old2 (use (\\Drafts \\Junk))\n< a NO [USEATTR] *\n> a create old2 (use (\\Drafts)\n< a BAD *\n"
	    "> a create old2 (use (Drafts))\n< a BAD *\n> a create old2 (use ())\n< a OK *\n> a delete old2\n< a OK *\n"
	    "> a list \"\" \"\"\n< * LIST (\\Noselect) \"/\" \"\"\n< a OK *\n"
	    "> a list \"\" %\n< * LIST (\\Noselect \\HasChildren) \"/\" \"..\"\n"
	    "< * LIST (\\HasNoChildren) \"/\" \"INBOX\"\n< * LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\n"
	    "< * LIST (\\HasNoChildren \\Trash) \"/\" \"Trash\"\n< * LIST (\\HasNoChildren) \"/\" \"Work\"\n"
	    "< * LIST (\\HasNoChildren) \"/\" \"caf&AOk-\"\n< * LIST (\\HasNoChildren \\Archive) \"/\" \"old\"\n"
	    "< * LIST (\\Noselect \\HasChildren) \"/\" \"work\"\n< a OK *\n"
	    "> a list work/ %\n< * LIST (\\HasNoChildren) \"/\" \"work/2026\"\n< a OK *\n"
	    "> a list \"\" inbo%\n< * \"INBOX\"\n< a OK *\n"
	    "> a subscribe work/2026\n< a OK *\n> a subscribe gone/x\n< a OK *\n"
	    "> a lsub \"\" *\n< * LSUB (\\Noselect) \"/\" \"gone/x\"\n< * LSUB () \"/\" \"work/2026\"\n< a OK *\n"
	    "> a lsub \"\" %\n< * LSUB (\\Noselect) \"/\" \"gone\"\n< * LSUB (\\Noselect) \"/\" \"work\"\n< a OK *\n"
	    "> a unsubscribe work/2026\n< a OK *\n"
	    "> a rename Work Play\n< a OK *\n> a rename Work Play\n< a NO [NONEXISTENT] *\n"
	    "> a rename INBOX saved\n< a OK *\n> a status saved (messages)\n< * STATUS \"saved\" (MESSAGES 3)\n< a OK *\n"
	    "> a status inbox (messages)\n< * STATUS \"INBOX\" (MESSAGES 0)\n< a OK *\n"
	    "> a delete Play\n< a OK *\n> a delete Play\n< a NO [NONEXISTENT] *\n> a delete Inbox\n< a NO [CANNOT] *\n"
	    "> a status Sent (messages uidnext unseen recent uidvalidity highestmodseq)\n"
	    "< * STATUS \"Sent\" (MESSAGES 0 RECENT 0 UIDNEXT 1 UIDVALIDITY 7 UNSEEN 0 HIGHESTMODSEQ *)\n< a OK *\n"
	    "> a status Sent ()\n< a BAD *\n> a status nix (messages)\n< a NO [NONEXISTENT] *\n"
	    "> a namespace\n< * NAMESPACE ((\"\" \"/\")) NIL NIL\n< a OK *\n"
	    "> a enable condstore x-foo\n< * ENABLED CONDSTORE\n< a OK *\n> a enable\n< a BAD *\n");
}

#define SELECTED_INBOX                                                                                \
	"> a select inbox\n< * FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)\n< * 3 EXISTS\n" \
	"< * 3 RECENT\n< * OK [UNSEEN 1] *\n< * OK [PERMANENTFLAGS (*\\*)] *\n"                       \
	"< * OK [UIDVALIDITY 7] *\n< * OK [UIDNEXT 4] *\n< * OK [HIGHESTMODSEQ 3] *\n"                \
	"< a OK [READ-WRITE] *\n"

static void selecting(void **state)
{
	run(*state,
	    "> a fetch 1 flags\n< a BAD not in this state\n> a select nix\n< a NO [NONEXISTENT] *\n" SELECTED_INBOX
	    "> a examine Sent\n< * OK [CLOSED] *\n< * FLAGS *\n< * 0 EXISTS\n< * 0 RECENT\n"
	    "< * OK [PERMANENTFLAGS ()] *\n< *\n< *\n< *\n< a OK [READ-ONLY] *\n"
	    "> a fetch 1:* flags\n< a OK *\n> a fetch 1 flags\n< a BAD *\n> a uid fetch 1:* flags\n< a OK *\n"
	    "> a store 1:* +flags \\Seen\n< a NO [READ-ONLY] *\n> a expunge\n< a NO [READ-ONLY] *\n"
	    "> a select nix\n< * OK [CLOSED] *\n< a NO *\n> a check\n< a BAD *\n"
	    "> a examine inbox (condstore)\n< *\n< * 3 EXISTS\n< * 0 RECENT\n< *\n< *\n< *\n< *\n< *\n< a OK *\n"
	    "> a unselect\n< a OK *\n> a close\n< a BAD *\n");
}

static void fetching(void **state)
{
	run(*state, SELECTED_INBOX
	    "> a fetch 1:2 (uid flags)\n< * 1 FETCH (UID 1 FLAGS (\\Recent))\n< * 2 FETCH (UID 2 FLAGS (\\Recent))\n< a OK *\n"
	    "> a uid fetch 3,2 rfc822.size\n< * 2 FETCH (UID 2 RFC822.SIZE 205)\n< * 3 FETCH (UID 3 RFC822.SIZE *)\n< a OK *\n"
	    "> a fetch 1 envelope\n< * 1 FETCH (ENVELOPE (\"Sat, 21 Nov 2026 19:25:07 +0100\" \"=?utf-8?q?Caf=C3=A9?=\" "
	    "((\"Joe\" NIL \"joe\" \"example.test\")) ((\"Joe\" NIL \"joe\" \"example.test\")) "
	    "((\"Joe\" NIL \"joe\" \"example.test\")) ((NIL NIL \"alice\" \"example.test\")) NIL NIL NIL "
	    "\"<1@example.test>\"))\n< a OK *\n"
	    "> a fetch 1 internaldate\n< * 1 FETCH (INTERNALDATE \"21-Nov-2026 *\")\n< a OK *\n"
	    "> a fetch 3 body\n< * 3 FETCH (BODY ((\"TEXT\" \"PLAIN\" (\"charset\" \"iso-8859-1\") NIL NIL \"base64\" 8 0)"
	    "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" * (NIL \"inner\" * NIL NIL NIL NIL NIL) "
	    "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 10 0) 3) \"MIXED\"))\n< a OK *\n"
	    "> a fetch 3 bodystructure\n< * 3 FETCH (BODYSTRUCTURE (* \"MIXED\" (\"boundary\" \"b\") NIL NIL NIL))\n< a OK *\n"
	    "> a fetch 1 body.peek[header.fields (subject to)]\n"
	    "< * 1 FETCH (BODY[HEADER.FIELDS (\"subject\" \"to\")] {*}\n< To: alice@example.test\n< Subject: *\n< \n< )\n< a OK *\n"
	    "> a fetch 1 body.peek[header.fields.not (from to date message-id return-path)]\n"
	    "< * 1 FETCH (BODY[HEADER.FIELDS.NOT (*)] {*}\n< Subject: *\n< \n< )\n< a OK *\n"
	    "> a fetch 1 body.peek[]<0.11>\n< * 1 FETCH (BODY[]<0> {11}\n< Return-Path)\n< a OK *\n"
	    "> a fetch 1 body.peek[]<33.8>\n< * 1 FETCH (BODY[]<33> {8}\n< \n< From: )\n< a OK *\n"
	    "> a fetch 1 body.peek[]<4294967295.1>\n< * 1 FETCH (BODY[]<4294967295> {0}\n< )\n< a OK *\n"
	    "> a fetch 1 body.peek[text]\n< * 1 FETCH (BODY[TEXT] {13}\n< Hello World\n< )\n< a OK *\n"
	    "> a fetch 1 body[1]\n< * 1 FETCH (BODY[1] {13}\n< Hello World\n<  FLAGS (\\Seen \\Recent))\n< a OK *\n"
	    "> a fetch 1 flags\n< * 1 FETCH (FLAGS (\\Seen \\Recent))\n< a OK *\n"
	    "> a fetch 3 (body.peek[1] body.peek[2.header] body.peek[2.1] body.peek[2.mime] body.peek[3] body.peek[1.2.3])\n"
	    "< * 3 FETCH (BODY[1] {8}\n< R3L832U= BODY[2.HEADER] {*}\n< From: in@example.test\n< Subject: inner\n< \n"
	    "<  BODY[2.1] {10}\n< inner text BODY[2.MIME] {*}\n< Content-Type: message/rfc822\n< \n"
	    "<  BODY[3] NIL BODY[1.2.3] NIL)\n< a OK *\n"
	    "> a fetch 2 rfc822.header\n< * 2 FETCH (RFC822.HEADER {*}\n< Return-Path: *\n< From: *\n< To: *\n< Subject: *\n"
	    "< Date: *\n< Message-ID: *\n< \n< )\n< a OK *\n"
	    "> a fetch 2 rfc822.text\n< * 2 FETCH (RFC822.TEXT {13}\n< Hello World\n<  FLAGS (\\Seen \\Recent))\n< a OK *\n"
	    "> a fetch 3 fast\n< * 3 FETCH (FLAGS * INTERNALDATE * RFC822.SIZE *)\n< a OK *\n"
	    "> a fetch 3 full\n< * 3 FETCH (FLAGS * INTERNALDATE * RFC822.SIZE * ENVELOPE * BODY *)\n< a OK *\n"
	    "> a fetch 4 flags\n< a BAD *\n> a fetch 0 flags\n< a BAD *\n> a fetch 1 (flags\n< a BAD *\n"
	    "> a fetch 1 body[mime]\n< a BAD *\n> a fetch 1 body[1.]\n< a BAD *\n> a fetch 1 flags x\n< a BAD *\n"
	    "> a uid fetch 99 flags\n< a OK *\n");
}

static void storing(void **state)
{
	run(*state, SELECTED_INBOX
	    "> a store 1 +flags (\\Seen work)\n< * FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft work)\n"
	    "< * 1 FETCH (FLAGS (\\Seen \\Recent work))\n< a OK *\n"
	    "> a store 1 -flags \\Seen\n< * 1 FETCH (FLAGS (\\Recent work))\n< a OK *\n"
	    "> a store 1 flags.silent \\Flagged\n< a OK *\n"
	    "> a uid store 1:2 flags ()\n< * 1 FETCH (UID 1 FLAGS (\\Recent))\n< * 2 FETCH (UID 2 FLAGS (\\Recent))\n< a OK *\n"
	    "> a store 1 +flags \\Recent\n< a BAD *\n> a store 1 +flags\n< a BAD *\n> a store 9 +flags x\n< a BAD *\n"
	    "> a uid store 9 +flags x\n< a OK *\n"
	    "> a store 1:3 (unchangedsince 3) +flags.silent \\Seen\n< * OK [HIGHESTMODSEQ *\n< * 3 FETCH (UID 3 MODSEQ (*))\n"
	    "< a OK [MODIFIED 1:2] *\n"
	    "> a fetch 3 (flags modseq)\n< * 3 FETCH (FLAGS (\\Seen \\Recent) MODSEQ (*))\n< a OK *\n"
	    "> a fetch 1:* flags (changedsince 7)\n< * 3 FETCH (MODSEQ (*) FLAGS *)\n< a OK *\n");
}

static void expunging(void **state)
{
	run(*state, SELECTED_INBOX
	    "> a store 1,3 +flags.silent \\Deleted\n< a OK *\n"
	    "> a uid expunge 2:3\n< * 3 EXPUNGE\n< a OK *\n"
	    "> a expunge\n< * 1 EXPUNGE\n< a OK *\n> a expunge\n< a OK *\n"
	    "> a fetch 1:* uid\n< * 1 FETCH (UID 2)\n< a OK *\n"
	    "> a copy 1 Sent\n< a OK [COPYUID 7 2 1] *\n> a copy 1 nix\n< a NO [TRYCREATE] *\n"
	    "> a copy 1 inbox\n< * 2 EXISTS\n< * 2 RECENT\n< a OK [COPYUID 7 2 4] *\n"
	    "> a move 1:2 Trash\n< * OK [COPYUID 7 2,4 1:2] *\n< * 2 EXPUNGE\n< * 1 EXPUNGE\n< a OK *\n"
	    "> a uid move 1 Trash\n< a OK *\n"
	    "> a close\n< a OK *\n> a status Trash (messages)\n< * STATUS \"Trash\" (MESSAGES 2)\n< a OK *\n");
}

static void searching(void **state)
{
	run(*state, SELECTED_INBOX
	    "> a search all\n< * SEARCH 1 2 3\n< a OK *\n> a uid search 2:*\n< * SEARCH 2 3\n< a OK *\n"
	    "> a search seen\n< * SEARCH\n< a OK *\n> a search not (or 1 3)\n< * SEARCH 2\n< a OK *\n"
	    "> a search subject \"CAF{\"\n< * SEARCH\n< a OK *\n"
	    "> a search charset utf-8 subject {5}\n< + *\n- CAF\xC3\x89\n> \n< * SEARCH 1 2\n< a OK *\n"
	    "> a search from joe text world\n< * SEARCH 1 2\n< a OK *\n> a search body \"gr\xC3\xBC\"\n< * SEARCH 3\n< a OK *\n"
	    "> a search header message-id \"\"\n< * SEARCH 1 2\n< a OK *\n> a search body inner\n< * SEARCH 3\n< a OK *\n"
	    "> a search sentbefore 2-Nov-2026\n< * SEARCH 3\n< a OK *\n> a search senton 21-Nov-2026\n< * SEARCH 1 2\n< a OK *\n"
	    "> a search on 21-Nov-2026 larger 100 smaller 300\n< * SEARCH 1 2\n< a OK *\n"
	    "> a search since 22-Nov-2026\n< * SEARCH\n< a OK *\n> a search uid 3\n< * SEARCH 3\n< a OK *\n"
	    "> a search new\n< * SEARCH 1 2 3\n< a OK *\n> a search old\n< * SEARCH\n< a OK *\n"
	    "> a search modseq 2\n< * OK [HIGHESTMODSEQ *\n< * SEARCH 2 3 (MODSEQ 3)\n< a OK *\n"
	    "> a search charset latin1 all\n< a NO [BADCHARSET (*\n> a search\n< a BAD *\n> a search (all\n< a BAD *\n"
	    "> a search all)\n< a BAD *\n> a search not\n< a BAD *\n> a search xyzzy\n< a BAD *\n"
	    "> a search keyword work unkeyword x\n< * SEARCH\n< a OK *\n");
}

static void appending(void **state)
{
	run(*state,
	    "> a append Sent (\\Seen work) \"01-Nov-2026 10:00:00 +0000\" {14}\n< + *\n> Subject: x\n> \n> \n"
	    "< a OK [APPENDUID 7 1] *\n"
	    "> a append {4+}\n- Sent\n>  {14+}\n> Subject: y\n> \n> \n< a OK [APPENDUID 7 2] *\n"
	    "> a append nix {14}\n< a NO [TRYCREATE] *\n> a append Sent {99999999999}\n< a NO [TOOBIG] *\n"
	    "> a append Sent {0}\n< a NO *\n> a append Sent\n< a BAD *\n> a append Sent (\\Recent) {4}\n< + *\n- abcd\n> \n< a BAD *\n"
	    "> a append nix {14+}\n> Subject: z\n> \n> \n< a NO [TRYCREATE] *\n"
	    "> a append Sent {14+}\n> Subject: z\n> \n>  {3+}\n- abc\n> \n< a BAD one message *\n"
	    "> a noop\n< a OK *\n"
	    "> a select Sent\n< *\n< * 2 EXISTS\n< *\n< *\n< *\n< *\n< *\n< *\n< a OK *\n"
	    "> a fetch 1 (flags internaldate)\n< * 1 FETCH (FLAGS (\\Seen \\Recent work) INTERNALDATE \" 1-Nov-2026 10:00:00 +0000\")\n"
	    "< a OK *\n"
	    "> a append Sent {14+}\n> Subject: z\n> \n> \n< * 3 EXISTS\n< * 3 RECENT\n< a OK [APPENDUID 7 3] *\n"
	    "> a append Sent \" 9-Nov-1969 10:00:00 +0000\" {14+}\n> Subject: z\n> \n> \n< * 4 EXISTS\n< * 4 RECENT\n< a OK *\n"
	    "> a fetch 4 internaldate\n< * 4 FETCH (INTERNALDATE \" 1-Jan-1970 00:00:00 +0000\")\n< a OK *\n");
}

static void two_sessions(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct talk *t = &s->talk, u;

	fake_fill(x, "INBOX", str_cstr(mail), 3);
	scene_begin(s, LOGIN SELECTED_INBOX);
	talk_start(&u, x, SERVICE_IMAP, &imap_protocol);
	talk(
	    &u, LOGIN
	    "> b select inbox\n< *\n< * 3 EXISTS\n< * 0 RECENT\n< *\n< *\n< *\n< *\n< *\n< b OK *\n"
	    "> b store 1 +flags \\Flagged\n< * 1 FETCH (FLAGS (\\Flagged))\n< b OK *\n"
	    "> b store 2 +flags \\Deleted\n< *\n< b OK *\n> b expunge\n< * 2 EXPUNGE\n< b OK *\n");
	/* Numbers hold still in FETCH, STORE and SEARCH, whatever was asked of the office. */
	talk(
	    t,
	    "> a store 3 +flags \\Seen\n< * 1 FETCH (FLAGS (\\Flagged \\Recent))\n< * 3 FETCH (FLAGS (\\Seen \\Recent))\n"
	    "< a OK *\n> a fetch 2 body.peek[]\n< a NO [EXPUNGEISSUED] *\n> a store 2 +flags \\Seen\n< a NO [EXPUNGEISSUED] *\n"
	    "> a search all\n< * SEARCH 1 3\n< a OK *\n> a noop\n< * 2 EXPUNGE\n< a OK *\n"
	    "> a fetch 2 uid\n< * 2 FETCH (UID 3)\n< a OK *\n");
	x->forgetful = true;
	talk(
	    &u,
	    "> b uid store 3 flags.silent \\Deleted\n< b OK *\n> b expunge\n< * 2 EXPUNGE\n< b OK *\n"
	    "> b append inbox {14+}\n> Subject: z\n> \n> \n< * 2 EXISTS\n< *\n< b OK *\n");
	talk(t, "> a noop\n< * 2 EXPUNGE\n< * 2 EXISTS\n< * 2 RECENT\n< a OK *\n");
	talk(
	    &u,
	    "> b store 1 +flags.silent (fresh)\n< * FLAGS *\n< *\n< b OK *\n"); /* a name that is new, too */
	talk(t, "> a noop\n< * FLAGS (* fresh)\n< * 1 FETCH (FLAGS (* fresh))\n< a OK *\n");
	x->forgetful = false;
	/* IDLE: told at once on a notice. */
	talk(t, "> a idle\n< + idling\n");
	talk(&u, "> b append inbox {14+}\n> Subject: z\n> \n> \n< * 3 EXISTS\n< *\n< b OK *\n");
	talk_end(&u);
}

/* RFC 3501 6.4.7, 6.4.8: a COPY by number is of all messages that it names or of none; a UID that is no more is passed over. */
static void copy_what_went(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct talk *t = &s->talk, u;

	fake_fill(x, "INBOX", str_cstr(mail), 3);
	scene_begin(s, LOGIN SELECTED_INBOX);
	talk_start(&u, x, SERVICE_IMAP, &imap_protocol);
	talk(&u, LOGIN
	     "> b select inbox\n< *\n< *\n< *\n< *\n< *\n< *\n< *\n< *\n< b OK *\n"
	     "> b store 2 +flags \\Deleted\n< *\n< b OK *\n> b expunge\n< * 2 EXPUNGE\n< b OK *\n");
	talk(t, "> a copy 1:3 Sent\n< * 2 EXPUNGE\n< a NO [EXPUNGEISSUED] *\n"
		"> a status Sent (messages)\n< * STATUS \"Sent\" (MESSAGES 0)\n< a OK *\n"
		"> a copy 1:2 Sent\n< a OK [COPYUID 7 1,3 1:2] *\n"
		"> a uid copy 2:3 Sent\n< a OK [COPYUID 7 3 3] *\n");
	talk_end(&u);
}

/* RFC 7162 3.1: who knows of mod-sequences hears that of a message which this FETCH set \Seen, whether it asked for FLAGS or not. */
static void seen_by_fetch(void **state)
{
	run(*state,
	    "> a select inbox (condstore)\n< *\n< *\n< *\n< *\n< *\n< *\n< *\n< *\n< a OK *\n"
	    "> a fetch 1 (flags body[1]<0.1>)\n< * 1 FETCH (FLAGS (\\Seen \\Recent) BODY[1]<0> {1}\n< H)\n"
	    "< * 1 FETCH (UID 1 MODSEQ (*))\n< a OK *\n"
	    "> a fetch 2 body[1]<0.1>\n< * 2 FETCH (BODY[1]<0> {1}\n< H FLAGS (\\Seen \\Recent))\n"
	    "< * 2 FETCH (UID 2 FLAGS (\\Seen \\Recent) MODSEQ (*))\n< a OK *\n");
}

static void idling(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct talk *t = &s->talk;

	fake_fill(x, "INBOX", str_cstr(mail), 3);
	scene_begin(s, LOGIN SELECTED_INBOX "> a idle\n< + idling\n");
	fake_fill(x, "INBOX", str_cstr(mail), 1);
	talk(
	    t,
	    "> !notice\n< * 4 EXISTS\n< * 4 RECENT\n> DONE\n< a OK *\n> a idle\n< + idling\n> x\n< a BAD *\n> a noop\n< a OK *\n");
}

/* The mailbox goes while it is open: there is nothing left to speak of. */
static void deleted(void **state)
{
	run(*state, "> a select Sent\n< *\n< *\n< *\n< *\n< *\n< *\n< *\n< a OK *\n"
		    "> a delete Sent\n< a OK *\n< * BYE *\n");
}

/* One that we did not hear of in time is in the office's table all the same. */
static void watches_are_ended(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;

	fake_fill(x, "INBOX", str_cstr(mail), 3);
	for (int blind = 0; blind < 2; blind++) {
		scene_end(s);
		x->blind = blind;
		scene_begin(s, LOGIN SELECT);
		assert_int_equal(x->watches, 1);
		talk(&s->talk, "> a close\n< a OK *\n");
		assert_int_equal(x->watches, 0);
	}
}

/* It may be found when IDLE begins: nobody is left waiting for news of what is no more. */
static void idle_in_what_is_no_more(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct talk *t = &s->talk;

	fake_fill(x, "INBOX", str_cstr(mail), 3);
	scene_begin(s, LOGIN SELECTED_INBOX);
	x->expired = true;
	talk(t, "> a idle\n< + idling\n< * BYE log in again\n");
}

/* A login does not hold for ever (24 hours; a new password, a suspension). Who waits in IDLE would hear nothing more, and who asks only NO. */
static void login_over(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	static const char *const after[] = {
		"> !notice\n< * BYE log in again\n",
		"> DONE\n< a OK *\n> a status inbox (messages)\n< a NO [AUTHENTICATIONFAILED] log in again\n"
		"< * BYE log in again\n"
	};

	fake_fill(x, "INBOX", str_cstr(mail), 3);
	for (size_t i = 0; i < ARRAY_LEN(after); i++) {
		scene_end(s);
		x->expired = false;
		scene_begin(s, LOGIN SELECT "> a idle\n< + idling\n");
		x->expired = true;
		talk(&s->talk, after[i]);
	}
}

/* What cannot be done now is no error of the client's, however its literal came. */
static void refused_is_no_error(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct talk *t = &s->talk;

	x->peers.config->limit_errors = 3;
	scene_begin(s, LOGIN);
	for (int k = 0; k < 5; k++)
		talk(t, "> a append nix {14+}\n> Subject: z\n> \n> \n< a NO [TRYCREATE] *\n");
	talk(t, "> a noop\n< a OK *\n");
}

/* A literal that comes though it was refused is dropped, and what stands behind it is no command (RFC 7888 4). */
static void refused_literals(void **state)
{
	struct scene *s = *state;
	struct arena *a = s->arena;
	struct buf *b = buf_new(a, 1 << 20);
	struct talk *t = &s->talk;

	scene_begin(s, LOGIN "> a list \"\" {70000}\n< a BAD [TOOBIG] *\n> a list \"\" {70000+}\n");
	for (int k = 0; k < 7000; k++)
		buf_add(b, S("b NOOP  \r\n"));
	talk_send(t, buf_str(b));
	talk(t, "> b LOGOUT {3+}\n- abc\n> c LOGOUT\n< a BAD [TOOBIG] *\n> d noop\n< d OK *\n"
		"> a list \"\" {1048577+}\n< a BAD [TOOBIG] *\n< * BYE *\n");
}

/* A peer that reads nothing: what it asked for waits in the office, not here. */
static void slow_reader(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct buf *b = buf_new(s->arena, 8 << 20);
	unsigned fetches;

	buf_add(b, S("Subject: large\r\n\r\n"));
	while (b->n < (4u << 20))
		buf_add(b, S("a line of a large message\r\n"));
	fake_fill(x, "INBOX", buf_str(b), 200); /* 800 MiB, if they were all taken */
	scene_begin(s, LOGIN SELECT "> a fetch 1:* body.peek[]\n");
	usleep(300 * 1000);
	fetches = x->fetches;
	assert_in_range(fetches, 1, 4);
	usleep(100 * 1000);
	assert_int_equal(x->fetches, fetches);
	scene_cut(s);
}

/* A large message goes out in windows, byte for byte; many envelopes cost little. */
static void large(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct arena *a = s->arena;
	struct buf *b = buf_new(a, 8 << 20);
	struct talk *t = &s->talk;
	str line, literal;

	buf_add(b, S("Subject: large\r\n\r\n"));
	for (u32 k = 0; b->n < (3u << 20); k++)
		buf_printf(b, "line %u of a large message\r\n", k);
	fake_fill(x, "INBOX", buf_str(b), 1);
	fake_fill(x, "INBOX", str_cstr(mail), 1);
	scene_begin(s, LOGIN SELECT "> a fetch 1:2 (body.peek[] rfc822.size)\n");
	assert_true(talk_line(t, a, &line));
	assert_str(line, str_format(a, "* 1 FETCH (BODY[] {%zu}", b->n + FAKE_PREFIX + 1));
	while (t->in.n < b->n + FAKE_PREFIX + 1)
		assert_true(talk_read(t));
	literal = str_slice(buf_str(&t->in), FAKE_PREFIX + 1, FAKE_PREFIX + 1 + b->n);
	assert_true(str_eq(literal, buf_str(b)));
	buf_drop(&t->in, b->n + FAKE_PREFIX + 1);
	talk(
	    t,
	    "<  RFC822.SIZE *)\n< * 2 FETCH (BODY[] {205}\n< *\n< *\n< *\n< *\n< *\n< *\n< \n< Hello World\n<  RFC822.SIZE 205)\n< a OK *\n"
	    "> a fetch 1 (body.peek[text]<100000.20> body.peek[header])\n< * 1 FETCH (BODY[TEXT]<100000> {20}\n");
}

/* The rest of a message that cannot be read now is not made up, nor is it searched as if it were not there. */
static void away_in_the_midst(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct arena *a = s->arena;
	struct buf *b = buf_new(a, 8 << 20);
	struct talk *t = &s->talk;
	str line;

	buf_add(b, S("Subject: large\r\n\r\n"));
	while (b->n < (3u << 20))
		buf_add(b, S("a line of a large message\r\n"));
	fake_fill(x, "INBOX", buf_str(b), 1);
	scene_begin(s, LOGIN SELECT);
	x->blind = true;
	talk(t, "> b search body nowhere\n< b NO [UNAVAILABLE] *\n"
		"> a fetch 1 body.peek[]\n");
	while (talk_read(t))
		;
	line = buf_str(&t->in);
	assert_true(line.n < b->n);
	assert_int_equal(str_find_str(line, S("  ")), SIZE_MAX);
	assert_int_equal(str_find_str(line, S("\r\na ")), str_find_str(line, S("\r\na line")));
}

/* The next batch is asked for while one is printed: wherever the set has holes and messages are gone, each that is left is told of
 * once, in order. */
static void batches(void **state)
{
	static const u32 ranges[][2] = { { 1, 1 }, { 3, 6000 }, { 6002, 6002 }, { 7000, 20000 } };
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct arena *a = s->arena;
	struct talk *t = &s->talk, u;
	str line;

	fake_fill(x, "INBOX", str_cstr(mail), 20000);
	scene_begin(s, LOGIN SELECT);
	talk_start(&u, x, SERVICE_IMAP, &imap_protocol);
	talk(
	    &u, LOGIN SELECT
	    "> a store 3000:3009,19990:* +flags.silent \\Deleted\n< a OK *\n> a close\n< a OK *\n");
	talk_end(&u);
	talk(t, "> a fetch 1,3:6000,6002,7000:* (envelope)\n");
	for (size_t r = 0; r < ARRAY_LEN(ranges); r++)
		for (u32 n = ranges[r][0]; n <= ranges[r][1]; n++) {
			if ((n >= 3000 && n <= 3009) || n >= 19990)
				continue;
			assert_true(talk_line(t, a, &line));
			assert_true(str_starts(line, str_format(a, "* %u FETCH (ENVELOPE (", n)));
		}
	talk(t, "< a NO [EXPUNGEISSUED] *\n> a fetch 1:* (envelope)\n< * 1 FETCH *\n");
}

static void many(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct arena *a = s->arena;
	struct talk *t = &s->talk;
	u32 seen = 0;
	str line;

	fake_fill(x, "INBOX", str_cstr(mail), 20000);
	scene_begin(s,
		    LOGIN SELECT "> a fetch 1:* (uid flags internaldate rfc822.size envelope)\n");
	while (talk_line(t, a, &line) && line.p[0] == '*') {
		seen++;
		assert_true(
		    str_starts(line, str_format(a, "* %u FETCH (UID %u FLAGS", seen, seen)));
	}
	assert_int_equal(seen, 20000);
	talk(t,
	     "> a store 1:* +flags.silent \\Deleted\n< a OK *\n> a expunge\n< * 20000 EXPUNGE\n");
	for (seen = 1; talk_line(t, a, &line) && line.p[0] == '*';)
		seen++;
	assert_int_equal(seen, 20000);
	talk(t, "> a fetch 1 flags\n< a BAD *\n");
}

/* A field as long as a header may be, looked at by a thousand keys; and bodies by more than anybody asks for. */
static void search_is_bounded(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct buf *mail_long = buf_new(x->peers.arena, 1 << 20),
		   *line = buf_new(x->peers.arena, 1 << 20);
	struct talk *t = &s->talk;

	buf_add(mail_long, S("From: a@example.test\r\nX: "));
	while (mail_long->n < 250000)
		buf_add(mail_long, S("some words and more "));
	buf_add(mail_long, S("\r\n\r\nx\r\n"));
	fake_fill(x, "INBOX", buf_str(mail_long), 1);
	scene_begin(s, LOGIN
		    "> b select inbox\n< * FLAGS *\n< * EXISTS\n< * RECENT\n< * OK [UNSEEN *\n"
		    "< * OK [PERM*\n< * OK [UIDV*\n< * OK [UIDN*\n< * OK [HIGH*\n< b OK *\n");
	assert_int_equal(setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO,
				    &(struct timeval){ .tv_sec = 60 }, sizeof(struct timeval)),
			 0);
	buf_add(line, S("c search"));
	for (int k = 0; k < 600; k++)
		buf_add(line, S(" header x zzz"));
	buf_add(line, S("\r\n"));
	talk_send(t, buf_str(line));
	talk(t, "< * SEARCH\n< c OK *\n");
	buf_reset(line);
	buf_add(line, S("d search"));
	for (int k = 0; k <= IMAP_SEARCH_BODIES; k++)
		buf_add(line, S(" body x"));
	buf_add(line, S("\r\n"));
	talk_send(t, buf_str(line));
	talk(t, "< d NO [LIMIT] *\n> e logout\n< * BYE *\n< e OK *\n");
}

/* "c search 1:ROWS KEY KEY ...": its answer begins like this. */
static void search_many(struct talk *t, u32 rows, u32 keys, const char *key, const char *answer)
{
	struct arena *a = arena_new(1 << 20);
	struct buf *line = buf_new(a, 1 << 20);

	buf_printf(line, "c search 1:%u", rows);
	for (u32 k = 0; k < keys; k++)
		buf_printf(line, " %s", key);
	buf_add(line, S("\r\n"));
	talk_send(t, buf_str(line));
	talk(t, answer);
	arena_free(&a);
}

/* Keys times messages, at the limit and beyond (THREATS I06): told at once, and the session goes on. */
static void search_work(void **state)
{
	enum { KEYS = 990, ROWS = IMAP_SEARCH_LOOKS / KEYS, MANY = 40000 };
	/* One set, and of each further key a node for itself and one for AND. */
	enum { SEEN = (IMAP_SEARCH_STEPS / MANY - 1) / 2 };
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct talk *t = &s->talk;

	fake_fill(x, "INBOX", str_cstr(mail), MANY);
	fake_fill(x, "Sent", str_cstr(mail), ROWS + 1);
	scene_begin(s, LOGIN "> a select Sent\n< *\n< *\n< *\n< *\n< *\n< *\n< *\n< *\n< a OK *\n");
	assert_int_equal(setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO,
				    &(struct timeval){ .tv_sec = 60 }, sizeof(struct timeval)),
			 0);
	search_many(t, ROWS, KEYS, "header x y", "< * SEARCH\n< c OK *\n");
	search_many(t, ROWS + 1, KEYS, "header x y", "< c NO [LIMIT] *\n");
	search_many(t, 1000, IMAP_SEARCH_BODIES, "body y", "< * SEARCH\n< c OK *\n");
	talk(t, "> a unselect\n< a OK *\n" SELECT);
	search_many(t, MANY, 1000, "header x y", "< c NO [LIMIT] *\n");
	search_many(t, MANY, IMAP_SEARCH_LOOKS_ANY, "header x y", "< * SEARCH\n< c OK *\n");
	search_many(t, MANY, IMAP_SEARCH_BODIES, "body y", "< c NO [LIMIT] *\n");
	search_many(t, MANY, SEEN, "seen", "< * SEARCH\n< c OK *\n");
	search_many(t, MANY, SEEN + 1, "seen", "< c NO [LIMIT] *\n");
	talk(t, "> d noop\n< d OK *\n");
}

/* THREATS I09: long names, and a pattern that looks at all of each. */
static void list_work(void **state)
{
	enum { BOXES = 300, NAME = 900, BYTES = BOXES * NAME + 5 + 4 + 5 };
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct arena *a = x->peers.arena;
	struct buf *line = buf_new(a, 4096);
	struct talk *t = &s->talk;

	for (u32 k = 0; k < BOXES; k++)
		fake_create(x, str_format(a, "%0*u", NAME, k), 0);
	scene_begin(s, LOGIN);
	for (u32 more = 0; more < 2; more++) {
		buf_reset(line);
		buf_add(line, S("c list \"\" z"));
		for (u32 k = 1; k < IMAP_LIST_STEPS / BYTES + more; k++)
			buf_add_byte(line, '*');
		buf_add(line, S("\r\n"));
		talk_send(t, buf_str(line));
		talk(t, more ? "< c NO [LIMIT] *\n" : "< c OK *\n");
	}
	talk(t, "> d list \"\" Sen%\n< * LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"\n< d OK *\n");
}

/* So many names, in any order and case, and each is found; one more is refused. */
static void many_field_names(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct buf *line = buf_new(x->peers.arena, 1 << 20);
	struct talk *t = &s->talk;

	fake_fill(x, "INBOX", str_cstr(mail), 1);
	scene_begin(s, LOGIN SELECT);
	for (u32 more = 0; more < 2; more++) {
		buf_reset(line);
		buf_add(line, S("c fetch 1 (body.peek[header.fields (SUBJECT"));
		for (u32 k = 2; k < IMAP_FIELDS / 2; k++)
			buf_printf(line, " x%u", k * 7919 % 1000);
		buf_add(line, S(" froM)] body.peek[header.fields.not (subject date message-id"));
		for (u32 k = 3; k < IMAP_FIELDS / 2 + more; k++)
			buf_add(line, S(" y"));
		buf_add(line, S(")])\r\n"));
		talk_send(t, buf_str(line));
		talk(
		    t,
		    more
			? "< c BAD *\n"
			: "< * 1 FETCH (*\n< From: Joe *\n< Subject: *\n< \n"
			  "<  BODY*\n< Return-Path: *\n< From: Joe *\n< To: *\n< \n< )\n< c OK *\n");
	}
}

/* Each of many messages named a hundred times: more than one turn may say, so it is said in several. */
static void fetch_is_bounded(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct buf *body = buf_new(x->peers.arena, 1 << 20),
		   *line = buf_new(x->peers.arena, 1 << 20);
	struct arena *a = s->arena;
	size_t literals = 0;
	struct talk *t = &s->talk;
	str got;

	buf_add(body, S("From: a@example.test\r\n\r\n"));
	for (int k = 0; k < 15900; k++)
		buf_add_byte(body, 'x');
	fake_fill(x, "INBOX", buf_str(body), 45);
	scene_begin(s, LOGIN
		    "> b select inbox\n< * FLAGS *\n< * EXISTS\n< * RECENT\n< * OK [UNSEEN *\n"
		    "< * OK [PERM*\n< * OK [UIDV*\n< * OK [UIDN*\n< * OK [HIGH*\n< b OK *\n");
	buf_add(line, S("c fetch 1:45 (BODY[TEXT]"));
	for (int k = 1; k < IMAP_ATTRIBUTES; k++)
		buf_add(line, S(" BODY.PEEK[TEXT]"));
	buf_add(line, S(")\r\n"));
	talk_send(t, buf_str(line));
	while (talk_line(t, a, &got) && !str_starts(got, S("c "))) {
		literals += got.n > 0 && got.p[got.n - 1] == '}';
		arena_reset(a);
	}
	assert_true(str_starts(got, S("c OK")));
	assert_int_equal(literals, 45 * IMAP_ATTRIBUTES);
	for (u32 k = 0; k < 45; k++)
		assert_true(fake_find(x, S("INBOX"))->messages[k].row.flags & FLAG_SEEN);
}

/* A client that only closed its half still gets its answer, however slowly it reads. */
static void half_closed(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct arena *a = s->arena;
	int small = 4096;
	struct talk *t = &s->talk;
	str got = STR_NONE;

	fake_fill(x, "INBOX", str_cstr(mail), 3000);
	scene_begin(s, LOGIN
		    "> b select inbox\n< * FLAGS *\n< * EXISTS\n< * RECENT\n< * OK [UNSEEN *\n"
		    "< * OK [PERM*\n< * OK [UIDV*\n< * OK [UIDN*\n< * OK [HIGH*\n< b OK *\n");
	assert_int_equal(setsockopt(t->other, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	talk_send(t, S("c search all\r\n"));
	shutdown(t->fd, SHUT_WR);
	usleep(200 * 1000);
	while (talk_line(t, a, &got) && !str_starts(got, S("c ")))
		;
	assert_true(str_starts(got, S("c OK")));
}

/* A skeleton that cannot be read, alone in its batch: the next is told of all the same. */
static void damaged(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;
	struct buf *header = buf_new(x->peers.arena, 1 << 20);

	buf_add(header, S("From: a@example.test\r\n"));
	while (header->n < 200000)
		buf_printf(header, "X: %0900d\r\n", 1);
	buf_add(header, S("\r\nx\r\n"));
	fake_fill(x, "INBOX", buf_str(header), 2);
	fake_find(x, S("INBOX"))->messages[0].skeleton =
	    str_from(arena_alloc(x->peers.arena, 700 * 1024), 700 * 1024);
	scene_begin(s, LOGIN
		    "> b select inbox\n< * FLAGS *\n< * EXISTS\n< * RECENT\n< * OK [UNSEEN *\n"
		    "< * OK [PERM*\n< * OK [UIDV*\n< * OK [UIDN*\n< * OK [HIGH*\n< b OK *\n"
		    "> c fetch 1:2 (envelope body.peek[header.fields (from)])\n"
		    "< * 2 FETCH (ENVELOPE (*) BODY[HEADER.FIELDS (*)] {24}\n"
		    "< From: a@example.test\n< \n< )\n< c NO [CORRUPTION] *\n");
}

/* Bodies that the office cannot read, among others and alone: they are not gone, and the session goes on. What needs no body is told. */
static void damaged_bodies(void **state)
{
	struct scene *s = *state;
	struct fake *x = s->fake;

	fake_fill(x, "INBOX", str_cstr(mail), 3);
	fake_find(x, S("INBOX"))->messages[1].damaged = true;
	scene_begin(s, LOGIN SELECT
		    "> c fetch 1:3 (uid body.peek[header.fields (from)])\n"
		    "< * 1 FETCH (UID 1 BODY*\n< From: *\n< \n< )\n"
		    "< * 3 FETCH (UID 3 BODY*\n< From: *\n< \n< )\n< c NO [CORRUPTION] *\n"
		    "> d fetch 2 body[]\n< d NO [CORRUPTION] *\n"
		    "> e fetch 2 (uid envelope)\n< * 2 FETCH (UID 2 ENVELOPE *\n< e OK *\n"
		    "> g search text world\n< * SEARCH 1 3\n< g OK *\n"
		    "> h search 2 text world\n< * SEARCH\n< h OK *\n"
		    "> f uid fetch 2 flags\n< * 2 FETCH (UID 2 FLAGS (\\Recent))\n< f OK *\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(before_login),
		SCENE(limits_before_login),
		SCENE(mailboxes),
		SCENE(selecting),
		SCENE(fetching),
		SCENE(storing),
		SCENE(expunging),
		SCENE(searching),
		SCENE(appending),
		SCENE(two_sessions),
		SCENE(copy_what_went),
		SCENE(seen_by_fetch),
		SCENE(idling),
		SCENE(deleted),
		SCENE(login_over),
		SCENE(watches_are_ended),
		SCENE(idle_in_what_is_no_more),
		SCENE(refused_literals),
		SCENE(refused_is_no_error),
		SCENE(slow_reader),
		SCENE(large),
		SCENE(many),
		SCENE(away_in_the_midst),
		SCENE(batches),
		SCENE(search_is_bounded),
		SCENE(search_work),
		SCENE(list_work),
		SCENE(many_field_names),
		SCENE(fetch_is_bounded),
		SCENE(damaged),
		SCENE(damaged_bodies),
		SCENE(half_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
