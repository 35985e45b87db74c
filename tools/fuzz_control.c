// The control of tools/fuzz.sh: a harness with undefined behaviour and no other fault. It must be noticed.
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	volatile int sum = INT_MAX;
	if (n > 0) sum += 1 + (data[0] & 1);
	return 0;
}
