# Needs: $builds_in_engine (not empty: look for what the engine's builder runs). Prints a line at
# once, and one for each line that it reads until there are no more: "makeroom-sample AVAILABLE_KIB
# SWAP_USED_KIB SOME_STALL_US FULL_STALL_US OOM_KILLS BUILD_BYTES TOTAL_KIB", "-" for what is not
# known. Uses only what the shell does itself: a machine that is short of memory should not have to
# start programs to say so.
root=
if [ -n "$builds_in_engine" ]; then
    while read -r _ _ _ from at rest; do
        case "$from $rest" in "/ "*" - cgroup2 "*) root=$at && break ;; esac
    done < /proc/self/mountinfo
fi
# What a step of the builder holds or has in swap; the cache of the files that it wrote is not its
# need.
weigh() {
    while read -r name value; do
        case $name in
            anon) build=$((build + value)) ;;
            file_mapped) build=$((build + value)) && break ;;
        esac
    done < "$1/memory.stat"
    read -r value < "$1/memory.swap.current" && build=$((build + value))
}
# Makes a step's processes the kernel's first choice when memory is short.
volunteer() {
    while read -r pid; do
        score=
        read -r score < "/proc/$pid/oom_score_adj"
        [ "$score" = 1000 ] || echo 1000 > "/proc/$pid/oom_score_adj"
    done < "$1/cgroup.procs"
}
# Steps are no containers: they have cgroups beside the containers' own, with other names than their
# 64 digits.
look_at_steps() {
    build=0
    for dir in "$root"/*:docker:* "$root"/*/*:docker:* "$root"/docker/* "$root"/docker/buildkit/*; do
        name=${dir##*/}
        # A pattern that matches nothing stays as it is; files have a dot in their names.
        case $name in
            *\**) continue ;;
            *:docker:*) ;;
            buildkit | *.*) continue ;;
            *) [ "${#name}" != 64 ] || continue ;;
        esac
        weigh "$dir"
        volunteer "$dir"
    done
}
before=none calm=0
while :; do
    available=- swap=- some=- full=- build=- total=-
    while read -r name value _; do
        case $name in
            MemTotal:) total=$value ;;
            MemAvailable:) available=$value ;;
            SwapTotal:) swap=$value ;;
            SwapFree:) swap=$((swap - value)) && break ;;
        esac
    done < /proc/meminfo
    while read -r name _ _ _ value; do
        case $name in
            some) some=${value#total=} ;;
            full) full=${value#total=} ;;
        esac
    done < /proc/pressure/memory
    # This file is longer than all the others, and a shell reads byte by byte. The kernel kills
    # nothing before something was stalled on memory; once more after that, for a kill between the
    # two looks.
    [ "$some" = "$before" ] || calm=0
    if [ "$calm" -lt 2 ]; then
        kills=-
        while read -r name value; do
            case $name in oom_kill) kills=$value && break ;; esac
        done < /proc/vmstat
        calm=$((calm + 1))
    fi
    case $some in -) before=none ;; *) before=$some ;; esac
    [ -z "$root" ] || look_at_steps
    echo "makeroom-sample $available $swap $some $full $kills $build $total"
    read -r _ || exit 0
done
