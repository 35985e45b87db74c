/*
 * A whole client session against a server whose every byte is the fuzzer's: greeting, EHLO, login refused for want of TLS, two
 * transactions. The bytes are in the socket before we begin, so replies that come before their commands are the rule here.
 */
#include "base/loopback_test.h"

#include "base/arena.h"
#include "relay/mta/client.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);

static const struct mta_times times = { 1000, 1000, 1000, 1000, 1000, 1000, 1000,
					1000, 1000, 1,    1,    1,    1 };

static void send_twice(struct arena *a, struct smtp_client *k)
{
	struct job_entry entries[] = { { .address = S("a@x.example"), .orcpt = S("rfc822;b@x") },
				       { .address = S("\303\274@x.example"), .notify = 2 },
				       { .address = S("c\"\r\n@x.example") } };
	struct job job = { .sender = S("s@y.example"), .envid = S("id"), .smtputf8 = true };
	struct body body = body_inspect(S("A: b\r\n\r\n.\303\274\r\n"));
	struct client_recipient recipients[ARRAY_LEN(entries)] = { 0 };
	struct client_transaction t = { &job, &body, recipients, ARRAY_LEN(entries), false };

	for (size_t i = 0; i < ARRAY_LEN(entries); i++)
		recipients[i].entry = &entries[i];
	for (int round = 0; round < 4; round++)
		if (client_send(a, k, &t) != NULL)
			return;
	for (size_t i = 0; i < ARRAY_LEN(entries); i++)
		CHECK(recipients[i].fate != FATE_PENDING && str_is_utf8(recipients[i].text));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct arena *a = arena_new(1 << 20);
	struct client_target t = { .host = S("x.example"),
				   .tls = ROUTE_TLS_NEVER,
				   .own_name = S("me.example"),
				   .times = &times };
	struct smtp_client *k = NULL;
	bool tls_failed;
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && n < 100000);
	CHECK(send(pair[1], data, n, 0) == (ssize_t)n);
	shutdown(pair[1], SHUT_WR);
	if (client_adopt(a, pair[0], &t, &k, &tls_failed) == NULL)
		send_twice(a, k);
	client_free(&k);
	close(pair[1]);
	arena_free(&a);
	return 0;
}
