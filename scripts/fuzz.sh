#!/bin/sh
# Runs every fuzz target of the module, one after the other, each for the time
# given: scripts/fuzz.sh 30s
set -eu

cd "$(dirname "$0")/.."
time=${1:-30s}

grep -rlE --include='*_test.go' --exclude-dir='.*' '^func Fuzz[A-Z]' . | sort | while read -r file; do
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
		echo "fuzz: $target in $(dirname "$file") for $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$(dirname "$file")" </dev/null
	done
done
