#!/bin/sh
# A new cluster lets the replica in.
echo 'host replication replication all scram-sha-256' >>"$PGDATA/pg_hba.conf"
