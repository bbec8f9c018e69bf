# Needs: $path and $label of a swap area, $listed (the path as /proc/swaps writes it). Finds the
# area's directory and stays in it: from there on its file is ./"$name", whatever becomes of the
# names above. What is checked is not a path, which can lead elsewhere a moment later, but the
# directory that the shell is in and those that really are above it.
dir=${path%/*}
dir=${dir:-/}
name=${path##*/}
no() { echo "no $*"; exit 0; }
# Prints who besides root can change what is in here, or put something else in its place; nothing
# where nobody can. Bottom up: what only root can move is still in a directory when that one is
# looked at. Where it is sticky, only root moves what is root's.
exposed() {
    here=$(pwd -P)
    left=$here
    up=.
    set -- .
    while [ -n "${left#/}" ]; do
        left=${left%/*}
        up=$up/..
        set -- "$@" "$up"
    done
    stat -c '%u %a %d:%i' "$@" / | {
        at=$here below=
        while read -r owner mode id; do
            # The last one is / itself, which the one before has to be.
            if [ "$#" = 0 ]; then
                [ "$id" = "$before" ] || echo "$here is not where it was"
                exit 0
            fi
            shift
            before=$id
            if [ "$owner" != 0 ]; then
                [ -n "$below" ] || { echo "$at belongs to user $owner, and swap is root's"; exit 0; }
                echo "$at belongs to user $owner, who can put another directory in the place of $below"
                exit 0
            fi
            shared=
            case "$mode" in *[2367] | *[2367]?) shared=yes ;; esac
            case "$mode" in [1357]???) [ -z "$below" ] || shared= ;; esac
            if [ -n "$shared" ]; then
                [ -n "$below" ] || { echo "$at can be written by others (mode $mode)"; exit 0; }
                echo "$at can be written by others (mode $mode), who can put another directory in the place of $below"
                exit 0
            fi
            below=$at
            at=${at%/*}
            at=${at:-/}
        done
        echo "$here cannot be looked at"
    }
}
# Where we are is the directory that was named, and only root has a hand in it; else the reason.
misplaced() {
    if [ "$(pwd -P)" = "$dir" ]; then exposed; else echo "$dir leads to $(pwd -P), which is the one to name"; fi
}
enter() {
    case "$path" in /*) ;; *) no "it is not an absolute path" ;; esac
    case "$name" in '' | . | ..) no "it is a directory" ;; esac
    cd -P "$dir" 2> /dev/null || no "$dir is not a directory"
    why=$(misplaced)
    [ -z "$why" ] || no "$why"
}
# Why no area can be made under this name in the directory that we are in; nothing where one can.
unfit() {
    if [ -L "./$name" ]; then echo "it is a link, and links are not followed"; return; fi
    if [ -d "./$name" ]; then echo "it is a directory"; return; fi
    if [ -e "./$name" ]; then echo "it exists and is not makeroom's"; return; fi
    unfit_disk
}
unfit_disk() {
    case "$(stat -f -c %t .)" in
        1021994) echo "$dir is on tmpfs, which is memory itself" ;;
        858458f6) echo "$dir is on ramfs, which is memory itself" ;;
        794c7630) echo "$dir is on overlayfs, which cannot hold swap" ;;
        6969 | 65735546 | ff534d42 | fe534d42) echo "$dir is on a network or FUSE file system, which cannot hold swap" ;;
        2fc12fc1) echo "$dir is on ZFS, which cannot hold swap" ;;
    esac
}
# The kernel's answer to root whom it lets make no swap, before it looks at anything else
# (mm/swapfile.c; a container's seccomp answers the same): in these words of swapon and swapoff.
denied() { case "$1" in *'not permitted'* | *'Not superuser'*) return 0 ;; *) return 1 ;; esac; }
active() { awk -v path="$listed" 'NR > 1 && $1 == path { found = 1 } END { exit !found }' /proc/swaps; }
# The label is in the header, behind 1024 free bytes and 28 of figures (mkswap(8);
# include/linux/swap.h, union swap_header).
ours() { [ -f "./$name" ] && [ ! -L "./$name" ] && [ "$(dd if="./$name" bs=1 skip=1052 count="${#label}" 2> /dev/null)" = "$label" ]; }
