// The control of tools/analyze.py: memory freed twice. Each of its tools must say so.
#include <stdlib.h>

int analyze_control(void);
int analyze_control(void) {
	char *bytes = malloc(8);
	if (bytes == NULL) return 1;
	free(bytes);
	free(bytes);
	return 0;
}
