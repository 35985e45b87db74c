/* Is this block what a TLS handshake would have RSA sign? Pure; nothing secret is in the block. */
#ifndef KEYS_SIGN_PADDING_H
#define KEYS_SIGN_PADDING_H

#include "base/str.h"

/* RFC 8017 9.2: 00 01 FF.. 00 DigestInfo of SHA-256, SHA-384 or SHA-512. */
bool padding_is_pkcs1(str block);
/* RFC 8017 9.1.2: a masked DB that unmasks to 00.. 01 salt, the salt as long as the hash, and BC at the end. */
bool padding_is_pss(str block);

#endif
