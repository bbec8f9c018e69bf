# Needs: measure.sh, $path, $size (bytes, whole MiB), $label, $own_dir (made if it is missing). Makes an area
# and activates it. Prints "ok" and the host's memory, or "no REASON". Nothing that exists is ever written to: the file is made under a name
# of its own, labelled, and gets its real name by a link, which never replaces anything.
no() { rm -f "$new"; echo "no $*"; exit 0; }
dir=${path%/*}
new="$path.$label"
if [ "$dir" = "$own_dir" ] && [ ! -e "$dir" ] && [ ! -L "$dir" ]; then
    mkdir -p "${dir%/*}" && mkdir -m 700 "$dir" || { echo "no $dir cannot be made"; exit 0; }
fi
[ -d "$dir" ] && [ ! -L "$dir" ] || { echo "no $dir is not a directory"; exit 0; }
if [ -L "$path" ]; then echo "no it is a link, and links are not followed"; exit 0; fi
if [ -d "$path" ]; then echo "no it is a directory"; exit 0; fi
if [ -e "$path" ]; then echo "no it exists and is not makeroom's"; exit 0; fi
is_btrfs=
owner=$(stat -c %u "$dir")
mode=$(stat -c %a "$dir")
[ "$owner" = 0 ] || { echo "no $dir belongs to user $owner, and swap is root's"; exit 0; }
case "$mode" in *[2367] | *[2367]?) echo "no $dir can be written by others (mode $mode)"; exit 0 ;; esac
case "$(stat -f -c %t "$dir")" in
    1021994) echo "no $dir is on tmpfs, which is memory itself"; exit 0 ;;
    858458f6) echo "no $dir is on ramfs, which is memory itself"; exit 0 ;;
    794c7630) echo "no $dir is on overlayfs, which cannot hold swap"; exit 0 ;;
    9123683e) is_btrfs=yes ;;
    6969 | 65735546 | ff534d42 | fe534d42) echo "no $dir is on a network or FUSE file system, which cannot hold swap"; exit 0 ;;
    2fc12fc1) echo "no $dir is on ZFS, which cannot hold swap"; exit 0 ;;
esac
available=$(df -Pk "$dir" | awk 'END { print $4 }')
[ "$((available / 1024))" -ge "$((size / 1048576 + 64))" ] || { echo "no $dir has only $((available / 1024)) MiB free"; exit 0; }
umask 077
(set -C; : > "$new") || { echo "no $new cannot be made"; exit 0; }
# btrfs takes a file as swap only where it is not copied on write, which can be said of an empty one (btrfs(5), "Swapfile support").
[ -z "$is_btrfs" ] || chattr +C "$new" || no "$dir is on btrfs, and the file cannot be taken off copy-on-write (chattr +C)"
# F2FS, and ext4 of Linux 5.7 and 5.8, refuse swap on what fallocate gives: zeroes always work.
zeroes() { dd if=/dev/zero of="$new" bs=1048576 count="$((size / 1048576))" conv=notrunc,fsync || no "it cannot be filled: no room or a failing disk"; }
fallocate -l "$size" "$new" || zeroes
mkswap -L "$label" "$new" > /dev/null || no "mkswap fails"
# -n: a path that became a directory since would be linked into.
ln -n "$new" "$path" || no "it exists and is not makeroom's"
# A file that is active as swap cannot be unlinked, under none of its names (fs/namei.c, may_delete).
rm -f "$new"
new=$path
if ! swapon "$path"; then
    zeroes
    mkswap -L "$label" "$path" > /dev/null && swapon "$path" || no "swapon fails"
fi
echo ok
memory
