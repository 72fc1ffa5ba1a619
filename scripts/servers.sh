#!/bin/sh
# Makes sure that this machine has the servers which the demo and the tests start for themselves: Redis (or Valkey),
# PostgreSQL with its tools, and PgBouncer. On Debian and its kin the missing packages are installed, and nothing else
# about the machine changes: no service is started or enabled, no database cluster is created, whatever had to be put in
# place for that is taken away again. Elsewhere one sentence names what is missing. All output goes to stderr.
set -eu
self=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)/$(basename -- "$0")
policy=/usr/sbin/policy-rc.d
kept_policy=/usr/sbin/policy-rc.d.before-troupe
our_policy='# Made by Troupe for the time of one installation; safe to remove.'
# Of the installation under way; when that was killed the next one finds here what there was before, and tidies for both.
work=/run/troupe-install
cluster_drop_in=/etc/postgresql-common/createcluster.d/troupe.conf

say() { printf 'troupe: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

main() {
  missing=$(missing_servers)
  if [ -z "$missing" ] && ! unfinished; then exit 0; fi
  command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1 ||
    die "this machine lacks $missing, and there is no apt-get to install it with: install it (Redis 7 or Valkey 8, PostgreSQL 15 and PgBouncer 1.18, or newer) and run this again"
  if [ "$(id -u)" != 0 ]; then as_root; fi
  install_missing
}

unfinished() {
  [ -d "$work" ] && [ "$(id -u)" = 0 ]
}

# What is missing, as a person calls it, in one line; nothing when all is there.
missing_servers() {
  {
    has redis-server || has valkey-server || echo 'Redis'
    { has initdb && has postgres && has pgbench; } || echo 'PostgreSQL'
    has psql || echo 'psql'
    has pgbouncer || echo 'PgBouncer'
  } | paste -s -d , - | sed 's/,/, /g'
}

# Debian keeps servers out of the search path of users, and PostgreSQL in a directory for each version.
has() {
  command -v "$1" >/dev/null 2>&1 && return 0
  for file in "/usr/sbin/$1" "/usr/local/sbin/$1" /usr/lib/postgresql/*/bin/"$1"; do
    if [ -x "$file" ]; then return 0; fi
  done
  return 1
}

# The same script again, as root; it never comes back.
as_root() {
  if ! command -v sudo >/dev/null 2>&1; then
    die "this machine lacks $missing, and only root may install it: run this as root, or once: su -c 'sh $self'"
  elif sudo -n true 2>/dev/null; then
    exec sudo -n sh "$self"
  elif [ -t 0 ] && [ -t 2 ]; then
    say "this machine lacks $missing; sudo may ask for your password to install it"
    exec sudo sh "$self"
  else
    die "this machine lacks $missing, and sudo wants a password: run \"sudo sh $self\" once, then this again"
  fi
}

install_missing() {
  exec 9</usr/sbin
  say_if_busy
  flock 9
  missing=$(missing_servers) # Another run may have installed it while we waited.
  if [ -z "$missing" ] && ! unfinished; then exit 0; fi

  trap tidy EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  export LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  mkdir -p -m 700 "$work"
  if [ ! -f "$work/before" ]; then
    installed_packages >"$work/reading"
    mv "$work/reading" "$work/before"
  fi
  restore_policy
  if [ -z "$missing" ]; then exit 0; fi
  forbid_starts
  forbid_cluster
  install_packages_for_missing
  still=$(missing_servers)
  [ -z "$still" ] || die "installed what Debian calls by these names, and yet this machine lacks $still: install it by hand"
}

say_if_busy() {
  flock -n 9 || say "waiting for another run that is installing packages"
}

install_packages_for_missing() {
  packages=$(packages_to_install)
  case $packages in *'?'*) refresh_lists; packages=$(packages_to_install) ;; esac
  case $packages in
    *'?'*) die "cannot install $missing: the package lists of this machine (apt-get update) do not have Redis 7 or Valkey, PostgreSQL and PgBouncer; install them by hand" ;;
  esac
  say "installing $packages (apt-get); no service is started or enabled"
  if ! apt install --no-install-recommends $packages; then
    refresh_lists # The usual cause: lists that name files which the mirror has replaced.
    apt install --no-install-recommends $packages || failed "cannot install $packages"
  fi
}

# Debian's names for what is missing, in one line; ? where the package lists know none.
packages_to_install() {
  {
    case $missing in *Redis*) redis_package ;; esac
    case $missing in *PostgreSQL*) available postgresql ;; esac
    case $missing in *psql*) available postgresql-client ;; esac
    case $missing in *PgBouncer*) available pgbouncer ;; esac
  } | paste -s -d ' ' -
}

redis_package() {
  major=$(candidate redis-server | sed 's/^[0-9]*://; s/[^0-9].*//')
  if [ "${major:-0}" -ge 7 ]; then echo redis-server; else available valkey-server; fi
}

available() {
  if [ -n "$(candidate "$1")" ]; then echo "$1"; else echo '?'; fi
}

candidate() {
  apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p' | grep -v '(none)' || true
}

refresh_lists() {
  say "reading the package lists (apt-get update)"
  apt update || failed "cannot read the package lists"
}

apt() {
  apt-get -y -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" >"$work/log" 2>&1 9<&- </dev/null
}

failed() {
  tail -n 20 "$work/log" >&2
  die "$1: see apt-get's words above"
}

# invoke-rc.d and deb-systemd-invoke ask this program before they start anything; 101 is "forbidden".
forbid_starts() {
  if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$kept_policy"; fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$our_policy" >"$policy"
  chmod 755 "$policy"
}

restore_policy() {
  if grep -qsF "$our_policy" "$policy"; then rm -f "$policy"; fi
  if [ -e "$kept_policy" ] || [ -L "$kept_policy" ]; then mv "$kept_policy" "$policy"; fi
}

forbid_cluster() {
  mkdir -p "$(dirname "$cluster_drop_in")"
  echo 'create_main_cluster = false' >"$cluster_drop_in"
}

allow_cluster() {
  rm -f "$cluster_drop_in"
  rmdir "$(dirname "$cluster_drop_in")" /etc/postgresql-common 2>/dev/null || true # Not empty, when the package is there.
}

# Runs however the installation ends.
tidy() {
  trap '' INT TERM HUP
  disable_new_services || say "cannot disable every service of the packages just installed: see \"systemctl list-unit-files\""
  allow_cluster
  restore_policy
  rm -rf "$work"
}

installed_packages() {
  dpkg-query -W -f '${db:Status-Status} ${Package}\n' | grep -v -e '^not-installed' -e '^config-files' | sed 's/^[^ ]* //' | sort -u
}

# Debian enables a service when its package is installed. Those that came with the packages we installed are not wanted.
disable_new_services() {
  installed_packages >"$work/after"
  comm -13 "$work/before" "$work/after" | while read -r package; do
    dpkg-query -L "$package" | while read -r file; do
      case $file in
        */systemd/system/*/* | */systemd/system/*@*) ;;
        */systemd/system/*.service | */systemd/system/*.socket | */systemd/system/*.timer | */systemd/system/*.path)
          # Like a maintainer script of the package; it does not listen to anybody else.
          DPKG_MAINTSCRIPT_PACKAGE=$package deb-systemd-helper disable "$(basename "$file")" >/dev/null ;;
        /etc/init.d/*) update-rc.d -f "$(basename "$file")" remove >/dev/null ;;
      esac
    done
  done
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
}

main
