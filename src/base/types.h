/* Fixed-width names and the two or three macros that every file uses. */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t i64;

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Checked sums and products of sizes; false on overflow (STYLE rule 5). */
#define size_add(a, b, out) (!__builtin_add_overflow((a), (b), (out)))
#define size_mul(a, b, out) (!__builtin_mul_overflow((a), (b), (out)))

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF(text, first) __attribute__((format(printf, text, first)))

#endif
