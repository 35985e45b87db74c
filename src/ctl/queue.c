/* queue commands: what waits, and what was tried. */
#include "base/id.h"
#include "ctl/ctl_int.h"
#include "office/event.h"

/* The last one is for programs that ask for one message; people see its events below. */
static const char *const queue_columns[] = { "id",         "state",   "sender",   "recipient",
					     "size",       "arrived", "attempts", "next_attempt",
					     "last_reply", "tried" };
enum { QUEUE_COLUMNS = ARRAY_LEN(queue_columns) - 1, QUEUE_TRIED = 16 * 1024 * 1024 };

static str status_name(u8 status)
{
	switch ((enum queue_status)status) {
	case QUEUE_WAITING:
		return S("waiting");
	case QUEUE_ACTIVE:
		return S("active");
	case QUEUE_HELD:
		return S("held");
	case QUEUE_DSN_DUE:
		return S("bouncing");
	}
	return S("unknown");
}

static void list_entry(struct listing *l, const struct queue_info *e)
{
	listing_id(l, e->message);
	listing_str(l, status_name(e->status));
	listing_str(l, e->sender.n ? e->sender : S("<>"));
	listing_str(l, e->recipient);
	listing_size(l, e->size);
	listing_time(l, e->arrived);
	listing_u64(l, e->attempts);
	listing_time(l, e->next_attempt);
	listing_str(l, e->last_text);
}

/* Page by page: a queue of a million entries is no reason for one answer of a gigabyte. */
static const struct fail *queue_list(struct ctl *c, struct listing *l)
{
	struct office_queue_list_request q = { .max = CTL_QUEUE_PAGE };
	struct office_queue_list_answer r;

	TRY(ctl_connect(c));
	do {
		TRY(office_queue_list(c->arena, c->office, &q, &r));
		for (size_t i = 0; i < r.entries_n; i++) {
			list_entry(l, &r.entries[i]);
			q.after = r.entries[i].message;
		}
	} while (r.entries_n >= CTL_QUEUE_PAGE); /* more, when a message has several */
	return NULL;
}

enum exit_status ctl_queue_list(struct ctl *c)
{
	struct listing *l = listing_new(c, queue_columns, QUEUE_COLUMNS);
	const struct fail *f = queue_list(c, l);

	if (f)
		return ctl_fail(c, f, "list the queue");
	listing_print(l, "The queue is empty.");
	return EXIT_OK;
}

static const struct fail *parse_id(struct ctl *c, str text, u64 *id)
{
	if (id_parse(text, id))
		return NULL;
	return fail_new(c->arena, FAIL_INVALID,
			"\"%.*s\" is not a queue id (13 letters and digits)", STR_ARG(text));
}

static struct listing *list_events(struct ctl *c, const struct event_record *events, size_t n)
{
	static const char *const columns[] = { "time", "id", "stage", "event", "what" };
	struct listing *l = listing_new(c, columns, ARRAY_LEN(columns));

	for (size_t i = 0; i < n; i++) {
		listing_time(l, events[i].time);
		listing_str(l, events[i].message ? id_text(c->arena, events[i].message) : S("-"));
		listing_str(l, events[i].stage);
		listing_str(l, events[i].code);
		listing_str(
		    l, event_sentence(c->arena, events[i].code, events[i].arguments, LANGUAGE_EN));
	}
	return l;
}

static str argument(struct ctl *c, const struct event_record *e, const char *name)
{
	str value;

	return event_args_get(c->arena, e->arguments, str_cstr(name), &value) ? value : STR_NONE;
}

/* What a host was good for on the way to a domain, or how an attempt ended for a recipient. */
struct
try {
	const struct event_record *event;
	bool over;
	str whom; /* address, or the domain when it is not over */
};

static bool ends_attempt(str code)
{
	static const enum event_code ends[] = { EVENT_DEFERRED, EVENT_FAILED, EVENT_EXPIRED,
						EVENT_RELAYED, EVENT_DELIVERED };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (str_eq(code, event_code_name(ends[i])))
			return true;
	return false;
}

/* Each event is read once, however many recipients there are. */
static size_t find_tries(struct ctl *c, const struct office_queue_show_answer *r,
			 const struct try **out)
{
	struct try *all = arena_array_of(c->arena, r->events_n, struct try);
	size_t n = 0;

	for (size_t i = 0; i < r->events_n; i++) {
		const struct event_record *e = &r->events[i];
		bool over = ends_attempt(e->code);
		if (over || str_eq(e->code, event_code_name(EVENT_ATTEMPT)))
			all[n++] = (struct try){
				.event = e,
				.over = over,
				.whom = argument(c, e, over ? "recipient" : "domain"),
			};
	}
	*out = all;
	return n;
}

