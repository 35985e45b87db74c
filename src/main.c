/*
 * postern: one program. `postern WORD ...` is the command line (src/ctl); `postern @mx 0` is what parent starts its children as, with
 * their control socket as descriptor 3.
 */
#include "base/str.h"
#include "ctl/ctl.h"
#include "serve/process.h"
#include "serve/process_control.h"

/* A number, and nothing else, that fits. */
static bool instance_parse(const char *text, u32 *out)
{
	u64 value;

	if (!str_u64(str_cstr(text), &value) || value > UINT32_MAX)
		return false;
	*out = (u32)value;
	return true;
}

static int child_main(int argc, char **argv)
{
	u32 instance;

	if (argc == 3 && instance_parse(argv[2], &instance))
		for (int role = 0; role < ROLES; role++)
			if (str_eq(str_cstr(argv[1] + 1), str_cstr(process_roles[role].name)))
				return process_main((enum role)role, instance, CONTROL_FD);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc > 1 && argv[1][0] == '@')
		return child_main(argc, argv);
	return ctl_main(argc, argv);
}
