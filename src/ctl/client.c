/* What the commands need of the world: configuration, the sockets of the running system, passwords, confirmation. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "ctl/ctl_int.h"

const struct fail *ctl_errno(struct arena *a, int error, const char *doing)
{
	const struct fail *f = fail_errno(a, error, doing);

	if (error == ENOENT || error == ENOTDIR)
		return fail_new(a, FAIL_NOT_FOUND, "%.*s", STR_ARG(f->text));
	if (error == EACCES || error == EPERM)
		return fail_new(a, FAIL_DENIED, "%.*s", STR_ARG(f->text));
	return f;
}

static const struct fail *unreadable(struct arena *a, str path, int error, const char *doing)
{
	return fail_because(a, ctl_errno(a, error, doing), "cannot read %.*s", STR_ARG(path));
}

static const struct fail *read_whole(struct arena *a, str path, size_t max, str *out)
{
	const char *name = cstr(a, path);
	struct buf *b = buf_new(a, max);
	int fd = str_eq(path, S("-")) ? STDIN_FILENO : open(name ?: "", O_RDONLY | O_CLOEXEC);
	u8 piece[4096];
	ssize_t n = 0;

	if (fd < 0)
		return unreadable(a, path, errno, "open");
	if (fd != STDIN_FILENO)
		arena_own_fd(a, fd);
	while (!b->full && (n = read(fd, piece, sizeof piece)) > 0)
		buf_add(b, str_from(piece, (size_t)n));
	if (n < 0)
		return unreadable(a, path, errno, "read");
	if (b->full)
		return fail_new(a, FAIL_TOO_LARGE, "%.*s is larger than %zu bytes", STR_ARG(path),
				max);
	*out = buf_str(b);
	return NULL;
}

const struct fail *ctl_read_file(struct arena *a, str path, str *out)
{
	return read_whole(a, path, CTL_FILE_MAX, out);
}

const struct fail *ctl_read_mail(struct ctl *c, str path, str *out)
{
	struct buf *mail = buf_new(c->arena, 2 * (size_t)CTL_MAIL_MAX);
	str bytes;

	TRY(read_whole(c->arena, path, CTL_MAIL_MAX, &bytes));
	for (size_t i = 0; i < bytes.n; i++) {
		if (bytes.p[i] == '\n' && (i == 0 || bytes.p[i - 1] != '\r'))
			buf_add_byte(mail, '\r');
		buf_add_byte(mail, bytes.p[i]);
	}
	*out = buf_str(mail);
	return NULL;
}

const struct fail *ctl_config(struct ctl *c)
{
	const struct fail *f;
	str text;

	f = ctl_read_file(c->arena, c->config_path, &text);
	if (f && f->what == FAIL_NOT_FOUND)
		return fail_because(c->arena, f,
				    "there is no %.*s: \"postern setup DOMAIN\" makes it, "
				    "--config=FILE takes another",
				    STR_ARG(c->config_path));
	TRY(f);
	return config_load(c->arena, c->config_path, text, &c->config);
}

/* A path of up to 107 bytes is all that sun_path takes: longer ones go through the folder's descriptor. */
static const struct fail *connect_one(struct arena *a, str data, const char *name, struct bus **out)
{
	const char *folder = cstr(a, str_format(a, "%.*s/run", STR_ARG(data)));
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int directory, fd;

	directory = open(folder ?: "", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 && errno == EACCES)
		return fail_new(a, FAIL_DENIED, "%.*s/run is not open to you", STR_ARG(data));
	if (directory < 0)
		return fail_new(a, FAIL_UNAVAILABLE, "postern does not run on %.*s", STR_ARG(data));
	arena_own_fd(a, directory);
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory, name);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail_errno(a, errno, "socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		int error = errno;
		close(fd);
		if (error == EACCES || error == EPERM)
			return fail_new(a, FAIL_DENIED, "%.*s/run/%s is not open to you",
					STR_ARG(data), name);
		return fail_new(a, FAIL_UNAVAILABLE, "postern does not run on %.*s", STR_ARG(data));
	}
	*out = bus_new(fd);
	return NULL;
}

