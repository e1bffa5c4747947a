#!/usr/bin/env bash
# Submit a job over REST and wait for its end: examples/submit.sh [a] [b]
# It needs curl only. API_URL says where the API is; API_KEY is sent along where it is set.

set -euo pipefail

api=${API_URL:-http://127.0.0.1:5000}
# The same id is the same job: whoever gets no answer may send the request again.
id=example-$(date +%s)-$$

curl=(curl --silent --show-error --fail-with-body)
[[ -z ${API_KEY:-} ]] || curl+=(--header "Authorization: Bearer $API_KEY")

"${curl[@]}" "$api/v1/jobs" \
  --header 'Content-Type: application/json' \
  --data "{\"id\":\"$id\",\"task\":\"background_task\",\"args\":[${1:-1},${2:-2}]}"
echo
"${curl[@]}" "$api/v1/jobs/$id?wait_s=30"
echo
