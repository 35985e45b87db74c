#!/bin/sh
# Writes docs/man and conf/postern.conf from the tables; with --check says what differs, and what mandoc thinks of it.
set -eu
cd "$(dirname "$0")/.."
postern=${POSTERN:-build-test/postern}
[ -x "$postern" ] || postern=build/postern
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$postern" manual 1 >"$work/postern.1"
"$postern" manual 5 >"$work/postern.conf.5"
"$postern" config sample >"$work/postern.conf"
if [ "${1:-}" = --check ]; then
	diff -u docs/man/postern.1 "$work/postern.1"
	diff -u docs/man/postern.conf.5 "$work/postern.conf.5"
	diff -u conf/postern.conf "$work/postern.conf"
	mandoc -T lint -W warning docs/man/postern.1 docs/man/postern.conf.5 | grep -v 'new sentence, new line' && exit 1
	exit 0
fi
mkdir -p docs/man
cp "$work/postern.1" "$work/postern.conf.5" docs/man/
cp "$work/postern.conf" conf/