static void json_member(struct json *j, const char *name, str value)
{
	json_key(j, name);
	json_str(j, value);
}

/* attempt: its number, when it is over. */
static void json_try(struct ctl *c, struct json *j, const struct try *t)
{
	u64 number;

	json_object(j);
	json_member(j, "time", ctl_time(c, t->event->time));
	json_member(j, "event", t->event->code);
	json_key(j, "attempt");
	if (t->over && str_u64(argument(c, t->event, "attempt"), &number))
		json_u64(j, number);
	else
		json_null(j);
	json_member(j, "host", argument(c, t->event, t->over ? "remote_mta" : "host"));
	json_member(j, "address", argument(c, t->event, "address"));
	json_member(j, "reply", argument(c, t->event, "text"));
	json_object_end(j);
}

static void list_tries(struct ctl *c, struct listing *l, const struct try *all, size_t n,
		       str recipient)
{
	struct buf *out = buf_new(c->arena, QUEUE_TRIED);
	str domain = str_skip(recipient, str_find_last(recipient, '@') + 1);
	struct json j = json_to(out);

	json_array(&j);
	for (size_t i = 0; i < n; i++)
		if (str_eq_nocase(all[i].whom, all[i].over ? recipient : domain))
			json_try(c, &j, &all[i]);
	json_array_end(&j);
	listing_json(l, out->full ? S("[]") : buf_str(out));
}

static const struct fail *queue_show(struct ctl *c)
{
	struct listing *l =
	    listing_new(c, queue_columns, c->json ? ARRAY_LEN(queue_columns) : QUEUE_COLUMNS);
	struct office_queue_show_request q = { 0 };
	struct office_queue_show_answer r;
	const struct try *tries;
	size_t tries_n;

	TRY(parse_id(c, c->arguments[0], &q.message));
	TRY(ctl_connect(c));
	TRY(office_queue_show(c->arena, c->office, &q, &r));
	tries_n = find_tries(c, &r, &tries);
	for (size_t i = 0; i < r.entries_n; i++) {
		list_entry(l, &r.entries[i]);
		if (c->json)
			list_tries(c, l, tries, tries_n, r.entries[i].recipient);
	}
	listing_print(l, "Nothing of this message is in the queue.");
	if (!c->json)
		listing_print(list_events(c, r.events, r.events_n), "No events.");
	return NULL;
}

enum exit_status ctl_queue_show(struct ctl *c)
{
	const struct fail *f = queue_show(c);

	return f ? ctl_fail(c, f, "show the message") : EXIT_OK;
}

/* The message is there, but nothing of it in a state for this. */
static const struct fail *nothing_to_change(struct ctl *c, enum queue_action action)
{
	static const char *const states[] = { [QUEUE_RETRY] = "waits",
					      [QUEUE_HOLD] = "waits",
					      [QUEUE_RELEASE] = "is held",
					      [QUEUE_DROP] = "is in the queue" };

	return fail_new(c->arena, FAIL_NOT_FOUND, "nothing of %.*s %s", STR_ARG(c->arguments[0]),
			states[action]);
}

static const struct fail *change(struct ctl *c, enum queue_action action, u32 *count)
{
	struct office_queue_change_request q = { .action = (u8)action };
	struct office_queue_change_answer r;

	if (!str_eq(c->arguments[0], S("all")))
		TRY(parse_id(c, c->arguments[0], &q.message));
	TRY(ctl_connect(c));
	TRY(office_queue_change(c->arena, c->office, &q, &r));
	if (r.count == 0 && q.message)
		return nothing_to_change(c, action);
	*count = r.count;
	return NULL;
}

static enum exit_status change_and_say(struct ctl *c, enum queue_action action, const char *what)
{
	u32 count = 0;
	const struct fail *f = change(c, action, &count);

	if (f)
		return ctl_fail(c, f, "change the queue");
	ctl_print(c->json ? str_format(c->arena, "{\"count\":%u}\n", count)
			  : str_format(c->arena, "%s: %u\n", what, count));
	return EXIT_OK;
}

enum exit_status ctl_queue_retry(struct ctl *c)
{
	return change_and_say(c, QUEUE_RETRY, "due now");
}

enum exit_status ctl_queue_hold(struct ctl *c)
{
	return change_and_say(c, QUEUE_HOLD, "held");
}

enum exit_status ctl_queue_release(struct ctl *c)
{
	return change_and_say(c, QUEUE_RELEASE, "released");
}

enum exit_status ctl_queue_drop(struct ctl *c)
{
	if (!ctl_confirm(c, c->arguments[0], "throw this mail away, without a word to its sender"))
		return EXIT_USAGE;
	return change_and_say(c, QUEUE_DROP, "dropped");
}
