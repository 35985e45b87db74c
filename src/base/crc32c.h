/* CRC-32C (Castagnoli; RFC 3720 appendix B.4), by SSE 4.2 where the machine has it. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/str.h"

/* Start with 0; feed the last answer back to go on. */
u32 crc32c(u32 crc, str bytes);

#endif
