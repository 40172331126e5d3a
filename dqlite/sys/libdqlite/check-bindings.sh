#!/usr/bin/env bash
# Generates the bindings anew and compares them with the committed ones.
. "$(dirname "$0")/../../../e2e/setup/common.sh"
"$ROOT/e2e/setup/packages.sh" bindings
cd "$ROOT"
DQLITE_BINDINGS_OUT=$ROOT/target/bindings.rs cargo build -q -p libdqlite-sys --features bindgen
diff dqlite/sys/src/bindings.rs target/bindings.rs || { echo "bindings are not current: run make bindings" && exit 1; }
