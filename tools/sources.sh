#!/bin/sh
# Lists C files under src/ for meson.build: `sources.sh code|test|fuzz`. A file's name says what it is.
set -eu
cd "$(dirname "$0")/.."
case "$1" in
code) find src -name '*.c' ! -name '*_test.c' ! -name '*_fuzz.c' ! -path src/main.c ;;
test) find src -name '*_test.c' ;;
fuzz) find src -name '*_fuzz.c' ;;
esac | LC_ALL=C sort
