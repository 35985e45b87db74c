/*
 * A flood of mail of many senders: message after message, each over a connection of its own, each command in a packet of its own, as
 * smtp-source sends them, but with the sender's domain of its turn (a domain's SPF, key and policy are asked for under its own name).
 *
 *	smtp_flood ADDRESS PORT CONNECTIONS COUNT FIRST DOMAINS FOLDER RECIPIENT...
 *
 * The senders are FIRST and the DOMAINS - 1 behind it. Sender n is carol@dN.example, greets as mx.dN.example and sends FOLDER/N: the bytes behind DATA, their end included. Exit code 0: all
 * were taken.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/fd.h"

enum { MESSAGE = 64 * 1024, REPLY = 4096, ARENA = 256 << 20, CONNECTIONS = 1000 };

static struct {
	struct sockaddr_in to;
	size_t count, first, domains, recipients_n;
	char **recipients;
	str *messages;
	_Atomic size_t next;
} flood;

/* One reply, which must begin with this digit. */
static bool hear(int fd, char first)
{
	char text[REPLY];
	size_t n = 0, line = 0;

	for (;;) {
		ssize_t got = recv(fd, text + n, sizeof text - n, 0);
		if (got <= 0)
			return false;
		n += (size_t)got;
		for (size_t i = line; i < n; i++) {
			if (text[i] != '\n')
				continue;
			if (i - line > 3 && text[line + 3] == ' ')
				return text[line] == first;
			line = i + 1;
		}
	}
}

static bool say(int fd, str bytes, char answer)
{
	return fd_write_all(fd, bytes) && hear(fd, answer);
}

static bool send_one(struct arena *a, int fd, size_t number)
{
	size_t turn = number % flood.domains, d = flood.first + turn;
	const char *to = flood.recipients[number % flood.recipients_n];

	return hear(fd, '2') && say(fd, str_format(a, "EHLO mx.d%zu.example\r\n", d), '2') &&
	       say(fd, str_format(a, "MAIL FROM:<carol@d%zu.example>\r\n", d), '2') &&
	       say(fd, str_format(a, "RCPT TO:<%s>\r\n", to), '2') && say(fd, S("DATA\r\n"), '3') &&
	       say(fd, flood.messages[turn], '2') && say(fd, S("QUIT\r\n"), '2');
}

static void *run(void *unused)
{
	struct arena *a = arena_new(1 << 16);
	size_t number;

	(void)unused;
	while ((number = flood.next++) < flood.count) {
		int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
		if (connect(fd, (struct sockaddr *)&flood.to, sizeof flood.to) != 0 ||
		    !send_one(a, fd, number)) {
			fprintf(stderr, "smtp_flood: message %zu was not taken\n", number);
			exit(1);
		}
		close(fd);
		arena_reset(a);
	}
	arena_free(&a);
	return NULL;
}

static str message_load(struct arena *a, const char *folder, size_t number)
{
	FILE *f = fopen(cstr(a, str_format(a, "%s/%zu", folder, number)), "re");
	u8 *bytes = arena_alloc(a, MESSAGE);
	size_t n;

	CHECK(f != NULL);
	n = fread(bytes, 1, MESSAGE, f);
	CHECK(n < MESSAGE && fclose(f) == 0);
	return str_from(bytes, n);
}

int main(int argc, char **argv)
{
	struct arena *a = arena_new(ARENA);
	pthread_t threads[CONNECTIONS];
	u64 port, connections, count, first, domains;

	CHECK(argc > 8 && str_u64(str_cstr(argv[2]), &port) &&
	      str_u64(str_cstr(argv[3]), &connections) && str_u64(str_cstr(argv[4]), &count) &&
	      str_u64(str_cstr(argv[5]), &first) && str_u64(str_cstr(argv[6]), &domains) &&
	      port <= UINT16_MAX && connections <= CONNECTIONS && domains > 0);
	flood.to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((u16)port) };
	CHECK(inet_pton(AF_INET, argv[1], &flood.to.sin_addr) == 1);
	flood.count = count;
	flood.first = first;
	flood.domains = domains;
	flood.recipients = argv + 8;
	flood.recipients_n = (size_t)(argc - 8);
	flood.messages = arena_array_of(a, domains, str);
	for (size_t i = 0; i < domains; i++)
		flood.messages[i] = message_load(a, argv[7], first + i);
	for (size_t i = 0; i < connections; i++)
		CHECK(pthread_create(&threads[i], NULL, run, NULL) == 0);
	for (size_t i = 0; i < connections; i++)
		pthread_join(threads[i], NULL);
	arena_free(&a);
	return 0;
}
