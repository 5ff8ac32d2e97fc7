#!/bin/sh
# Sees to what the build and the tests need besides Go modules: go, git, a C
# compiler (for go test -race), Node.js with two linters of OpenAPI documents and
# what the dashboard is made of, Chromium to test it in, and the server programs
# of PostgreSQL and Redis, from which the tests start servers of their own.
#
#   scripts/deps.sh                 checks, installs what is missing, says what it found
#   scripts/deps.sh install NAME…   installs distribution packages and nothing else (needs root)
#   scripts/deps.sh databases       says which databases the tests use
#   scripts/deps.sh browser         says which browser they use
#   scripts/deps.sh packages DIR    installs the npm packages of a directory
#
# Nothing to do is the usual case and changes nothing. TEST_DATABASE_URL names
# a PostgreSQL server to test on instead, and TEST_REDIS_URL a Redis; then no
# server programs of theirs are needed. CHROMIUM names a browser that is not
# found by itself.
set -eu

cd "$(dirname "$0")/.."
self=scripts/deps.sh

say() { printf 'deps: %s\n' "$*"; }
fail() {
	printf 'deps: %s\n' "$*" >&2
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# postgres_bin prints the directory that holds initdb and postgres. It looks
# where the tests look: in PATH, by pg_config, and where Debian puts the newest.
postgres_bin() {
	{
		if have initdb; then
			dirname "$(readlink -f "$(command -v initdb)" 2>/dev/null || command -v initdb)"
		fi
		if have pg_config; then pg_config --bindir; fi
		ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t / -k 5,5nr
	} | while read -r dir; do
		if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
			echo "$dir"
			break
		fi
	done | grep .
}

# postgres_name says which PostgreSQL the tests use.
postgres_name() {
	if [ -n "${TEST_DATABASE_URL:-}" ]; then
		echo "PostgreSQL, the server that TEST_DATABASE_URL names"
	else
		bin=$(postgres_bin)
		echo "$("$bin/postgres" --version | sed 's/^postgres (PostgreSQL) /PostgreSQL /'), programs in $bin"
	fi
}

# redis_bin prints the path of the Redis server, by the name the tests look for
# it in PATH. Valkey is Redis under another name.
redis_bin() {
	command -v redis-server || command -v valkey-server
}

# redis_name says which Redis the tests use.
redis_name() {
	if [ -n "${TEST_REDIS_URL:-}" ]; then
		echo "Redis, the server that TEST_REDIS_URL names"
	else
		bin=$(redis_bin)
		echo "$("$bin" --version | sed 's/^\([^ ]*\) server v=\([^ ]*\).*/\1 \2/'), program $bin"
	fi
}

# browser prints the path of Chromium, or of what is made of it.
browser() {
	if [ -n "${CHROMIUM:-}" ]; then
		command -v "$CHROMIUM"
		return
	fi
	for name in chromium chromium-browser google-chrome google-chrome-stable \
		'/Applications/Chromium.app/Contents/MacOS/Chromium' \
		'/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'; do
		command -v "$name" && return
	done
	return 1
}

c_compiler() {
	compiler=${CC:-$(go env CC)}
	# A compiler without the C library's headers is there and of no use.
	# shellcheck disable=SC2086 # CC may hold arguments
	printf '#include <stdlib.h>\nint main(void) { return 0; }\n' |
		$compiler -x c -o /dev/null - 2>/dev/null && echo "$compiler"
}

# missing prints the kinds of things that are not there.
missing() {
	have git || echo git
	c_compiler >/dev/null || echo compiler
	[ -n "${TEST_DATABASE_URL:-}" ] || postgres_bin >/dev/null || echo postgresql
	[ -n "${TEST_REDIS_URL:-}" ] || redis_bin >/dev/null || echo redis
	{ have node && have npm; } || echo node
	browser >/dev/null || echo chromium
}

# packages translates those kinds into the packages of package manager $1.
packages() {
	manager=$1
	shift
	for kind in "$@"; do
		case $manager:$kind in
		*:git) echo git ;;
		apt-get:compiler) echo gcc libc6-dev ;;
		apk:compiler) echo gcc musl-dev ;;
		dnf:compiler | zypper:compiler) echo gcc glibc-devel ;;
		*:compiler) echo gcc ;;
		dnf:postgresql | zypper:postgresql) echo postgresql-server ;;
		brew:postgresql) echo postgresql@17 ;;
		*:postgresql) echo postgresql ;;
		apt-get:redis) echo redis-server ;;
		pacman:redis) echo valkey ;;
		*:redis) echo redis ;;
		brew:node) echo node ;;
		*:node) echo nodejs npm ;;
		apt-get:chromium) if grep -qsx ID=ubuntu /etc/os-release; then echo chromium-browser; else echo chromium; fi ;;
		brew:chromium) echo google-chrome ;;
		*:chromium) echo chromium ;;
		esac
	done | tr '\n' ' '
}

