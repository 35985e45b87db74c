#!/bin/sh
# Runs every fuzzer for the given seconds on its corpus: `fuzz.sh 60 [name...]`. Crashing inputs land in build-fuzz/crashes.
set -eu
cd "$(dirname "$0")/.."
seconds=$1
shift
CC=clang tools/build.sh build-fuzz "-Dfuzz=true -Dtests=false -Db_sanitize=address,undefined -Db_lundef=false" >/dev/null
mkdir -p build-fuzz/crashes
failed=0
for binary in build-fuzz/*_fuzz; do
	name=$(basename "$binary")
	if [ $# -gt 0 ] && ! echo "$*" | grep -qw "$name"; then continue; fi
	corpus=build-fuzz/corpus/$name
	# src/text/header_fuzz.c has its seeds in src/text/corpus/header, its words in src/text/corpus/header.dict
	folder=src/$(dirname "$(echo "${name%_fuzz}" | tr . /)")
	word=$(echo "${name%_fuzz}" | sed 's/.*\.//')
	mkdir -p "$corpus"
	set -- "$@"
	extra=
	[ -d "$folder/corpus/$word" ] && extra="$folder/corpus/$word"
	dict=
	[ -f "$folder/corpus/$word.dict" ] && dict="-dict=$folder/corpus/$word.dict"
	echo "== $name"
	"$binary" -max_total_time="$seconds" -artifact_prefix=build-fuzz/crashes/"$name"- -print_final_stats=1 $dict "$corpus" $extra \
		2>build-fuzz/"$name".log || { failed=$((failed + 1)); tail -20 build-fuzz/"$name".log; }
	grep -E 'number_of_executed_units' build-fuzz/"$name".log || true
done
echo "fuzzers that failed: $failed"
[ "$failed" = 0 ]
