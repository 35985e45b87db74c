#!/bin/sh
# Installs Debian packages that are missing: `install.sh build`, `install.sh test`, `install.sh bench`. Quiet when all are there.
set -eu
build="build-essential meson ninja-build pkg-config libssl-dev libsqlite3-dev libunbound-dev libseccomp-dev libcrypt-dev
	libidn2-dev libutf8proc-dev zlib1g-dev libexpat1-dev libjansson-dev dns-root-data"
demo="curl"
test="clang clang-format libclang-rt-14-dev libcmocka-dev python3 curl swaks msmtp isync fetchmail mutt postfix nsd ldnsutils libnet-ssleay-perl
	strace nftables iproute2 openssl mandoc python3-spf python3-dkim python3-nacl libopendkim-dev libopendmarc-dev libxml2-utils lld llvm"
bench="postfix dovecot-imapd dovecot-lmtpd linux-perf valgrind opendkim opendmarc"
analyze="clang-tidy cppcheck"
case "$1" in
build) wanted=$build ;;
demo) wanted="$build $demo" ;;
test) wanted="$build $demo $test" ;;
analyze) wanted="$build clang $analyze" ;;
bench) wanted="$build $demo $test $bench" ;;
*) echo "usage: $0 build|demo|test|analyze|bench" >&2; exit 2 ;;
esac
missing=
for p in $wanted; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
echo "installing:$missing"
$as_root apt-get update -qq
# No daemon of Debian's is to start: the tests start their own.
$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >/dev/null
