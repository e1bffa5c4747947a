#!/usr/bin/env bash
# Write RabbitMQ's definitions with the passwords of the environment, then run a command if there is one:
#   deploy/rabbitmq/definitions.sh FILE [COMMAND...]
# Each user in definitions.json needs its variable: RABBITMQ_API_PASSWORD, RABBITMQ_WORKER_PASSWORD, …
# or the one with _FILE behind, which names a file that holds the password, such as a secret of Docker.
# Only hashes are written. It needs bash and coreutils, which RabbitMQ's image has.

set -euo pipefail

bytes() { # those that are written here in hexadecimal
  printf '%b' "$(sed 's/../\\x&/g' <<<"$1")"
}

hash() { # as RabbitMQ keeps a password: base64 of four bytes of salt, and the SHA-256 of salt and password
  local salt digest
  salt=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
  digest=$({ bytes "$salt"; printf %s "$1"; } | sha256sum | cut -d ' ' -f 1)
  bytes "$salt$digest" | base64
}

secret() { # the value of a variable, or of the file that the one with _FILE behind names
  local variable=${1}_FILE content
  local path=${!variable:-}
  if [ -z "$path" ]; then
    printf %s "${!1:-}"
  elif [ -n "${!1:-}" ]; then
    echo "$1 and $variable are both set: set one" >&2
    return 2
  elif ! content=$(<"$path"); then
    echo "$variable=$path cannot be read" >&2
    return 2
  else
    printf %s "$content"
  fi
}

[ $# -gt 0 ] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
file=$1
shift
definitions=$(<"$(dirname "${BASH_SOURCE[0]}")/definitions.json")

for name in $(grep -o '@RABBITMQ_[A-Z]*_PASSWORD@' <<<"$definitions" | tr -d '@'); do
  password=$(secret "$name") || exit
  # It becomes a part of a URL, where other characters would need an escape.
  [[ $password =~ ^[A-Za-z0-9._~-]+$ ]] || {
    echo "$name or ${name}_FILE must be set, to letters, digits and . _ ~ -" >&2
    exit 2
  }
  user=${name#RABBITMQ_} user=${user%_PASSWORD}
  if [ "$password" = "${user,,}" ]; then
    echo "taskyard: $name is the one of development: set another before others can reach RabbitMQ" >&2
  fi
  definitions=${definitions/"@$name@"/"$(hash "$password")"}
  unset "$name" "${name}_FILE" # the command need not know it
done

mkdir -p "$(dirname "$file")"
(umask 077 && printf '%s\n' "$definitions" >"$file")
[ $# = 0 ] || exec "$@"
