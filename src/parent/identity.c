/* Who the children will be: see parent.h, uid_base. */
#include <pwd.h>
#include <unistd.h>

#include "base/arena.h"
#include "parent/parent_int.h"

static const struct fail *system_user(struct parent *p, enum role role)
{
	const char *name =
	    cstr(p->arena, str_format(p->arena, "_postern_%s", process_roles[role].name));
	const struct passwd *user = getpwnam(name);

	if (user == NULL)
		return fail_new(p->arena, FAIL_NOT_FOUND,
				"there is no user %s: `postern setup` makes it", name);
	if (user->pw_uid == 0 || user->pw_gid == 0)
		return fail_new(p->arena, FAIL_INVALID, "user %s is root", name);
	p->identities[role] = (struct identity){ user->pw_uid, user->pw_gid };
	return NULL;
}

const struct fail *identities_find(struct parent *p)
{
	u32 base = p->options->uid_base;

	for (enum role role = 0; role < ROLES && geteuid() == 0; role++) {
		if (base == 0)
			TRY(system_user(p, role));
		else
			p->identities[role] = (struct identity){ base + role, base + role };
	}
	return NULL;
}
