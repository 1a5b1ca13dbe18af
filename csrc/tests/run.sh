#!/bin/sh
# Build and run the C++ tests:  csrc/tests/run.sh plain|asan|tsan [build folder]
set -eu
mode=${1:-plain}
here=$(cd "$(dirname "$0")" && pwd)
build=${2:-$(mktemp -d)}
mkdir -p "$build"
common="-std=c++17 -Wall -Wextra -Wpedantic -Wshadow -Werror -pthread -I$here/../include"
case $mode in
  plain) flags="-O2" ;;
  asan) flags="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all" ;;
  # Relaxed atomics: the build in which no race is left at all. Without them only the marked functions may race.
  tsan) flags="-O1 -g -fsanitize=thread" ;;
  *) echo "usage: $0 plain|asan|tsan [build folder]" >&2; exit 2 ;;
esac
run() {  # run SOURCE NAME FLAGS...
  source=$1 name=$2
  shift 2
  ${CXX:-g++} $common $flags "$@" "$source" -o "$build/$name"
  said=$("$build/$name") || { echo "$mode $name failed: $said" >&2; exit 1; }
  echo "$mode $name: $said"
}
if [ $# -gt 2 ]; then  # one of the tests, for the line below
  shift 2
  run "$@"
  exit
fi
{
  for source in "$here"/test_*.cpp; do echo "$source $(basename "$source" .cpp)"; done
  if [ "$mode" = tsan ]; then
    echo "$here/test_sgns.cpp test_sgns_atomics -DTRAITCORE_RELAXED_ATOMICS"
    echo "$here/concurrent_calls.cpp concurrent_calls"
  fi
} | xargs -P "$(nproc)" -L 1 sh "$0" "$mode" "$build"
