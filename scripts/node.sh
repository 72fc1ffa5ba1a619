# Sourced with $root set to the checkout, or to the package as npm installed it. Leaves in $node a Node 24 or newer: in a
# checkout the one that the lockfile names, which is installed first when it is not there; in a package the one that came
# with it. Everything said here goes to stderr; stdout belongs to the caller.

say() { printf 'troupe: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

ensure_node() {
  packages_are_current || install_packages
  find_node
}

find_node() {
  node=$(packaged_node || other_node) || exit 1
}

# By its link, or where npm unpacked it: some npm (9.2) makes no link for it. A package that was installed has it beside
# itself, or in itself when it was installed for the whole machine.
packaged_node() {
  has_glibc || return 1
  set -- "$root"/node_modules/.bin/node "$root"/node_modules/node-linux-*/bin/node
  if [ ! -d "$root/src" ]; then set -- "$@" "$root"/../node-linux-*/bin/node; fi
  for candidate in "$@"; do
    if [ -x "$candidate" ]; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

# Current are the packages that were installed here from this very lockfile; else those that npm installed after it last
# changed (npm writes the hidden lockfile last). A link to the packages of another checkout is whoever made it to care for.
packages_are_current() {
  installed=$root/node_modules/.package-lock.json
  [ -f "$installed" ] || return 1
  [ -L "$root/node_modules" ] || cmp -s "$root/package-lock.json" "$root/node_modules/$installed_from" ||
    [ -z "$(find "$root/package-lock.json" -newer "$installed")" ]
}
installed_from=.installed-from.json

# Two commands started at once must not both rebuild node_modules, hence the lock; no file is left by it.
install_packages() {
  command -v npm >/dev/null 2>&1 || die "cannot install the npm packages: npm is missing; on Debian: apt-get install npm"
  (
    if command -v flock >/dev/null 2>&1; then flock 9; fi
    if packages_are_current; then exit 0; fi
    say "installing the npm packages that package-lock.json names (npm ci)"
    cd "$root" &&
      npm ci --include=dev --include=optional --ignore-scripts --no-audit --no-fund --loglevel=error >&2 &&
      cp package-lock.json "node_modules/$installed_from"
  ) 9<"$root/package-lock.json" || die "cannot install the npm packages: see npm's words above, then run the same command again"
}

# The packaged Node is linked against glibc; elsewhere (musl, macOS) the machine's own has to do.
has_glibc() {
  for loader in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1 /lib64/ld-linux-aarch64.so.1; do
    if [ -e "$loader" ]; then return 0; fi
  done
  return 1
}

other_node() {
  IFS=:
  for directory in $PATH; do
    candidate=$directory/node
    if [ "$directory" = "$root/node_modules/.bin" ] || [ ! -x "$candidate" ]; then continue; fi
    major=$("$candidate" -p 'process.versions.node.split(".")[0]')
    [ "$major" -ge 24 ] || die "cannot run on Node $major ($candidate), and there is no packaged Node 24 for this machine: install Node 24 or newer"
    printf '%s\n' "$candidate"
    return 0
  done
  die "cannot find Node, and there is no packaged Node 24 for this machine: install Node 24 or newer"
}
