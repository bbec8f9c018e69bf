# Prints what a run needs to know of the host's kernel and tools: "kernel VERSION", "reclaim
# v2|v1|old|read-only|off|none", "psi yes|no", "missing TOOL…", "room FREE TOTAL DIRECTORY" in KiB
# for the directory of the default swap area's disk, "place REASON" where that is no place for swap,
# and "swap denied" where the kernel lets us make none at all. Needs: place.sh, $swap_dir, $own_dir,
# $recorded (not empty: a lease has the area).
read -r kernel < /proc/sys/kernel/osrelease
echo "kernel $kernel"
way=none
# Which controllers there are does not depend on what is mounted (cgroups(7)).
[ "$(awk '$1 == "memory" { print $4 }' /proc/cgroups 2> /dev/null)" != 0 ] || way=off
# Each cgroup of v2 but the root has memory.reclaim, where the kernel knows it (5.19).
while read -r _ _ _ from at how rest; do
    found=
    case "$from $how $rest" in
        "/ "*" - cgroup2 "*)
            set -- "$at"/*/memory.current
            if [ -e "$1" ]; then
                found=old
                set -- "$at"/*/memory.reclaim
                [ ! -e "$1" ] || found=v2
            fi
            ;;
        "/ "*" - cgroup "*memory*) [ ! -e "$at/memory.force_empty" ] && [ ! -e "$at/memory.usage_in_bytes" ] || found=v1 ;;
    esac
    [ -z "$found" ] || case "$how" in ro | ro,*) way=read-only ;; *) way=$found ;; esac
done < /proc/self/mountinfo
echo "reclaim $way"
if [ -r /proc/pressure/memory ]; then echo "psi yes"; else echo "psi no"; fi
missing=
for tool in awk dd df fallocate ln mkdir mkswap rm stat swapoff swapon; do
    command -v "$tool" > /dev/null || missing="$missing $tool"
done
echo "missing$missing"
dir=$swap_dir
# Asked of a name that nothing has: nothing is changed.
[ "$(id -u)" != 0 ] || ! denied "$(LC_ALL=C swapoff /proc/makeroom-asks 2>&1)" || echo "swap denied"
# A run makes its own directory, and no other.
if [ ! -d "$dir" ] && [ "$dir" != "$own_dir" ]; then echo "place $dir is not a directory"; fi
while [ ! -d "$dir" ]; do
    case "$dir" in
        ?*/*) dir=${dir%/*} ;;
        '' | /*) dir=/ ;;
        *) dir=. ;;
    esac
done
df -Pk "$dir" | awk -v dir="$dir" 'END { print "room", $4, $2, dir }'
# A directory that we may not go into is looked at by who makes swap in it.
if cd -P "$dir" 2> /dev/null; then
    why=$(misplaced)
    # Beside one that a lease has a run takes another name.
    if [ -z "$why" ] && [ "$dir" = "$swap_dir" ] && [ -z "$recorded" ]; then why=$(unfit); fi
    [ -n "$why" ] || why=$(unfit_disk)
    [ -z "$why" ] || echo "place $why"
fi
