# Shared by every script of the project; source it. Says what runs and how long it took, and keeps
# third-party builds in a cache outside the tree, so that a half-done build is never taken for a whole one.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${DQLITE_OPERATOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dqlite-operator}
export ROOT CACHE
mkdir -p "$CACHE/log"

# step TEXT COMMAND...: runs the command and prints how long it took; on failure prints the end of
# its output. V=1 shows all output as it comes.
step() {
	local text=$1 start=$SECONDS log
	shift
	log="$CACHE/log/$(tr -cs 'a-zA-Z0-9' '-' <<<"$text" | cut -c1-60).log"
	printf '==> %s ...\n' "$text"
	if [ -n "${V:-}" ]; then
		"$@"
	elif ! "$@" >"$log" 2>&1; then
		tail -n 60 "$log"
		printf '==> FAILED after %d s: %s (all of it in %s)\n' $((SECONDS - start)) "$text" "$log"
		exit 1
	fi
	printf '    done in %d s\n' $((SECONDS - start))
}

# cache_dir NAME FILE...: where the build of NAME from these input files belongs.
cache_dir() {
	local name=$1
	shift
	echo "$CACHE/$name-$(cat "$@" | sha256sum | cut -c1-12)"
}

# build_once DIR COMMAND...: runs `COMMAND... SCRATCH` and renames SCRATCH to DIR when it succeeds.
build_once() {
	local dir=$1
	shift
	[ -d "$dir" ] && return 0
	(
		flock 9
		[ -d "$dir" ] && exit 0
		rm -rf "$dir.partial"
		mkdir -p "$dir.partial"
		"$@" "$dir.partial"
		mv "$dir.partial" "$dir"
	) 9>"$dir.lock"
}