# apt_install installs Debian packages. PostgreSQL's would create a database
# cluster and start it, and Redis' would start a server; settings that live as
# long as the installation say that neither is wanted. A Redis that was not
# there before is not started with the system either.
apt_install() {
	made=
	# shellcheck disable=SC2086 # one word per file
	trap 'rm -f $made' EXIT
	trap 'exit 1' HUP INT TERM
	conf=/etc/postgresql-common/createcluster.d/50-no-main-cluster.conf
	if [ ! -e "$conf" ]; then
		made=$conf
		mkdir -p "$(dirname "$conf")"
		echo 'create_main_cluster = false' >"$conf"
	fi
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		made="$made $policy"
		printf '%s\n' '#!/bin/sh' 'case " $* " in *" redis-server"*) exit 101 ;; esac' >"$policy"
		chmod +x "$policy"
	fi
	before=$(redis_package)
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" || return
	if [ -z "$before" ] && [ -n "$(redis_package)" ]; then
		update-rc.d redis-server disable
	fi
}

# redis_package prints something if Debian's package of Redis is installed.
redis_package() {
	dpkg-query -W -f '${db:Status-Status}\n' redis-server 2>/dev/null | grep -x installed || true
}

# get installs the kinds of things named, or says what to type and ends.
get() {
	if have apt-get; then
		# shellcheck disable=SC2046 # one word per package
		set -- $(packages apt-get "$@")
		if [ "$(id -u)" -ne 0 ]; then
			fail "missing: $*. Installing them needs root; type: sudo $PWD/$self install $*"
		fi
		say "installing with apt-get: $*"
		(apt_install "$@") || fail "apt-get could not install: $*"
		return
	fi
	for manager in dnf apk pacman zypper brew; do
		have "$manager" || continue
		names=$(packages "$manager" "$@")
		case $manager in
		apk) command="sudo apk add $names" ;;
		pacman) command="sudo pacman -S --needed $names" ;;
		brew)
			command="brew install $names"
			case " $* " in *" postgresql "*) command="$command && brew link --force postgresql@17" ;; esac
			case " $* " in *" compiler "*) command="xcode-select --install" ;; esac
			;;
		*) command="sudo $manager install $names" ;;
		esac
		fail "missing: $*. Type: $command"
	done
	fail "missing: $*. Install them with this system's package manager"
}

if [ "${1:-}" = install ]; then
	shift
	[ $# -gt 0 ] || fail "install what?"
	have apt-get || fail "install works with apt-get only"
	[ "$(id -u)" -eq 0 ] || fail "installing needs root; type: sudo $PWD/$self install $*"
	apt_install "$@"
	exit
fi

if [ "${1:-}" = databases ]; then
	echo "tested on SQLite, $(go list -m modernc.org/sqlite)"
	echo "tested on $(postgres_name)"
	echo "tested on $(redis_name)"
	exit
fi

if [ "${1:-}" = browser ]; then
	browser || fail "there is no Chromium; see $self"
	exit
fi

# npm_packages installs what package-lock.json of a directory names, unless that
# is there already. Nothing of it is run while it is installed.
npm_packages() {
	if ! cmp -s "$1/package-lock.json" "$1/node_modules/.installed-lock"; then
		say "installing npm packages in $1"
		npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund --loglevel=error || fail "npm could not install the packages of $1"
		cp "$1/package-lock.json" "$1/node_modules/.installed-lock"
	fi
}

if [ "${1:-}" = packages ]; then
	npm_packages "${2:?of which directory}"
	exit
fi

have go || fail "go is missing. Install Go $(sed -n 's/^go //p' go.mod) or later: https://go.dev/doc/install"
go list -m >/dev/null || fail "this Go cannot build the module. Install Go $(sed -n 's/^go //p' go.mod) or later: https://go.dev/doc/install"

absent=$(missing)
if [ -n "$absent" ]; then
	# shellcheck disable=SC2086 # one word per kind
	get $absent
	still=$(missing)
	[ -z "$still" ] || fail "installed, and still not found: $still"
fi

say "$(go env GOVERSION), $(git --version | sed 's/^git version /git /'), C compiler $(c_compiler)"
say "$(postgres_name)"
say "$(redis_name)"
npm_packages tools/openapi
npm_packages web
say "Node.js $(node --version), with packages in tools/openapi and web"
say "$("$(browser)" --version 2>/dev/null | sed 's/ *$//'), program $(browser)"
