#include "verdict/decision.h"

#include "base/arena.h"
#include "text/charset.h"
#include "text/json.h"
#include "text/json_flat.h"

static const char *const actions[] = {
	[DECISION_ACCEPT] = "accept",
	[DECISION_JUNK] = "junk",
	[DECISION_DEFER] = "defer",
	[DECISION_REJECT] = "reject",
};

const char *decision_action_name(enum decision_action action)
{
	return actions[action];
}

static int bounded(i64 weight)
{
	if (weight > DECISION_WEIGHT)
		return DECISION_WEIGHT;
	return weight < -DECISION_WEIGHT ? -DECISION_WEIGHT : (int)weight;
}

void decision_add(struct decision *d, const struct fact *f)
{
	struct fact *last = &d->facts[DECISION_FACTS - 1];
	int weight = bounded(f->weight);

	d->total += weight;
	if (d->n < DECISION_FACTS - 1) {
		d->facts[d->n] = *f;
		d->facts[d->n++].weight = weight;
		return;
	}
	if (d->n < DECISION_FACTS)
		*last = (struct fact){ .check = S("others") };
	d->n = DECISION_FACTS;
	last->weight += weight;
}

void decision_want(struct decision *d, enum decision_action action, str check)
{
	if (action < d->action || (action == d->action && d->decided.n))
		return;
	d->action = action;
	d->decided = check;
}

/* The check that weighs most. */
static str heaviest(const struct decision *d)
{
	str check = STR_NONE;
	int most = 0;

	for (size_t i = 0; i < d->n; i++)
		if (d->facts[i].weight > most) {
			most = d->facts[i].weight;
			check = d->facts[i].check;
		}
	return check;
}

void decision_weigh(struct decision *d, int threshold, bool temporary)
{
	d->threshold = threshold;
	if (threshold <= 0 || 2 * d->total < threshold)
		return;
	decision_want(d,
		      d->total >= threshold ? (temporary ? DECISION_DEFER : DECISION_REJECT)
					    : DECISION_JUNK,
		      heaviest(d));
}

/* --- As JSON --------------------------------------------------------------------------------------------------- */

static void put(struct json *j, const char *name, str text)
{
	if (text.n == 0)
		return;
	json_key(j, name);
	json_str(j, str_is_utf8(text) ? utf8_cut(text, DECISION_TEXT)
				      : str_slice(text, 0, DECISION_TEXT));
}

/* spare: 0 all, 1 no reasons, 2 no sources, 3 no inputs either. */
static void put_fact(struct json *j, const struct fact *f, int spare)
{
	json_object(j);
	put(j, "check", f->check);
	if (spare < 3)
		put(j, "input", f->input);
	put(j, "result", f->result);
	if (spare < 2)
		put(j, "source", f->source);
	if (spare < 1)
		put(j, "reason", f->reason);
	if (f->weight)
		json_key(j, "weight"), json_i64(j, f->weight);
	json_object_end(j);
}

static bool print(struct buf *out, const struct decision *d, int spare)
{
	struct json j = json_to(out);

	json_object(&j);
	json_key(&j, "action"), json_str(&j, str_cstr(actions[d->action]));
	json_key(&j, "total"), json_i64(&j, d->total);
	if (d->threshold)
		json_key(&j, "threshold"), json_i64(&j, d->threshold);
	put(&j, "decided", d->decided);
	json_key(&j, "facts");
	json_array(&j);
	for (size_t i = 0; i < d->n; i++)
		put_fact(&j, &d->facts[i], spare);
	json_array_end(&j);
	json_object_end(&j);
	return !out->full;
}

str decision_print(struct arena *a, const struct decision *d)
{
	struct buf *out = buf_new(a, DECISION_BYTES);

	for (int spare = 0; spare <= 3; spare++) {
		buf_reset(out);
		if (print(out, d, spare))
			return buf_str(out);
	}
	return S("{}");
}

static str text_of(struct arena *a, str object, str name)
{
	str text;

	return json_flat_get(a, object, name, &text) ? text : STR_NONE;
}

static int number_of(str object, str name)
{
	i64 n;

	return json_flat_i64(object, name, &n) ? bounded(n) : 0;
}

static void read_facts(struct arena *a, str list, struct decision *out)
{
	str object;

	while (out->n < DECISION_FACTS && json_flat_next(&list, &object))
		out->facts[out->n++] = (struct fact){ .check = text_of(a, object, S("check")),
						      .input = text_of(a, object, S("input")),
						      .result = text_of(a, object, S("result")),
						      .source = text_of(a, object, S("source")),
						      .reason = text_of(a, object, S("reason")),
						      .weight = number_of(object, S("weight")) };
}

bool decision_read(struct arena *a, str json, struct decision *out)
{
	str action = text_of(a, json, S("action")), list;

	*out = (struct decision){ .total = number_of(json, S("total")),
				  .threshold = number_of(json, S("threshold")),
				  .decided = text_of(a, json, S("decided")) };
	if (json_flat_list(json, S("facts"), &list))
		read_facts(a, list, out);
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (str_eq(action, str_cstr(actions[i]))) {
			out->action = (enum decision_action)i;
			return true;
		}
	return false;
}
