#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Boots systemd in namespaces of its own, on a copy-on-write view of this machine. Ends when that systemd ends.
#   unshare --mount --propagation private boot.sh DIRECTORY REPOSITORY
# The network is shared. The repository is at /srv/mlflow-bridge, read-only.
set -eu
directory=$1
repository=$2
root=$directory/root
group=$directory/cgroup/mlflow-bridge-test-$$

if [ "${3:-}" != inside ]; then
  mount -t tmpfs -o mode=0755 tmpfs "$directory"
  mkdir "$directory/cgroup" "$directory/upper" "$directory/work" "$root"
  mount -t cgroup2 cgroup2 "$directory/cgroup"
  mkdir "$group"
  echo $$ >"$group/cgroup.procs"
  mount -t overlay -o "lowerdir=/,upperdir=$directory/upper,workdir=$directory/work" overlay "$root"
  status=0
  unshare --pid --fork --mount --uts --ipc --cgroup --kill-child "$0" "$directory" "$repository" inside || status=$?
  echo $$ >"$directory/cgroup/cgroup.procs"
  find "$group" -depth -type d -exec rmdir {} +
  exit "$status"
fi

# Nothing may change this machine: what would mount, load modules, or set kernel parameters does not start.
: >"$root/etc/fstab"
mkdir -p "$root/srv/mlflow-bridge" "$root/etc/systemd/journald.conf.d" "$directory/upper/etc/systemd/system"
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n' >"$root/etc/systemd/journald.conf.d/test.conf"
for unit in dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount sys-fs-fuse-connections.mount \
  sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount systemd-binfmt.service \
  systemd-firstboot.service systemd-journald-audit.socket systemd-modules-load.service systemd-pstore.service \
  systemd-random-seed.service systemd-remount-fs.service systemd-sysctl.service systemd-sysusers.service \
  systemd-timesyncd.service systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup.service \
  systemd-udev-trigger.service systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
  systemd-update-utmp.service timers.target; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

mount --bind -o ro "$repository" "$root/srv/mlflow-bridge"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mknod -m 0666 "$root/dev/null" c 1 3
mknod -m 0666 "$root/dev/zero" c 1 5
mknod -m 0666 "$root/dev/full" c 1 7
mknod -m 0666 "$root/dev/random" c 1 8
mknod -m 0666 "$root/dev/urandom" c 1 9
mknod -m 0666 "$root/dev/tty" c 5 0

mkdir "$root/run/old-root"
cd "$root"
pivot_root . run/old-root
umount --lazy /run/old-root
# As on a host: mounts of credentials reach the services.
mount --make-rshared /
export container=mlflow-bridge-test
exec /lib/systemd/systemd --system --unit=basic.target --log-target=journal </dev/null
