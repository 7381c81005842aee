#!/usr/bin/env bash
# Everything that the snapshot factory makes, loaded by the reference client and compared with what icecore states
# about it. Takes minutes to build (see README.md), then a minute to run.
#
#   interop/check.sh              bundled archives and feed
#   ICECORE_SHARED=DIR ...        also the sets in DIR/data
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --release -p icecore
(cd interop && CARGO_TARGET_DIR="$target/interop" cargo build --release --locked)
icecore=$target/release/icecore
interop=$target/interop/release/icecore-interop
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cases=0

# compare NAME GENESIS_FOLDER|- FULL [INCREMENTAL]
compare() {
  local name=$1 genesis=$2
  shift 2
  local arguments=(--icecore "$icecore" --work "$work" --full "$1")
  [ $# -lt 2 ] || arguments+=(--incremental "$2")
  [ "$genesis" = - ] || arguments+=(--genesis "$genesis")
  if ! answer=$("$interop" "${arguments[@]}" 2>"$work/log"); then
    tail -5 "$work/log"
    printf '%s: %s\n' "$name" "$answer"
    exit 1
  fi
  printf '%-44s %s\n' "$name" "$answer"
  cases=$((cases + 1))
}

# made FOLDER: the one archive in it, or the one of a class with a pattern
made() { find "$1" -maxdepth 1 -name "${2:-*snapshot-*.tar*}" ! -name '*.idx' | sort | tail -1; }

quietly() { "$@" >/dev/null 2>"$work/log" || { cat "$work/log"; exit 1; }; }

# What is made of archives alone.
of_archives() {
  local name=$1 genesis=$2 full=$3 incremental=$4 out=$work/$1
  compare "$name" "$genesis" "$full" "$incremental"
  # The client reads no plain tar since 3.0.
  for format in zstd lz4; do
    mkdir -p "$out/recompress-$format"
    quietly "$icecore" snapshot recompress "$full" -o "$out/recompress-$format" --snapshot-archive-format "$format" --frame-size 1MiB
    compare "$name, recompressed ($format)" "$genesis" "$(made "$out/recompress-$format")"
  done
  for option in "" --pack; do
    mkdir -p "$out/merge$option"
    quietly "$icecore" snapshot merge "$full" "$incremental" -o "$out/merge$option" $option
    compare "$name, merged $option" "$genesis" "$(made "$out/merge$option")"
  done
  mkdir -p "$out/minimize"
  quietly "$icecore" snapshot minimize "$full" "$incremental" -o "$out/minimize" \
    --program-accounts TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA
  compare "$name, minimized" "$genesis" "$(made "$out/minimize")"
}

# What is made of a store: fulls and incrementals at slots of a feed, by commands and by the node.
of_a_store() {
  local name=$1 genesis=$2 base=$3 feed=$4 first=$5 last=$6 out=$work/$1
  mkdir -p "$out/create" "$out/pack" "$out/node"
  quietly "$icecore" restore "$base" --store "$out/store"
  quietly "$icecore" ingest slots "$feed" --store "$out/store"
  quietly "$icecore" snapshot create "$first" --store "$out/store" -o "$out/create"
  quietly "$icecore" snapshot create "$last" --store "$out/store" -o "$out/create" --incremental --base "$first"
  local full incremental
  full=$(made "$out/create" "snapshot-$first-*")
  incremental=$(made "$out/create" "incremental-snapshot-$first-$last-*")
  compare "$name, created at $first" "$genesis" "$full"
  compare "$name, created at $first and $last" "$genesis" "$full" "$incremental"
  quietly "$icecore" snapshot create "$last" --store "$out/store" -o "$out/pack" --pack
  compare "$name, created at $last, packed" "$genesis" "$(made "$out/pack")"
  "$icecore" run --store "$out/store" --snapshots "$out/node" >/dev/null 2>"$work/node" &
  local node=$!
  for _ in $(seq 100); do
    "$icecore" request stats --store "$out/store" >/dev/null 2>&1 && break
    sleep 0.1
  done
  quietly "$icecore" request snapshot "$first" --store "$out/store"
  quietly "$icecore" request incremental "$last" --store "$out/store"
  kill -INT "$node"
  wait "$node"
  full=$(made "$out/node" "snapshot-$first-*")
  incremental=$(made "$out/node" "incremental-snapshot-$first-$last-*")
  compare "$name, by the node at $first and $last" "$genesis" "$full" "$incremental"
}

feed=testdata/feed-tiny
of_archives tiny testdata/tiny testdata/tiny/snapshot-46-*.zst testdata/tiny/incremental-snapshot-46-62-*.zst
of_a_store feed-tiny - "$(made $feed)" $feed/slots.feed.zst 48 127

shared=${ICECORE_SHARED:-../shared}
if [ -d "$shared/data" ]; then
  small=$shared/data/small
  of_archives small "$small" "$(made "$small" 'snapshot-*')" "$(made "$small" 'incremental-*')"
  feed=$shared/data/feed-small
  of_a_store feed-small "$feed" "$(made "$feed/base" 'snapshot-*')" "$feed/slots.feed.zst" 64 109
fi
echo "$cases archives and pairs: the reference client loads them, and agrees with what is stated about them"
