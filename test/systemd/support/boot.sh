# Boots this machine's own systemd, in namespaces that the caller has made, over a copy of the machine's root file system in
# which writes go to memory. Nothing of it is left when the process ends, but a cgroup.
#
# $1: an empty directory; $2: a name, for the host and the cgroup; $3: the checkout, built; $4: Node
set -eu

mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root" "$1/cgroup"

# What systemd is to take for the root of all cgroups.
mount -t cgroup2 cgroup2 "$1/cgroup"
mkdir "$1/cgroup/$2"
echo $$ >"$1/cgroup/$2/cgroup.procs"

mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
# The kernel's settings are not ours to change.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs -o mode=755 tmpfs dev
while read -r name major minor; do
  mknod -m 666 "dev/$name" c "$major" "$minor"
done <<END
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
fuse 10 229
END
ln -s null dev/console

# None of the machine's own services, disks and state.
for directory in run tmp var/lib etc/systemd/system; do mount -t tmpfs -o mode=755 tmpfs "$directory"; done
rm -f etc/fstab
for unit in console-getty.service systemd-logind.service systemd-modules-load.service systemd-journald-audit.socket; do
  ln -s /dev/null "etc/systemd/system/$unit"
done

# As the README says, with the checkout in /opt.
mkdir -p opt/docker-volume-ipfs usr/local/bin
mount --rbind "$3" opt/docker-volume-ipfs
ln -sf "$4" usr/local/bin/node
ln -sf /opt/docker-volume-ipfs/dist/cli.js usr/local/bin/ipfs-volume
cp "$3/packaging/ipfs-volume.service" etc/systemd/system/

hostname "$2"
mkdir old
# shellcheck disable=SC2016 # The inner shell has nothing to expand.
exec unshare --cgroup sh -euc '
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  pivot_root . old
  # As systemd has it on a machine, where nobody has made namespaces for it.
  mount --make-rshared /
  cd /
  umount --lazy /old
  exec env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=multi-user.target --log-target=journal
'
