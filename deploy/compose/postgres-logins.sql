-- What a new cluster needs: the login that Troupe works with, which needs no more than this, and one for the replica.
\set troupe `cat /keys/troupe-password`
\set replication `cat /keys/replication-password`
create role troupe login createrole createdb password :'troupe';
create role replication login replication password :'replication';
