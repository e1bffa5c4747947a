#!/usr/bin/env bash
# Make the certificates that deploy/compose.tls.yml uses, from a CA of their own, into deploy/certificates:
#   deploy/make_certificates.sh [DAYS]
# The CA is kept; RabbitMQ's and Redis' are made anew, for 365 days or so many. It needs openssl.

set -euo pipefail

days=${1:-365}
folder=$(dirname "${BASH_SOURCE[0]}")/certificates
curve=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)

mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"
[ -s ca.key ] || openssl req -x509 -days 3650 "${curve[@]}" -keyout ca.key -out ca.pem -subj "/CN=taskyard CA" \
  -addext "keyUsage=critical,keyCertSign,cRLSign"
for host in rabbitmq redis; do
  rm -f "$host.key" "$host.pem"
  openssl req -x509 -days "$days" "${curve[@]}" -keyout "$host.key" -out "$host.pem" -subj "/CN=$host" \
    -CA ca.pem -CAkey ca.key -addext "subjectAltName=DNS:$host,DNS:localhost" \
    -addext "basicConstraints=critical,CA:false" -addext "keyUsage=critical,digitalSignature" \
    -addext "extendedKeyUsage=serverAuth"
  chmod 444 "$host.key" "$host.pem" # for the users of the containers; the folder keeps everybody else out
done
chmod 444 ca.pem
chmod 400 ca.key
