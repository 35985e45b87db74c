/*
 * An arena is a lifetime: turn, session, process. What it gives lives until arena_reset or
 * arena_free; nothing is freed singly. It also owns descriptors and other things with a release
 * function, so that an early return leaks nothing. Owned by one thread at a time.
 *
 * The budget is soft, so that allocation never returns NULL: once the sum passes it the arena is
 * "over", and the next TRY(arena_check(a)) is an ordinary temporary failure. Loops over input
 * of a peer's choosing call arena_check as they go. At ARENA_HARD times the budget the arena aborts:
 * a loop forgot to.
 *
 * In builds with tests the memory of a lifetime that ended is overwritten, and AddressSanitizer knows what is not given out: it
 * sees no "%.*s" in formats, but garbage in a result is seen by any test.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"
#include "base/types.h"

struct arena;
struct fail;

enum { ARENA_HARD = 8 };

struct arena *arena_new(size_t budget); /* gives */
void arena_free(struct arena **a);      /* releases what it owns, newest first; nulls */
void arena_reset(struct arena *a);      /* the same, but keeps the first chunk for use again */

/* Zeroed, aligned for any type, never NULL; n may be 0. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull));
#define arena_new_of(a, type) ((type *)arena_alloc((a), sizeof(type)))
/* An array; count is checked against overflow (CHECK), so bound it first when a peer chose it. */
void *arena_array(struct arena *a, size_t count, size_t size) __attribute__((returns_nonnull));
#define arena_array_of(a, count, type) ((type *)arena_array((a), (count), sizeof(type)))

const struct fail *arena_check(const struct arena *a) NODISCARD;
size_t arena_used(const struct arena *a);
size_t arena_left(const struct arena *a); /* of the budget; 0 when it is over */

/* Takes fd: closed when the arena goes. Returns fd. Negative values are left alone. */
int arena_own_fd(struct arena *a, int fd);
/* Gives fd back to the caller: the arena forgets it. CHECKs that it owned it. */
int arena_give_fd(struct arena *a, int fd);
/* Calls release(object) when the arena goes. */
void arena_own(struct arena *a, void (*release)(void *object), void *object);

#endif
