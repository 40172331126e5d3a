# Packages of another Debian suite through an apt root of its own; source it after common.sh. The machine's
# sources and lists stay as they are. The archive's address is the one that the machine uses already;
# Debian's keyring checks the rest.

archive() {
	apt-get indextargets --format '$(CREATED_BY)|$(COMPONENT)|$(REPO_URI)' |
		awk -F'|' '$1 == "Packages" && $2 == "main" && $3 !~ /security/ { print $3; exit }'
}

# apt_root ROOT KIND SUITE: makes one, KIND being deb or deb-src.
apt_root() {
	local root=$1 kind=$2 suite=$3 uri
	uri=$(archive)
	[ -n "$uri" ] || { echo "this machine's apt has no Debian archive with a main component" >&2; return 1; }
	mkdir -p "$root/lists/partial" "$root/cache/archives/partial" "$root/parts"
	: >"$root/status"
	echo "$kind [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" >"$root/sources.list"
	private_apt "$root" update
}

private_apt() { # ROOT ARGUMENT...
	local root=$1
	shift
	apt-get -q -o "Dir::Etc::SourceList=$root/sources.list" -o "Dir::Etc::SourceParts=$root/parts" \
		-o "Dir::State::Lists=$root/lists" -o "Dir::State::status=$root/status" \
		-o "Dir::Cache=$root/cache" -o APT::Sandbox::User=root "$@"
}
