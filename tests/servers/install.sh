#!/usr/bin/env bash
# install.sh SUITE...: RabbitMQ and Redis of other Debian suites (trixie: RabbitMQ 4.0; sid: the newest), for the tests.
#
# Each suite becomes a small Debian of its own in $SERVERS_HOME/SUITE/root. The programs in $SERVERS_HOME/SUITE/bin
# run its servers as if they were this machine's, with this machine's files: they see its /usr in place of ours.
# Needs root, apt-get and the network; a suite that is there already is left as it is.

set -euo pipefail
SERVERS_HOME=${SERVERS_HOME:?the folder for the servers}
PROGRAMS=(rabbitmq-server rabbitmqctl rabbitmq-diagnostics epmd redis-server)

fail() {
  echo "$*" >&2
  exit 1
}

# The mirror that this machine's own packages come from.
mirror() {
  apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -n 1
}

install_debian() {
  local suite=$1 root=$2
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$root.part" "$(mirror)"
  local bundle
  for bundle in /usr/local/share/ca-certificates/*.crt; do # of a mirror with a CA of its own
    [ ! -e "$bundle" ] || cp "$bundle" "$root.part/usr/local/share/ca-certificates/"
  done
  chroot "$root.part" update-ca-certificates
  printf '#!/bin/sh\nexit 101\n' >"$root.part/usr/sbin/policy-rc.d" # start no service
  chmod 755 "$root.part/usr/sbin/policy-rc.d"
  cp -L /etc/resolv.conf "$root.part/etc/resolv.conf"
  chroot "$root.part" apt-get update -qq
  chroot "$root.part" apt-get install -qq --no-install-recommends rabbitmq-server redis-server
  chroot "$root.part" apt-get clean
  mv "$root.part" "$root"
}

write_programs() {
  local root=$1 bin=$2 program
  mkdir -p "$bin"
  for program in "${PROGRAMS[@]}"; do
    cat >"$bin/$program" <<END
#!/bin/sh
exec unshare --mount sh -ec '
  mount --bind "\$0/etc/alternatives" /etc/alternatives
  mount --bind "\$0/usr" /usr
  PATH=/usr/lib/rabbitmq/bin:\$PATH exec "\$@"' '$root' '$program' "\$@"
END
    chmod 755 "$bin/$program"
  done
}

[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "Needs root and apt-get."
[ "$#" -gt 0 ] || fail "Name the suites: trixie, sid."
export DEBIAN_FRONTEND=noninteractive
command -v debootstrap >/dev/null || {
  apt-get update -qq
  apt-get install -qq --no-install-recommends debootstrap >/dev/null
}
mkdir -p "$SERVERS_HOME"
SERVERS_HOME=$(cd "$SERVERS_HOME" && pwd)
for suite; do
  folder=$SERVERS_HOME/$suite
  mkdir -p "$folder"
  if [ ! -d "$folder/root" ]; then
    echo "Installing RabbitMQ and Redis of Debian $suite"
    rm -rf "$folder/root.part"
    install_debian "$suite" "$folder/root" >"$folder/log" 2>&1 || fail "$(tail -n 20 "$folder/log")"
  fi
  write_programs "$folder/root" "$folder/bin"
  echo "$suite: RabbitMQ $(HOME=$folder "$folder/bin/rabbitmqctl" version), $("$folder/bin/redis-server" --version)"
done