const struct fail *ctl_connect_to(struct ctl *c, str data)
{
	TRY(connect_one(c->arena, data, "office.ctl", &c->office));
	TRY(connect_one(c->arena, data, "login.ctl", &c->login));
	return connect_one(c->arena, data, "sign.ctl", &c->sign);
}

const struct fail *ctl_connect(struct ctl *c)
{
	TRY(ctl_config(c));
	return ctl_connect_to(c, c->config->server_data);
}

static void interrupt(int number)
{
	(void)number; /* ppoll() ends, that is all */
}

/* A line from the terminal, without echo; Ctrl-C ends us as ever, but not before there is an echo again. */
static const struct fail *read_hidden(struct ctl *c, const char *prompt, str *out)
{
	const struct sigaction ours = { .sa_handler = interrupt };
	struct pollfd typed = { .fd = STDIN_FILENO, .events = POLLIN };
	struct sigaction theirs;
	sigset_t held, mask;
	struct termios before, hidden;
	u8 line[2048];
	ssize_t n;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return fail_errno(c->arena, errno, "terminal");
	hidden = before;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigprocmask(SIG_BLOCK, &held, &mask);
	sigaction(SIGINT, &ours, &theirs);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	fprintf(stderr, "%s", prompt);
	n = ppoll(&typed, 1, NULL, &mask) < 0 ? -1 : read(STDIN_FILENO, line, sizeof line);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fprintf(stderr, "\n");
	sigaction(SIGINT, &theirs, NULL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (n < 0)
		raise(SIGINT);
	if (n <= 0)
		return fail_new(c->arena, FAIL_INVALID, "no password was given");
	*out = str_from(line, (size_t)n); /* blanks at its ends belong to it */
	*out = str_copy(c->arena, str_slice(*out, 0, str_find(*out, '\n')));
	return NULL;
}

static const struct fail *first_line(struct ctl *c, str path, str *out)
{
	str text;

	TRY(ctl_read_file(c->arena, path, &text));
	*out = str_slice(text, 0, str_find(text, '\n'));
	if (out->n && out->p[out->n - 1] == '\r')
		out->n--;
	return NULL;
}

const struct fail *ctl_password(struct ctl *c, str *out)
{
	str again;

	if (ctl_has(c, "password-file"))
		TRY(first_line(c, ctl_option(c, "password-file"), out));
	else if (!isatty(STDIN_FILENO))
		TRY(first_line(c, S("-"), out));
	else {
		TRY(read_hidden(c, "Password: ", out));
		TRY(read_hidden(c, "Once more: ", &again));
		if (!str_eq(*out, again))
			return fail_new(c->arena, FAIL_INVALID, "the two passwords differ");
	}
	if (out->n == 0)
		return fail_new(c->arena, FAIL_INVALID, "the password is empty");
	return NULL;
}

bool ctl_confirm(struct ctl *c, str word, const char *what)
{
	u8 line[1024];
	ssize_t n;

	if (ctl_has(c, "yes"))
		return true;
	if (!c->json) /* a program would not read the question, and parse it as the error */
		fprintf(stderr, "This will %s. It cannot be undone.\nType %.*s to go on: ", what,
			STR_ARG(word));
	n = read(STDIN_FILENO, line, sizeof line);
	if (n > 0 && str_eq(str_trim(str_from(line, (size_t)n)), word))
		return true;
	ctl_error(c, EXIT_USAGE, "E1011", S("not confirmed, nothing was done"), STR_NONE,
		  S("type the name, or give --yes"));
	return false;
}

const struct fail *ctl_size(struct ctl *c, str text, u64 *out)
{
	struct config *scratch = config_default(c->arena);
	str assignment = str_format(c->arena, "mail.quota=%.*s", STR_ARG(text));

	if (config_set(c->arena, scratch, assignment))
		return fail_new(c->arena, FAIL_INVALID,
				"expected a size such as 500M or 2G, not \"%.*s\"", STR_ARG(text));
	*out = scratch->mail_quota;
	return NULL;
}
