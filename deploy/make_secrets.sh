#!/usr/bin/env bash
# Make the secrets that deploy/compose.secrets.yml uses; those that are there stay as they are:
#   deploy/make_secrets.sh [--tls]
# A password for each user of RabbitMQ and for Redis, a first key of the API, and the addresses with them; with
# --tls as deploy/compose.tls.yml needs them. It needs bash and coreutils.

set -euo pipefail

case ${1:-} in
  "") broker=amqp port=5672 store=redis ;;
  --tls) broker=amqps port=5671 store=rediss ;;
  *) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac
folder=$(dirname "${BASH_SOURCE[0]}")/secrets

keep() { # NAME TEXT: readable for the users of the containers; the folder keeps everybody else out
  printf '%s\n' "$2" >"$folder/$1"
  chmod 444 "$folder/$1"
}

mkdir -p "$folder"
chmod 700 "$folder"
for name in admin api monitor producer scheduler worker redis api_key; do
  [ -s "$folder/$name" ] || keep "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
done
for user in api scheduler worker; do
  rm -f "$folder/$user.url"
  keep "$user.url" "$broker://$user:$(<"$folder/$user")@rabbitmq:$port/taskyard"
done
rm -f "$folder/redis.url"
keep redis.url "$store://:$(<"$folder/redis")@redis:6379/0"
