/*
 * Relay in its jail: made before it, as relay_before_jail does; inside it DNS is asked (UDP and TLS sockets, threads of libunbound)
 * and a message goes out over STARTTLS; files and listening are refused. In a child, because a jail is for good.
 */
#include <errno.h>
#include <signal.h>

#include "relay/dns/nsd_test.h"
#include "relay/mta/fake_test.h"

#include "relay/dns/lookup.h"
#include "relay/mta/delivery.h"
#include "serve/jail.h"

static const struct nsd_zone zones[] = {
	{ "example.test", "@ IN MX 10 mx\nmx IN A 127.0.0.1\n", false },
};

enum {
	EXIT_FINE = 0,
	EXIT_SETUP = 10,
	EXIT_JAIL,
	EXIT_DNS,
	EXIT_MAIL,
	EXIT_TLS,
	EXIT_OPEN,
	EXIT_LISTEN
};

static struct nsd nsd;

static struct config *config_for(struct arena *a, u32 port)
{
	struct config *c = config_default(a);
	str *server = arena_new_of(a, str);

	*server = str_format(a, "127.0.0.1:%u", nsd.port);
	c->dns_servers = (struct str_list){ server, 1 };
	c->dns_trust_anchors = (struct str_list){ NULL, 0 };
	c->server_hostname = S("me.test");
	c->relay_port = port;
	c->relay_local_networks = true;
	return c;
}

static int forbidden(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (open("/etc/passwd", O_RDONLY) >= 0 || open(".", O_RDONLY) >= 0)
		return EXIT_OPEN;
	if (bind(fd, (struct sockaddr *)&any, sizeof any) == 0 && listen(fd, 1) == 0)
		return EXIT_LISTEN;
	return EXIT_FINE;
}

static int deliver(struct arena *a, struct delivery_tools *tools)
{
	struct job_entry entry = { .address = S("r@example.test") };
	struct job job = { .sender = S("s@me.test"),
			   .domain = S("example.test"),
			   .entries = &entry,
			   .entries_n = 1 };
	struct office_attempt_done_request done;

	delivery_run(a, tools, &job, S("Subject: x\r\n\r\nbody\r\n"), &done);
	if (done.results[0].outcome != ATTEMPT_DELIVERED)
		return EXIT_MAIL;
	return str_starts(done.tls, S("TLSv1.")) ? EXIT_FINE : EXIT_TLS;
}

static int in_jail(u32 port)
{
	struct arena *a = arena_new(8 << 20);
	struct config *c = config_for(a, port);
	struct jail jail = { .allow = JAIL_CONNECT, .files_max = 1024 };
	struct tls_client contexts;
	struct resolver *r;
	int failed;

	if (geteuid() == 0)
		jail.uid = jail.gid = 65534;
	if (resolver_new(a, c, &r) || tls_client_new(a, &contexts))
		return EXIT_SETUP;
	struct delivery_tools tools = { c,           &mta_times_rfc, r,       sites_new(a),
					idle_new(a), &contexts,      STR_NONE };
	if (jail_enter(a, &jail))
		return EXIT_JAIL;
	if (resolver_start(r) || dns_lookup_mx(a, r, S("example.test"), 5000).status != DNS_OK)
		return EXIT_DNS;
	failed = deliver(a, &tools);
	return failed ? failed : forbidden();
}

static void test_jail(void **state)
{
	(void)state;
	struct fake fake;
	int status;
	pid_t pid;

	if (!nsd_start(&nsd, zones, ARRAY_LEN(zones)))
		skip();
	fake_start(
	    &fake,
	    "> 220 x\n< EHLO\n> 250-x\n> 250 STARTTLS\n< STARTTLS\n> 220 go\ntls\n< EHLO\n> 250 x\n"
	    "< MAIL\n> 250 ok\n< RCPT\n> 250 ok\n< DATA\n> 354 go\n.\n> 250 ok\n");
	pid = fork();
	if (pid == 0)
		_exit(in_jail(fake.port));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	nsd_stop(&nsd);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_FINE);
	fake_stop(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_jail) };

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
