#!/bin/sh
# Makes the secrets that compose.yaml reads, once. The folder is for its owner alone; the files in it can be read by
# everybody, because a container reads them as a user of its own.
set -eu
cd "$(dirname "$0")"
umask 022
mkdir -p -m 0700 secrets

fresh() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

for name in client_secret root_passphrase; do
  [ -s "secrets/$name" ] || fresh > "secrets/$name"
done
if [ ! -s secrets/postgres_password ]; then
  password=$(fresh)
  printf '%s' "$password" > secrets/postgres_password
  printf 'postgresql://claviger:%s@postgres:5432/claviger' "$password" > secrets/database_url
fi
