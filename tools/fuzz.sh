#!/bin/sh
# Runs every fuzzer (clang's libFuzzer with ASan and UBSan) on its corpus, one on each processor: `fuzz.sh SECONDS [name...]`, at most SECONDS each. Crashing inputs
# land in build-fuzz/crashes; undefined behaviour is one. With POSTERN_FUZZ=docs/fuzz.json the executions are added to the ledger (tools/fuzz_ledger.py); then a fuzzer
# that has reached FUZZ_UNTIL executions there (default: no end) is passed over. FUZZ_JOBS: how many beside each
# other. FUZZ_MAX_LEN: longest input (default: libFuzzer's own choice). FUZZ_SEED: the same inputs each time.
# Two of libFuzzer's habits are off, for they take more time than the harnesses (perf: half of skeleton_fuzz, four fifths of pop3_fuzz): its entropic
# schedule counts every feature of a corpus at each execution, and it looks for leaks whenever a thread of a session frees what another
# allocated. Leaks are still looked for, at the end of each run.
# AddressSanitizer keeps 4 MiB of freed memory instead of 256: what was freed in this input or the last thousand is still seen, and the caches hold it.
# FUZZ_BULK=1: comparisons are not traced (build-bulk). That tracing guides the search, and takes a third of the time; it is for when a corpus
# has grown, and executions are wanted.
set -eu
cd "$(dirname "$0")/.."
seconds=$1
shift
mkdir -p build-fuzz/crashes
names=$(tools/sources.sh fuzz | sed 's|^src/||; s|\.c$||; s|/|.|g')
folder=build-fuzz
targets=
options="-Dfuzz=true -Dtests=false -Db_sanitize=address,undefined -Db_lundef=false"
if [ -n "${FUZZ_BULK:-}" ]; then
	folder=build-bulk
	options="$options -Dc_args=-fno-sanitize-coverage=trace-cmp,stack-depth"
	targets=$names
fi
# shellcheck disable=SC2086
CC=clang tools/build.sh "$folder" "$options" $targets >build-fuzz/build.log 2>&1 || {
	grep -E 'error|FAILED|undefined' build-fuzz/build.log || tail -20 build-fuzz/build.log
	exit 1
}
export FUZZ_BUILD="$folder"
export ASAN_OPTIONS="quarantine_size_mb=4:malloc_context_size=1:max_malloc_fill_size=16:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}"
# A control: undefined behaviour must end a fuzzer, with an input kept.
clang -fsanitize=fuzzer,address,undefined tools/fuzz_control.c -o build-fuzz/control
if build-fuzz/control -runs=100000 -artifact_prefix=build-fuzz/control- >build-fuzz/control.log 2>&1 || ! ls build-fuzz/control-crash-* >/dev/null; then
	echo "the control's overflow went unnoticed"
	exit 1
fi
rm -f build-fuzz/control-crash-*
rm -f build-fuzz/failed
for name in "$@"; do
	echo "$names" | grep -qx "$name" || {
		echo "no fuzzer is called $name"
		exit 1
	}
done
status=0
for name in $names; do
	if [ $# -eq 0 ] || echo "$*" | tr ' ' '\n' | grep -qx "$name"; then echo "$name"; fi
done | xargs -P "${FUZZ_JOBS:-$(nproc)}" -n 1 tools/fuzz_one.sh "$seconds" || status=1
echo "fuzzers that failed: $(cat build-fuzz/failed 2>/dev/null | wc -l)"
exit "$status"
