#!/usr/bin/env bash
# Submit a job over RabbitMQ's management API: examples/producers/submit.sh [a] [b]
# It needs curl only. The management API gives no confirm and no reply: it suits scripts, not heavy use.

set -euo pipefail

management=${RABBITMQ_MANAGEMENT_URL:-http://127.0.0.1:15672}
user=${RABBITMQ_USER:-guest}:${RABBITMQ_PASSWORD:-guest}
vhost=${RABBITMQ_VHOST:-%2F} # percent-encoded
id=example-$(date +%s)-$$
submission="{\\\"task\\\":\\\"background_task\\\",\\\"args\\\":[${1:-1},${2:-2}]}"

answer=$(curl --silent --show-error --fail-with-body --user "$user" \
  "$management/api/exchanges/$vhost/taskyard.submit/publish" --header 'Content-Type: application/json' \
  --data "{\"routing_key\":\"\",\"payload_encoding\":\"string\",\"payload\":\"$submission\",
           \"properties\":{\"message_id\":\"$id\",\"delivery_mode\":2,\"content_type\":\"application/json\"}}") || {
  echo "not submitted: $answer" >&2
  exit 1
}
[[ $answer == *'"routed":true'* ]] || {
  echo "not submitted: not routed" >&2
  exit 1
}
echo "$id"
