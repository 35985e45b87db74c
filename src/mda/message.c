#include "mda/message.h"

#include "base/arena.h"
#include "serve/mail_signer.h"
#include "text/header.h"
#include "text/skeleton.h"

const struct fail *message_sign(struct arena *a, struct bus *sign, const struct permit *permit,
				str message, str *out, bool *is_signed)
{
	size_t header = header_length(message);
	struct mail_signer *signer;
	struct buf *both;
	str fields;

	*out = message;
	*is_signed = false;
	TRY(mail_signer_new(a, sign, permit, &signer));
	if (signer == NULL)
		return NULL;
	mail_signer_header(signer, str_slice(message, 0, header), false);
	mail_signer_body(signer, str_skip(message, header));
	TRY(mail_signer_fields(signer, &fields));
	both = buf_new(a, fields.n + message.n);
	buf_add(both, fields);
	buf_add(both, message);
	*out = buf_str(both);
	*is_signed = true;
	return NULL;
}

const struct fail *message_seal(struct arena *a, str message, struct message_body *out)
{
	struct skeleton_parser *p = skeleton_parser_new(a);
	const struct skeleton *parsed;
	struct buf *both;
	str encoded;

	TRY(skeleton_feed(p, message));
	TRY(skeleton_finish(p, &parsed));
	encoded = skeleton_encode(a, parsed);
	both = buf_new(a, message.n + encoded.n);
	buf_add(both, message);
	buf_add(both, encoded);
	*out = (struct message_body){
		.bytes = buf_str(both), .file = -1, .size = message.n, .skeleton = encoded.n
	};
	return NULL;
}
