/* The manual pages, from the tables that the program itself follows, so that they cannot drift: mdoc(7) on stdout. */
#include "ctl/ctl_int.h"

enum { MANUAL_TEXT = 1024 * 1024 };

/* Text for mdoc: backslashes doubled; a line never begins with a dot or quote, since all of it stands behind a macro. */
static void add_text(struct buf *out, str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\\')
			buf_add(out, S("\\e"));
		else if (text.p[i] == '-')
			buf_add(out, S("\\-"));
		else
			buf_add_byte(out, text.p[i]);
	}
}

static void add_options(struct buf *out, str list)
{
	while (list.n) {
		size_t n = str_find(list, ' ');
		str word = str_slice(list, 0, n);
		list = n == SIZE_MAX ? STR_NONE : str_skip(list, n + 1);
		buf_add(out, S(".Op Fl -"));
		add_text(out, word.p[word.n - 1] == '=' ? str_slice(word, 0, word.n - 1) : word);
		buf_add(out, word.p[word.n - 1] == '=' ? S("= Ns Ar VALUE\n") : S("\n"));
	}
}

static void add_command(struct buf *out, const struct command *k)
{
	buf_printf(out, ".It Xo\n.Cm %s\n", k->name);
	if (k->arguments[0]) {
		buf_add(out, S(".Ar "));
		add_text(out, str_cstr(k->arguments));
		buf_add(out, S("\n"));
	}
	add_options(out, str_cstr(k->options));
	buf_add(out, S(".Xc\n"));
	add_text(out, str_cstr(k->summary));
	buf_add(out, S(".\n.Dl "));
	add_text(out, str_cstr(k->example));
	buf_add(out, S("\n"));
}

static void print_commands(struct buf *out)
{
	buf_add(
	    out,
	    S(".Dd November 21, 2026\n.Dt POSTERN 1\n.Os Postern\n.Sh NAME\n.Nm postern\n.Nd a complete e\\-mail system\n"
	      ".Sh SYNOPSIS\n.Nm\n.Ar COMMAND\n.Op Ar ARGUMENT ...\n.Op Fl -config= Ns Ar FILE\n.Op Fl -json\n"
	      ".Sh DESCRIPTION\n.Nm\nreceives, keeps, shows and sends mail.\nIt runs as a handful of processes of which none can do the work of another; "
	      "commands talk to them through sockets below the data folder.\n.Pp\nData goes to standard output, messages to standard error.\n"
	      ".Bl -tag -width indent\n.It Fl -config= Ns Ar FILE\nConfiguration file instead of\n.Pa /etc/postern.conf .\n"
	      ".It Fl -json\nOutput for programs.\nMember names and error ids never change meaning.\n.It Fl -help\nExplain the command.\n.El\n"
	      ".Sh COMMANDS\n.Bl -tag -width indent\n"));
	for (size_t i = 0; i < ctl_commands_n; i++)
		add_command(out, &ctl_commands[i]);
	buf_add(
	    out,
	    S(".El\n.Sh SIGNALS\nTo the first process of\n.Cm postern serve :\nSIGTERM and SIGINT stop it in order within five seconds; "
	      "SIGHUP reads the configuration and the certificates anew, and keeps the old ones when the new are bad.\n"
	      "Data folder, number of edges and addresses to listen at change at the next start or SIGUSR2.\n"
	      "SIGUSR2 puts the program that is now at its path in its place, without refusing a connection: sessions end in order and others\n"
	      "wait meanwhile; a program that does not take the configuration changes nothing.\n"
	      ".Sh FILES\n.Bl -tag -width indent\n.It Pa /etc/postern.conf\nthe configuration, see\n.Xr postern.conf 5\n"
	      ".It Pa /var/lib/postern\ndatabase, mail and keys\n.El\n.Sh EXIT STATUS\n.Bl -tag -width indent\n"));
#define EXIT(name, status, meaning) buf_printf(out, ".It %d\n%s\n", status, meaning);
#include "ctl/exit.tbl"
#undef EXIT
	buf_add(out, S(".El\n.Sh SEE ALSO\n.Xr postern.conf 5\n"));
}

static void print_settings(struct buf *out)
{
	buf_add(
	    out,
	    S(".Dd November 21, 2026\n.Dt POSTERN.CONF 5\n.Os Postern\n.Sh NAME\n.Nm postern.conf\n.Nd configuration of Postern\n"
	      ".Sh DESCRIPTION\nA small TOML file: sections in brackets, one\n.Dq name = value\na line, comments behind a hash.\n"
	      "An unknown name, a second one, or a bad value is an error with file, line and what was expected.\n"
	      "Print all of it with its defaults by\n.Ic postern config sample ;\ncheck a file by\n.Ic postern config check .\n"
	      ".Sh SETTINGS\n"));
	config_print_manual(out);
	buf_add(out, S(".Sh SEE ALSO\n.Xr postern 1\n"));
}

enum exit_status ctl_manual(struct ctl *c)
{
	struct buf *out = buf_new(c->arena, MANUAL_TEXT);

	if (str_eq(c->arguments[0], S("1")))
		print_commands(out);
	else if (str_eq(c->arguments[0], S("5")))
		print_settings(out);
	else
		return ctl_error(c, EXIT_USAGE, "E1002", S("there are the pages 1 and 5"), STR_NONE,
				 S("postern manual 1"));
	ctl_print(buf_str(out));
	return EXIT_OK;
}
