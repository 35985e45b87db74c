/*
 * Character classes: one table, bits named after the ABNF of the RFCs that use them.
 * No locale, no ctype.h.
 */
#ifndef BASE_CHARS_H
#define BASE_CHARS_H

#include "base/types.h"

enum char_class {
	CHAR_ALPHA = 1 << 0,      /* RFC 5234 B.1 */
	CHAR_DIGIT = 1 << 1,      /* RFC 5234 B.1 */
	CHAR_HEXDIG = 1 << 2,     /* RFC 5234 B.1, both cases */
	CHAR_WSP = 1 << 3,        /* SP and HTAB */
	CHAR_CRLF = 1 << 4,       /* CR and LF */
	CHAR_CTL = 1 << 5,        /* %x00-1F and %x7F */
	CHAR_ATEXT = 1 << 6,      /* RFC 5322 3.2.3 */
	CHAR_LDH = 1 << 7,        /* letter, digit, hyphen: RFC 5321 4.1.2 sub-domain */
	CHAR_FTEXT = 1 << 8,      /* RFC 5322 3.6.8 field name: %d33-57, %d59-126 */
	CHAR_TOKEN = 1 << 9,      /* RFC 2045 5.1 */
	CHAR_BASE64 = 1 << 10,    /* RFC 4648 4, without the pad */
	CHAR_IMAP_ATOM = 1 << 11, /* RFC 3501 9 ATOM-CHAR */
	CHAR_XCHAR = 1 << 12,     /* RFC 3461 4: %d33-126 without + and = */
	CHAR_8BIT = 1 << 13,      /* %x80-FF */
	CHAR_VCHAR = 1 << 14,     /* %x21-7E */
	CHAR_PLAIN = 1 << 15, /* %x20-7E without " and \: stands for itself in a quoted string */
};

extern const u16 char_classes[256];

static inline bool char_is(u8 byte, unsigned classes)
{
	return (char_classes[byte] & classes) != 0;
}

static inline u8 char_lower(u8 byte)
{
	return byte >= 'A' && byte <= 'Z' ? (u8)(byte + 32) : byte;
}

static inline u8 char_upper(u8 byte)
{
	return byte >= 'a' && byte <= 'z' ? (u8)(byte - 32) : byte;
}

/* Value of a hexadecimal digit, -1 when it is none. */
int char_hex(u8 byte);

#endif
