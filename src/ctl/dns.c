#include "ctl/dns.h"

#include <unistd.h>

#include "base/env.h"
#include "relay/dns/resolver.h"

struct ctl_dns {
	struct resolver *resolver;
	u64 deadline;
};

static bool readable(struct ctl *c, str path)
{
	const char *name = cstr(c->arena, path);

	return name && access(name, R_OK) == 0;
}

/* Settings from the file of this machine, if it is ours to read: a person without rights may still ask what DNS says. */
static const struct fail *base_config(struct ctl *c)
{
	if (!ctl_has(c, "dns") && (ctl_has(c, "config") || readable(c, c->config_path)))
		return ctl_config(c);
	c->config = config_default(c->arena);
	return NULL;
}

static const struct fail *set_list(struct ctl *c, const char *name, str value)
{
	return config_set(c->arena, c->config,
			  str_format(c->arena, "%s=%.*s", name, STR_ARG(value)));
}

static const struct fail *make_config(struct ctl *c)
{
	str anchor = ctl_option(c, "trust-anchor");

	TRY(base_config(c));
	if (anchor.p && !readable(c, anchor))
		return fail_new(c->arena, FAIL_NOT_FOUND, "--trust-anchor: cannot read %.*s",
				STR_ARG(anchor));
	if (ctl_has(c, "dns"))
		TRY(set_list(c, "dns.servers", ctl_option(c, "dns")));
	/* A server of one's own is rarely below the root's key: without an anchor its answers count as insecure, never bogus. */
	if (anchor.p || ctl_has(c, "dns"))
		TRY(set_list(c, "dns.trust_anchors", anchor));
	return config_check(c->arena, c->config);
}

static void query(void *context, struct arena *a, str name, u32 type, struct dns_answer *out)
{
	struct ctl_dns *d = context;
	u64 now = env_monotonic(env_system());

	if (now < d->deadline)
		*out = dns_lookup(a, d->resolver, name, type, d->deadline - now);
	else
		*out = (struct dns_answer){ .status = DNS_TEMPFAIL };
}

static void release(void *context)
{
	struct ctl_dns *d = context;

	resolver_free(&d->resolver);
}

const struct fail *ctl_dns_source(struct ctl *c, struct dns_source *out)
{
	struct ctl_dns *d = arena_new_of(c->arena, struct ctl_dns);

	TRY(make_config(c));
	arena_own(c->arena, release, d);
	TRY(resolver_new(c->arena, c->config, &d->resolver));
	TRY(resolver_start(d->resolver));
	d->deadline = env_monotonic(env_system()) + CTL_DNS_BUDGET_MS;
	*out = (struct dns_source){ .context = d, .query = query };
	return NULL;
}
