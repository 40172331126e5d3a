#!/usr/bin/env bash
# apply.sh SOURCE: makes our fixes in libdqlite's source. Each NN-name.sh holds our own lines alone and
# names the place by a line that is there once; a place that is not found fails the build.
set -euo pipefail
FIXES=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$1"

# lines FILE PATTERN: numbers of the lines that match.
lines() { grep -nE -- "$2" "$1" | cut -d: -f1; }

# only FILE PATTERN [AFTER]: the number of the one line that matches; with AFTER, of the first one after it.
only() {
	local found
	if [ $# -eq 3 ]; then
		found=$(lines "$1" "$2" | awk -v after="$3" '$1 > after { print; exit }')
	else
		found=$(lines "$1" "$2")
	fi
	[ "$(wc -w <<<"$found")" -eq 1 ] || { echo "$FIX: $1 has no line, or several: $2" >&2 && exit 1; }
	echo "$found"
}

# replace FILE FROM TO: puts the text on standard input in the place of the line that matches FROM and
# those after it, up to the first that matches TO.
replace() {
	local first last
	first=$(only "$1" "$2")
	last=$first
	[ "$3" = "$2" ] || last=$(only "$1" "$3" "$first")
	splice "$1" $((first - 1)) "$last"
}

# after FILE FUNCTION PATTERN: puts the text on standard input behind the first line that matches PATTERN
# after the one line that matches FUNCTION.
after() {
	local place
	place=$(only "$1" "$3" "$(only "$1" "$2")")
	splice "$1" "$place" "$place"
}

splice() { # FILE KEEP-UP-TO GO-ON-AFTER
	local file=$1 text
	text=$(cat)
	{ head -n "$2" "$file" && printf '%s\n' "$text" && tail -n +$(($3 + 1)) "$file"; } >"$file.new"
	mv "$file.new" "$file"
}

for fix in "$FIXES"/[0-9]*.sh; do
	FIX=$(basename "$fix")
	# shellcheck source=/dev/null
	. "$fix"
	echo "applied $FIX"
done
