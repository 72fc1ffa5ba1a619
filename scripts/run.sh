#!/bin/sh
# Runs a program of this checkout with the project's own Node, whatever Node the machine has and whether or not anything
# was installed before. Usage: run.sh [--with-servers] ARGUMENT-OF-NODE ...
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$root/scripts/node.sh"

ensure_node
if [ "${1-}" = --with-servers ]; then
  shift
  sh "$root/scripts/servers.sh"
fi
cd "$root"
# For programs that npm installed and that ask env for a node.
PATH=$(dirname -- "$node"):$root/node_modules/.bin:$PATH
export PATH
exec "$node" "$@"
