#!/bin/sh
# Configures a build folder when it is new or files came or went, then builds: `build.sh FOLDER "meson options" [target...]`.
set -eu
cd "$(dirname "$0")/.."
folder=$1
options=$2
shift 2
list=$(for kind in code test fuzz; do tools/sources.sh $kind; done)
if [ ! -f "$folder/build.ninja" ]; then
	# shellcheck disable=SC2086
	meson setup "$folder" $options >/dev/null
elif [ "$list" != "$(cat "$folder/sources" 2>/dev/null)" ]; then
	meson setup --reconfigure "$folder" >/dev/null
fi
echo "$list" >"$folder/sources"
ninja -C "$folder" "$@"
