#!/usr/bin/env bash
# `make fuzz`: each target replays its corpus, then looks for more for FUZZ_SECONDS; FUZZ_ONLY names one.
# With `keep`, what was found to reach new code goes into the corpus, to be committed: a line in hex for each input.
#
# The flags are those by which cargo-fuzz has code tell the fuzzer where it went, but for a stable compiler.
. "$(dirname "$0")/../../e2e/setup/common.sh"

FUZZ=$ROOT/dqlite/fuzz
WORK=$ROOT/target/fuzz
seconds=${FUZZ_SECONDS:-30}
host=$(rustc -vV | sed -n 's/^host: //p')

build() {
	local tell=(level=4 inline-8bit-counters pc-table trace-compares) flags=-Cpasses=sancov-module flag
	for flag in "${tell[@]}"; do flags+=" -Cllvm-args=-sanitizer-coverage-$flag"; done
	# With a target named, what runs at build time is not told to tell.
	RUSTFLAGS=$flags CARGO_TARGET_DIR=$WORK cargo build -q --locked --release --target "$host" --manifest-path "$FUZZ/Cargo.toml"
}

# alone COMMAND...: in a network of its own, since a front dials where it is told to.
alone() { unshare --map-root-user --net sh -c 'ip link set lo up && exec "$@"' sh "$@"; }

# unpack TARGET: its corpus as libFuzzer wants it, a file for each input; what stands in seeds/ stays, whatever is kept.
unpack() {
	local line n=0
	rm -rf "$WORK/corpus/$1"
	mkdir -p "$WORK/corpus/$1" "$WORK/found/$1" "$WORK/fails/$1"
	while read -r line; do
		n=$((n + 1))
		basenc --base16 -d <<<"$line" >"$WORK/corpus/$1/$n"
	done < <(cat "$FUZZ"/{corpus,seeds}/"$1.hex" 2>/dev/null)
}

fuzz() {
	local target=$1 limit=(-runs=0)
	[ "$seconds" = 0 ] || limit=(-max_total_time="$seconds")
	unpack "$target"
	if alone "$WORK/$host/release/$target" "${limit[@]}" -timeout=10 -max_len=2048 -artifact_prefix="$WORK/fails/$target/" \
		"$WORK/found/$target" "$WORK/corpus/$target" >"$WORK/$target.log" 2>&1; then
		echo "    $target: $(tail -n 1 "$WORK/$target.log"), $(find "$WORK/corpus/$target" -type f | wc -l) inputs in the corpus"
	else
		tail -n 80 "$WORK/$target.log"
		echo "    $target: FAILED; the input is in $WORK/fails/$target"
		return 1
	fi
}

keep() {
	local target=$1 kept file
	kept=$(mktemp -d)
	unpack "$target"
	alone "$WORK/$host/release/$target" -set_cover_merge=1 "$kept" "$WORK/corpus/$target" "$WORK/found/$target" 2>/dev/null
	for file in "$kept"/*; do basenc --base16 -w0 "$file" && echo; done | sort >"$FUZZ/corpus/$target.hex"
	rm -r "$kept"
}

targets=${FUZZ_ONLY:-$(basename -s .rs "$FUZZ"/fuzz_targets/*)}
case ${1:-} in
one) fuzz "$2" ;;
keep) for target in $targets; do keep "$target"; done ;;
*)
	step "fuzz targets (3 min the first time)" build
	echo "==> fuzz, $seconds s each, two at a time ..."
	xargs -n 1 -P 2 "$0" one <<<"$targets"
	;;
esac
