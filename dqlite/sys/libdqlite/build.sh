#!/usr/bin/env bash
# Builds libdqlite as a static archive from Debian's source package. The one way in which development,
# CI and the node image get the library. Two minutes the first time, then nothing.
#   build.sh          build, unless it is in the cache
#   build.sh --path   print the directory: lib/libdqlite.a, include/dqlite.h (DQLITE_LIB_DIR is its lib)
#
# The source comes through an apt root of its own: the machine's sources and lists stay as they are.
# The archive's address is the one that the machine uses already; Debian's keyring checks the rest.
. "$(dirname "$0")/../../../e2e/setup/common.sh"

VERSION=1.18.7
REVISION=1
SUITE=testing
SHA256=cf244ef937d419edd93aed3960d8222b38f09af82acca78fde586c3d04c35a52

OUT=$(cache_dir "libdqlite-$VERSION" "$ROOT/dqlite/sys/libdqlite/build.sh")

archive() {
	apt-get indextargets --format '$(CREATED_BY)|$(COMPONENT)|$(REPO_URI)' |
		awk -F'|' '$1 == "Packages" && $2 == "main" && $3 !~ /security/ { print $3; exit }'
}

private_apt() { # ROOT ARGUMENT...
	local root=$1
	shift
	apt-get -q -o "Dir::Etc::SourceList=$root/sources.list" -o "Dir::Etc::SourceParts=$root/parts" \
		-o "Dir::State::Lists=$root/lists" -o "Dir::State::status=$root/status" \
		-o "Dir::Cache=$root/cache" -o APT::Sandbox::User=root "$@"
}

fetch() { # DIR: leaves the checked source in DIR/src
	local dir=$1 root=$1/apt uri tar=dqlite_$VERSION.orig.tar.gz
	uri=$(archive)
	[ -n "$uri" ] || { echo "this machine's apt has no Debian archive with a main component" >&2; return 1; }
	mkdir -p "$root/lists/partial" "$root/cache/archives/partial" "$root/parts" "$dir/src"
	: >"$root/status"
	echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $SUITE main" >"$root/sources.list"
	private_apt "$root" update
	(cd "$dir" && private_apt "$root" source --download-only "dqlite=$VERSION-$REVISION" &&
		sha256sum --check <<<"$SHA256  $tar")
	tar -xf "$dir/$tar" -C "$dir/src" --strip-components=1
}

build() { # OUT
	local work=$1/work
	mkdir "$work" "$1/lib" "$1/include"
	fetch "$work"
	(
		cd "$work/src"
		autoreconf -i
		# Its backtrace hides in a weak symbol that a static link drops: a failed assertion would jump
		# to address 0 instead of printing itself.
		CFLAGS='-g -O2 -fPIC' ./configure --enable-static --disable-shared --disable-backtrace
		make -j2 libdqlite.la
	)
	cp "$work/src/.libs/libdqlite.a" "$1/lib/"
	cp "$work/src/include/dqlite.h" "$1/include/"
	rm -rf "$work"
}

if [ "${1:-}" = --path ]; then
	echo "$OUT"
else
	build_once "$OUT" build
fi
