/* The roles (process_roles.tbl) and their functions. Apart, so that a test can bring roles of its own. */
#include "serve/process.h"

const struct process_role process_roles[ROLES] = {
#define ROLE_ROW(ROLE, name_, caller_, allow_, folder_)       \
	[ROLE_##ROLE] = { .name = #name_,                     \
			  .caller = (caller_),                \
			  .allow = (allow_),                  \
			  .folder = (folder_),                \
			  .before_jail = name_##_before_jail, \
			  .after_jail = name_##_after_jail },
#include "serve/process_roles.tbl"
#undef ROLE_ROW
};
