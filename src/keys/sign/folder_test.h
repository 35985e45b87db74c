/* A test's folder goes with all that is in it. */
#ifndef KEYS_SIGN_FOLDER_TEST_H
#define KEYS_SIGN_FOLDER_TEST_H

#include <ftw.h>
#include <stdio.h>

static inline int folder_remove_one(const char *path, const struct stat *st, int kind,
				    struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline void folder_remove(const char *folder)
{
	assert_int_equal(nftw(folder, folder_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
