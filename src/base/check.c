#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

void check_failed(const char *file, int line, const char *what)
{
	char text[512];
	int n = snprintf(text, sizeof text, "level=fatal event=check.failed at=%s:%d what=\"%s\"\n",
			 file, line, what);
	size_t length = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;

	/* Straight to the descriptor: the log thread may be what is broken. */
	if (write(STDERR_FILENO, text, length) < 0)
		_exit(70);
	log_flush(); /* what led to it */
	abort();
}
