#!/bin/sh
# One fuzzer that fuzz.sh has built, on its corpus: `fuzz_one.sh SECONDS NAME`. What it says is in one piece, for others run beside it. fuzz.sh
# says what the environment may ask for, and which of libFuzzer's habits are off.
set -eu
cd "$(dirname "$0")/.."
seconds=$1
name=$2
runs=
if [ -n "${POSTERN_FUZZ:-}" ] && [ -n "${FUZZ_UNTIL:-}" ]; then
	left=$(tools/fuzz_ledger.py left "$name" "$FUZZ_UNTIL")
	[ "$left" -gt 0 ] || exit 0
	runs="-runs=$left"
fi
corpus=build-fuzz/corpus/$name
# src/text/header_fuzz.c has its seeds in src/text/corpus/header, its words in src/text/corpus/header.dict
folder=src/$(dirname "$(echo "${name%_fuzz}" | tr . /)")
word=$(echo "${name%_fuzz}" | sed 's/.*\.//')
mkdir -p "$corpus"
extra=
[ -d "$folder/corpus/$word" ] && extra="$folder/corpus/$word"
dict=
[ -f "$folder/corpus/$word.dict" ] && dict="-dict=$folder/corpus/$word.dict"
reduce=
[ -z "${FUZZ_BULK:-}" ] || reduce=-reduce_inputs=0 # looks at each input for a shorter form of others: a fifth of the time
length=${FUZZ_MAX_LEN:+-max_len=$FUZZ_MAX_LEN}
seed=${FUZZ_SEED:+-seed=$FUZZ_SEED}
log=build-fuzz/$name.log
crashed=0
# shellcheck disable=SC2086
"${FUZZ_BUILD:-build-fuzz}/$name" -entropic=0 -detect_leaks=0 -max_total_time="$seconds" -artifact_prefix=build-fuzz/crashes/"$name"- -print_final_stats=1 $runs $reduce $length $seed \
	$dict "$corpus" $extra 2>"$log" || crashed=1
# A run that did nothing found nothing.
executed=$(grep -a -oE 'number_of_executed_units: [0-9]+' "$log" | grep -oE '[0-9]+' || true)
if [ "$crashed" = 0 ] && [ "${executed:-0}" -eq 0 ]; then
	echo "nothing was executed" >>"$log"
	crashed=1
fi
said="== $name
$([ "$crashed" = 0 ] || tail -20 "$log" | tr -d "\000")
$(grep -a -E 'number_of_executed_units' "$log" || true)"
echo "$said" | grep -a -v '^$'
[ -z "${POSTERN_FUZZ:-}" ] || tools/fuzz_ledger.py add "$name" "$crashed" "$log"
[ "$crashed" = 0 ] || echo "$name" >>build-fuzz/failed
exit "$crashed"
