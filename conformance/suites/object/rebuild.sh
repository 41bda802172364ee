#!/bin/sh
# Builds the example objects from their sources. They are committed, so nobody needs clang to run
# the tests; whoever changes a source runs this with clang 19 and libbpf's headers installed.
set -eu
cd "$(dirname "$0")"

CLANG=${CLANG:-clang-19}
STRIP=${STRIP:-llvm-strip-19}
INCLUDE="-I include -I/usr/include/$(uname -m)-linux-gnu"

# build SOURCE OBJECT CPU: BTF stays, DWARF goes.
build() {
	echo "$2"
	# shellcheck disable=SC2086
	"$CLANG" -target bpfel -mcpu="$3" -O2 -g -Wall -Wno-unused-function \
		-fdebug-prefix-map="$PWD"=. $INCLUDE -c "$1" -o "$2"
	"$STRIP" -g "$2"
}

for source in *.bpf.c; do
	build "$source" "${source%.c}.o" v3
done

# What each instruction-set version makes of the same source.
for name in arithmetic balancer checksum firewall globals siphash; do
	for cpu in v1 v2 v4; do
		build "$name.bpf.c" "$name.$cpu.bpf.o" "$cpu"
	done
done
