/*
 * The data folder:
 *	lock            held as long as we live: two instances on one store would destroy it
 *	run/NAME.ctl    0600 sockets for ctl, bound here, accepted by office, login and sign
 *	store/ login/ keys/    each 0700 and owned by the one process that uses it
 * Folders of an instance that has lived are not made again, nor are its databases: one that is missing is a disk that is not mounted, and an
 * empty store would refuse every mail for good, as not ours (THREATS F26).
 * Folders are opened without following a symbolic link, and changed through the descriptor (THREATS P02).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fd.h"
#include "parent/parent_int.h"

enum { CTL_BACKLOG = 16, FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static const struct {
	const char *name;
	enum role owner;
} folders[] = { { "store", ROLE_OFFICE }, { "login", ROLE_LOGIN }, { "keys", ROLE_SIGN } };

/* What every life leaves behind. */
static const char *const left_behind[] = { "store/postern.db", "login/login.db", "keys" };

static const enum role with_ctl[] = { ROLE_OFFICE, ROLE_LOGIN, ROLE_SIGN };

static const struct fail *cannot(struct parent *p, const char *doing, const char *name)
{
	return fail_because(p->arena, fail_errno(p->arena, errno, doing), "%.*s/%s",
			    STR_ARG(p->config->server_data), name);
}

static const struct fail *folder_make(struct parent *p, int data, const char *name, mode_t mode,
				      struct identity owner, int *out)
{
	int fd;

	if (mkdirat(data, name, mode) != 0 && errno != EEXIST)
		return cannot(p, "mkdir", name);
	fd = arena_own_fd(p->arena, openat(data, name, FOLDER_FLAGS));
	if (fd < 0 || fchmod(fd, mode) != 0)
		return cannot(p, "opening the folder", name);
	if (owner.uid && fchown(fd, owner.uid, owner.gid) != 0)
		return cannot(p, "chown", name);
	*out = fd;
	return NULL;
}

static const struct fail *lived_in_check(struct parent *p, int data)
{
	struct stat st;

	for (size_t i = 0; i < ARRAY_LEN(left_behind); i++)
		if (fstatat(data, left_behind[i], &st, AT_SYMLINK_NOFOLLOW) != 0)
			return fail_because(
			    p->arena, fail_errno(p->arena, errno, "looking for it"),
			    "%.*s/%s (is its disk mounted? \"serve --new\" begins with "
			    "what is empty)",
			    STR_ARG(p->config->server_data), left_behind[i]);
	return NULL;
}

/* The folder that ours stands in. */
static bool sync_above(int data)
{
	int above = openat(data, "..", FOLDER_FLAGS);
	bool done =
	    above >= 0 ? fsync(above) == 0 : errno == EACCES; /* then it was not we who made it */

	fd_close(&above);
	return done;
}

/* An OFD lock goes with the last copy of the descriptor; children never get one. */
static const struct fail *lock_take(struct parent *p, int data, bool *in_use)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = arena_own_fd(
	    p->arena, openat(data, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));

	if (fd < 0)
		return cannot(p, "opening", "lock");
	if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
		return NULL;
	*in_use = errno == EAGAIN || errno == EACCES;
	if (*in_use)
		return fail_new(p->arena, FAIL_CONFLICT, "another postern uses %.*s",
				STR_ARG(p->config->server_data));
	return cannot(p, "locking", "lock");
}

/* sun_path holds 107 bytes, a path may be longer: go through the folder's descriptor. */
static const struct fail *ctl_bind(struct parent *p, enum role role)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	const char *name = process_roles[role].name;
	mode_t mask;
	int fd, error;

	snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/%s.ctl", p->run_folder, name);
	unlink(at.sun_path);
	fd = arena_own_fd(p->arena, socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
	mask = umask(0177);
	error = fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
		listen(fd, CTL_BACKLOG) != 0;
	umask(mask);
	if (error)
		return cannot(p, "binding the socket", name);
	p->ctl[role] = fd;
	return NULL;
}

const struct fail *folders_prepare(struct parent *p, bool *in_use)
{
	static const struct identity ours = { 0, 0 };
	const char *path = cstr(p->arena, p->config->server_data);
	int data, fd;

	if (path == NULL || (!p->options->lived_in && mkdir(path, 0711) != 0 && errno != EEXIST))
		return cannot(p, "mkdir", "");
	data = arena_own_fd(p->arena, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (data < 0)
		return cannot(p, "opening the folder", "");
	TRY(lock_take(p, data, in_use));
	if (p->options->lived_in)
		TRY(lived_in_check(p, data));
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		TRY(folder_make(p, data, folders[i].name, 0700, p->identities[folders[i].owner],
				&fd));
	TRY(folder_make(p, data, "run", 0711, ours, &p->run_folder));
	/* Their names too must outlive a power cut: what the office syncs lies below them. */
	if (fsync(data) != 0 || !sync_above(data))
		return cannot(p, "syncing", "");
	for (size_t i = 0; i < ARRAY_LEN(with_ctl); i++)
		TRY(ctl_bind(p, with_ctl[i]));
	return NULL;
}

void folders_release(struct parent *p)
{
	char name[32];

	for (size_t i = 0; i < ARRAY_LEN(with_ctl) && p->run_folder >= 0; i++) {
		snprintf(name, sizeof name, "%s.ctl", process_roles[with_ctl[i]].name);
		unlinkat(p->run_folder, name, 0);
	}
}
