# Runs in the guest: two tracers (one for the reader, one for the check) beside
# one drill. Arguments: the device, the cycles, the divider.
device=$1 cycles=$2 divider=$3

fail() {
	echo "remap demo: $*" >&2
	exit 1
}

# Waits until a tracer has reported that its probes are attached.
ready() {
	until [ -e "$1" ]; do
		kill -0 "$2" 2>/dev/null || fail "remap trace ended before it was ready"
		usleep 10000
	done
}

remap trace --device "$device" --fail-on-loss --ready-file /run/text.ready >/run/text &
text=$!
remap trace --device "$device" --fail-on-loss --json --ready-file /run/json.ready >/run/json &
json=$!
ready /run/text.ready $text
ready /run/json.ready $json

remap drill "$device" --cycles "$cycles" || fail "remap drill exited with $?"

kill -INT $text $json
wait $text || fail "remap trace exited with $?"
wait $json || fail "remap trace --json exited with $?"
cat /run/text
printf %s "$divider"
cat /run/json
