#!/bin/sh
# make demo: starts `postern dev`, sends a dozen messages with a real client (curl), shows an inbox as IMAP gives it, says how to
# look further, and runs until Ctrl-C. DEMO_ONCE=1 ends after the tour; DEMO_PORT_BASE moves the ports.
set -eu
cd "$(dirname "$0")/.."
postern=$1
base=${DEMO_PORT_BASE:-10000}
work=$(mktemp -d /tmp/postern-demo-XXXXXX)
server=
finish() {
	[ -n "$server" ] && kill -TERM "$server" 2>/dev/null && wait "$server" 2>/dev/null
	rm -rf "$work"
}
trap 'finish; trap - EXIT; exit 0' INT TERM HUP
trap finish EXIT

"$postern" dev --port-base "$base" >"$work/out" 2>"$work/log" &
server=$!
tries=0
until grep -qx ready "$work/out"; do
	tries=$((tries + 1))
	if ! kill -0 "$server" 2>/dev/null || [ $tries -gt 300 ]; then
		echo "postern dev did not start:" >&2
		tail -20 "$work/log" >&2
		exit 1
	fi
	sleep 0.1
done
echo "Postern is running:"
sed 's/^/  /' "$work/out"

# from the world, on port 25; STARTTLS with the self-signed certificate of this throwaway instance
from_outside() {
	curl -sS --ssl-reqd -k "smtp://127.0.0.1:$((base + 25))/elsewhere.example" --mail-from "$2" --mail-rcpt "$3" --upload-file "$1"
}
# from our own people, on the submissions port, with a login
from_us() {
	curl -sS -k "smtps://127.0.0.1:$((base + 465))/laptop.example" --user "$2@example.test:$2" --mail-from "$2@example.test" \
		--mail-rcpt "$3" --upload-file "$1"
}
echo
echo "Sending twelve messages, ten through port $((base + 25)) and two through port $((base + 465)):"
for file in tools/demo/0*.eml tools/demo/10-*.eml; do
	echo "  $(basename "$file")"
	case $file in
	*06-* | *09-*) to=bob@example.test ;;
	*) to=alice@example.test ;;
	esac
	from_outside "$file" sender@elsewhere.example "$to"
done
for pair in 11-from-bob:bob:alice 12-from-alice:alice:bob; do
	file=tools/demo/${pair%%:*}.eml
	rest=${pair#*:}
	echo "  $(basename "$file")"
	from_us "$file" "${rest%%:*}" "${rest#*:}@example.test"
done

imap() {
	curl -sS -k "imaps://127.0.0.1:$((base + 993))/$2" --user "$1@example.test:$1" -X "$3"
}
tries=0
until imap alice INBOX "SEARCH ALL" | grep -q ' 9'; do
	tries=$((tries + 1))
	if [ $tries -gt 100 ]; then
		echo "the messages did not all arrive" >&2
		exit 1
	fi
	sleep 0.1
done
echo
echo "Alice's inbox, as IMAP gives it:"
imap alice INBOX 'FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE)' | tr -d '\r' | while read -r _ number _ rest; do
	echo "  $number $rest"
	curl -sS -k "imaps://127.0.0.1:$((base + 993))/INBOX;MAILINDEX=$number;SECTION=HEADER.FIELDS%20(FROM%20SUBJECT)" \
		--user alice@example.test:alice | tr -d '\r' | grep . | sed 's/^/      /'
done
echo
echo "Look for yourself:"
cat <<TEXT
  curl -k 'imaps://127.0.0.1:$((base + 993))/INBOX;UID=1' --user alice@example.test:alice
  curl -k 'imaps://127.0.0.1:$((base + 993))/INBOX' --user alice@example.test:alice -X 'FETCH 3 BODYSTRUCTURE'
  mutt -f 'imaps://alice%40example.test@127.0.0.1:$((base + 993))/'        password: alice
  Thunderbird: account alice@example.test, password alice
    incoming IMAP  server localhost  port $((base + 993))  SSL/TLS  normal password
    outgoing SMTP  server localhost  port $((base + 465))  SSL/TLS  normal password
TEXT
if [ "${DEMO_ONCE:-}" = 1 ]; then
	finish
	server=
	trap - EXIT
	echo "(DEMO_ONCE: stopped)"
	exit 0
fi
echo
echo "Running until Ctrl-C."
wait "$server"
