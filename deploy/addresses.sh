#!/usr/bin/env bash
# Print where the servers of this checkout are, for programs on this machine; of `make run`, or else of compose:
#   eval "$(deploy/addresses.sh)"
# With compose it takes the addresses and passwords that the API has, and the ports that are published. It needs
# bash, coreutils and, if `make run` does not run, docker.

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -f .run/env ]; then
  cat .run/env
  exit
fi

published() { # SERVICE PORT: where this machine reaches a port of a service
  docker compose port "$1" "$2" 2>/dev/null
}

setting() { # NAME: what the API has it set to, by itself or in a file
  docker compose exec -T api sh -c 'eval "file=\${$1_FILE:-} text=\${$1:-}"; [ -z "$file" ] && echo "$text" || cat "$file"' sh "$1"
}

variable() { # NAME TEXT
  printf 'export %s=%q\n' "$1" "$2"
}

if ! api=$(published api 5000); then
  echo "neither \`make run\` nor \`docker compose up\` runs in $PWD" >&2
  exit 1
fi
broker=$(setting BROKER_URL)
store=$(setting RESULT_BACKEND)
case $broker in
  amqps:*)
    # The certificates are for this name.
    broker=${broker/@rabbitmq:5671/@localhost:$(published rabbitmq 5671 | sed 's/.*://')}
    store=${store/@redis:6379/@localhost:$(published redis 6379 | sed 's/.*://')}
    variable TLS_CA_FILE "$PWD/deploy/certificates/ca.pem"
    ;;
  *)
    broker=${broker/@rabbitmq:5672/@$(published rabbitmq 5672)}
    store=${store/@redis:6379/@$(published redis 6379)}
    ;;
esac
variable BROKER_URL "$broker"
variable RESULT_BACKEND "$store"
variable API_URL "http://$api"
for name in KEY_PREFIX QUEUE_TYPE; do
  text=$(setting "$name")
  [ -z "$text" ] || variable "$name" "$text"
done
