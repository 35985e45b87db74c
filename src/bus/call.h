/*
 * Opens CALL rows for base/message.h: each becomes the two messages SERVER_NAME_request and SERVER_NAME_answer. Include after
 * base/message.h, before the table; base/message_end.h, then bus/call_end.h close it. No include guard.
 */
#define CALL(server, name, number, callers, mode, ticket, request, answer) \
	MESSAGE(server##_##name##_request, request)                        \
	MESSAGE(server##_##name##_answer, answer)
#define REQUEST(...) __VA_ARGS__
#define ANSWER(...) __VA_ARGS__
