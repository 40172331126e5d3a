#!/usr/bin/env bash
# Compiles every library by itself: in a workspace a missing feature hides behind another crate's.
. "$(dirname "$0")/common.sh"
cd "$ROOT"
for crate in dqlite-wire dqlite-client dqlite-engine libdqlite-sys operator-plan operator-api node-api dqlite; do
	cargo check -q -p "$crate"
done
