#!/bin/sh
set -eu
apt-get update
apt-get install -y curl
useradd --system --create-home app
mkdir -p /opt/app
echo "built $(date -u +%Y-%m-%d)" > /opt/app/VERSION
chown -R app /opt/app
