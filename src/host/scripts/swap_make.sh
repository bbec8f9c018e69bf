# Needs: measure.sh, place.sh, disk.sh, $own_dir (made if it is missing), $priority (of the area, or
# empty). Makes an area of $size and activates it; a smaller one where that would leave the disk too
# full. Prints "ok", "made SIZE TOTAL FREE" in bytes, and the host's memory; or "no REASON". Nothing
# that exists is ever written to: the file is made under a name of its own, labelled, and gets its
# real name by a link, which never replaces anything. Whatever ours was: what is made on the way has
# to be fit for what comes into it.
umask 022
new=
no() {
    [ -z "$new" ] || rm -f "./$new"
    echo "no $*"
    exit 0
}
if [ "$dir" = "$own_dir" ] && [ ! -e "$dir" ] && [ ! -L "$dir" ]; then
    dir=${own_dir%/*}
    [ -e "$dir" ] || mkdir -p "$dir"
    enter
    dir=$own_dir
    mkdir -m 700 "./${dir##*/}" || no "$dir cannot be made"
fi
enter
if [ -L "./$name" ]; then no "it is a link, and links are not followed"; fi
if [ -d "./$name" ]; then no "it is a directory"; fi
if [ -e "./$name" ]; then no "it exists and is not makeroom's"; fi
is_btrfs=
case "$(stat -f -c %t .)" in
    1021994) no "$dir is on tmpfs, which is memory itself" ;;
    858458f6) no "$dir is on ramfs, which is memory itself" ;;
    794c7630) no "$dir is on overlayfs, which cannot hold swap" ;;
    9123683e) is_btrfs=yes ;;
    6969 | 65735546 | ff534d42 | fe534d42) no "$dir is on a network or FUSE file system, which cannot hold swap" ;;
    2fc12fc1) no "$dir is on ZFS, which cannot hold swap" ;;
esac
disk
fit
umask 077
new="$name.$label"
(set -C; : > "./$new") || { new=; no "$dir/$name.$label cannot be made"; }
made=$(stat -c %d:%i "./$new")
# btrfs takes a file as swap only where it is not copied on write, which can be said of an empty one
# (btrfs(5), "Swapfile support").
[ -z "$is_btrfs" ] || chattr +C "./$new" || no "$dir is on btrfs, and the file cannot be taken off copy-on-write (chattr +C)"
# F2FS, and ext4 of Linux 5.7 and 5.8, refuse swap on what fallocate gives: zeroes always work.
zeroes() { dd if=/dev/zero of="./$new" bs=1048576 count="$((size / 1048576))" conv=notrunc,fsync || no "it cannot be filled: no room or a failing disk"; }
fallocate -l "$size" "./$new" || zeroes
mkswap -L "$label" "./$new" > /dev/null || no "mkswap fails"
# -n: a path that became a directory since would be linked into.
ln -n "./$new" "./$name" || no "it exists and is not makeroom's"
# A file that is active as swap cannot be unlinked, under none of its names (fs/namei.c,
# may_delete).
rm -f "./$new"
new=$name
on() { swapon ${priority:+-p "$priority"} "./$new"; }
if ! on; then
    zeroes
    mkswap -L "$label" "./$new" > /dev/null && on || no "swapon fails"
fi
# What the kernel swaps to is what was made here, and is found again by its path.
if ! active || ! ours || [ "$(stat -c %d:%i "./$name")" != "$made" ]; then
    swapoff "./$new"
    no "$dir was moved or changed meanwhile"
fi
echo ok
echo "made $size $((total * 1048576)) $((free * 1048576))"
memory
