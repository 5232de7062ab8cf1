#!/bin/sh
set -eu
apt-get update
apt-get install -y curl
useradd --system --create-home app
mkdir -p /opt/app
echo "built $(date -u +%Y-%m-%d)" > /opt/app/VERSION
chown -R app /opt/app

# The extra disk is /dev/vdb on KVM, /dev/xvdb on XEN and Classic. nofail: a server without the disk boots, too.
mkfs.xfs /dev/vdb
mkdir /data
echo "UUID=$(blkid -s UUID -o value /dev/vdb) /data xfs defaults,nofail 0 2" >> /etc/fstab
mount /data
echo "data of $(cat /opt/app/VERSION)" > /data/README
