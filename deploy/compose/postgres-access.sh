#!/bin/sh
# The last step of a new cluster: it lets the replica in, and is complete.
set -eu
echo 'host replication replication all scram-sha-256' >>"$PGDATA/pg_hba.conf"
sync
rm -f "$(dirname "$PGDATA")/unfinished"
