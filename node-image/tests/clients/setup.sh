#!/usr/bin/env bash
# Gets clients that others made, for the test that they get on with our nodes (1 min the first time):
#   shell    the `dqlite` command of Debian 12's package go-dqlite
#   go       nulls.go on the database/sql driver of go-dqlite
#   python   nulls.py on dqlite-client from PyPI, with a Python of Debian 13 that it needs
#   setup.sh          fetch and build, unless they are in the cache
#   setup.sh --path   print the directory that holds the three; each is given a node's address
. "$(dirname "$0")/../../../e2e/setup/common.sh"
. "$ROOT/e2e/setup/apt.sh"

HERE=$ROOT/node-image/tests/clients
OUT=$(cache_dir clients "$HERE"/setup.sh "$HERE"/requirements.txt "$HERE"/nulls.*)

unpack() { # DIR SUITE PACKAGE...: into DIR/root
	local dir=$1 suite=$2 deb
	shift 2
	mkdir -p "$dir/root"
	apt_root "$dir/apt" deb "$suite"
	(cd "$dir" && private_apt "$dir/apt" download "$@")
	for deb in "$dir"/*.deb; do dpkg -x "$deb" "$dir/root"; done
	rm -rf "$dir/apt" "$dir"/*.deb
}

command_for() { # FILE LINE: a command that runs this, wherever its directory is moved
	printf '#!/bin/sh\nhere=$(dirname "$0")\n%s\n' "$2" >"$1"
	chmod +x "$1"
}

build() {
	local out=$1 debian=$1/debian/root python=$1/trixie/root
	unpack "$out/debian" bookworm go-dqlite libdqlite0 libraft2 golang-github-canonical-go-dqlite-dev \
		golang-github-rican7-retry-dev golang-github-google-renameio-dev golang-github-pkg-errors-dev \
		golang-golang-x-sync-dev golang-gopkg-yaml.v2-dev golang-github-ghodss-yaml-dev golang-github-mattn-go-sqlite3-dev
	command_for "$out/shell" 'LD_LIBRARY_PATH="$here"/debian/root/usr/lib/x86_64-linux-gnu exec "$here/debian/root/usr/bin/dqlite" -s "$1" app \
  "DROP TABLE IF EXISTS t;CREATE TABLE t (i INTEGER, b BOOLEAN, d DATETIME);INSERT INTO t VALUES (NULL, NULL, NULL);SELECT i, b, d FROM t"'
	CGO_ENABLED=1 GO111MODULE=off GOFLAGS='' GOPATH=$debian/usr/share/gocode \
		go build -tags libsqlite3 -o "$out/go" "$HERE/nulls.go"

	unpack "$out/trixie" trixie python3.13-minimal libpython3.13-minimal libpython3.13-stdlib python3-pip-whl \
		libc6 libssl3t64 libexpat1 zlib1g libffi8
	command_for "$out/python3.13" 'root=$here/trixie/root/usr
export PYTHONHOME="$root" PYTHONPATH="$here/site"
exec "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/lib/x86_64-linux-gnu" "$root/bin/python3.13" "$@"'
	"$out/python3.13" "$(echo "$python"/usr/share/python-wheels/pip-*.whl)/pip" install -q --no-compile --root-user-action=ignore --target "$out/site" \
		--require-hashes -r "$HERE/requirements.txt"
	cp "$HERE/nulls.py" "$out/"
	command_for "$out/python" 'exec "$here/python3.13" "$here/nulls.py" "$@"'
}

case ${1:-} in
--path) echo "$OUT" ;;
*) build_once "$OUT" build ;;
esac
