# Needs: measure.sh, place.sh, disk.sh, $own_dir (made if it is missing), $priority (of the area, or
# empty). Makes an area of $size and activates it; a smaller one where that would leave the disk too
# full. Prints "ok", "made SIZE TOTAL FREE" in bytes, and the host's memory; "denied" where the
# kernel lets us make no swap at all; or "no REASON". Nothing that exists is ever written to: the
# file is made under a name of its own, labelled, and gets its real name by a link, which never
# replaces anything. Whatever ours was: what is made on the way has to be fit for what comes into it.
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
why=$(unfit)
[ -z "$why" ] || no "$why"
is_btrfs=
[ "$(stat -f -c %t .)" != 9123683e ] || is_btrfs=yes
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
on() { LC_ALL=C swapon ${priority:+-p "$priority"} "./$new"; }
if ! said=$(on 2>&1); then
    if denied "$said"; then
        rm -f "./$new"
        echo denied
        exit 0
    fi
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
