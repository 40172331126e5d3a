#!/usr/bin/env bash
# `make e2e`: the end-to-end suite on a Kubernetes of its own. Arguments are passed on to the tests'
# binaries (a name picks tests). Figures go to e2e/report/, what one needs to see why too.
. "$(dirname "$0")/common.sh"

"$ROOT/e2e/setup/up.sh" test
. "$ROOT/e2e/setup/kubeconfig.sh" test
rm -rf "$ROOT/e2e/report"
mkdir -p "$ROOT/e2e/report/lines" "$ROOT/e2e/report/skipped"
cd "$ROOT"
step "build the suite" cargo test -q -p dqlite-e2e --no-run

started=$SECONDS failed=
# One at a time: most would not disturb each other, but leave two cores too little for their writers.
for tests in clusters life loss nodes operator alone; do
	cargo test -q -p dqlite-e2e --test $tests -- --nocapture --test-threads=1 "$@" || failed=1
done
{
	echo '| test | rows acknowledged | unknown | lost | longest gap | note |'
	echo '| --- | --- | --- | --- | --- | --- |'
	cat "$ROOT"/e2e/report/lines/* 2>/dev/null || true
} >"$ROOT/e2e/report/table.md"
echo "==> the suite took $((SECONDS - started)) s"
cat "$ROOT/e2e/report/table.md"
skipped=$(find "$ROOT/e2e/report/skipped" -type f | wc -l)
if [ "$skipped" -gt 0 ]; then
	echo "==> $skipped tests were skipped: this Kubernetes lacks what they need (e2e/report/skipped)"
	[ -n "$(ls "$ROOT/e2e/report/lines")" ] || { echo "==> FAILED; no test ran" && exit 1; }
fi
[ -z "$failed" ] || { echo "==> FAILED; objects, events and logs are in e2e/report/failures" && exit 1; }
