# Prints what a run needs to know of the host's kernel and tools: "kernel VERSION", "reclaim
# v2|v1|old|none", "psi yes|no", "missing TOOL…", "room FREE TOTAL DIRECTORY" in KiB for the
# directory of the default swap area's disk, and "place REASON" where that is no place for swap. Needs: place.sh,
# $swap_dir.
read -r kernel < /proc/sys/kernel/osrelease
echo "kernel $kernel"
way=none
# Each cgroup of v2 but the root has memory.reclaim, where the kernel knows it (5.19).
while read -r _ _ _ from at rest; do
    case "$from $rest" in
        "/ "*" - cgroup2 "*)
            set -- "$at"/*/memory.current
            if [ -e "$1" ]; then
                way=old
                set -- "$at"/*/memory.reclaim
                [ ! -e "$1" ] || way=v2
            fi
            ;;
        "/ "*" - cgroup "*memory*) [ ! -e "$at/memory.force_empty" ] && [ ! -e "$at/memory.usage_in_bytes" ] || way=v1 ;;
    esac
done < /proc/self/mountinfo
echo "reclaim $way"
if [ -r /proc/pressure/memory ]; then echo "psi yes"; else echo "psi no"; fi
missing=
for tool in awk dd df fallocate ln mkdir mkswap rm stat swapoff swapon; do
    command -v "$tool" > /dev/null || missing="$missing $tool"
done
echo "missing$missing"
dir=$swap_dir
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
    [ -z "$why" ] || echo "place $why"
fi
