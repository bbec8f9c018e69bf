# Needs: $targets, a line "PID ID" or "PATH ID" for each. Prints the host's memory and each target's
# cgroup. A target's line: target ID VERSION USED UNEVICTABLE CACHE SWAP_LIMIT SWAPPINESS SWAPPED
# DIRECTORY ("-": not known). The cgroup of a process counts only if its path holds the target's full id:
# behind a forwarded socket the engine's pids belong to another kernel. A path, below the mount of the
# cgroups, is one that the target's kind vouches for. Where /proc hides other users' processes
# (hidepid; proc(5)) nothing is seen either, so a line "hidden" says that it does: everybody may read
# the first process's cgroup otherwise. "read-only" says that nothing can be written to the cgroups:
# a container has them so. Seen from a cgroup namespace of one's own, which a container has, others
# are above its root and not reached.
memory() {
    # One process for all: head names each file in a line of its own, "==> FILE <==". The third
    # field of mm_stat is the memory that a zram device occupies
    # (Documentation/admin-guide/blockdev/zram.rst).
    head -n 1000 /proc/meminfo /proc/swaps /sys/block/zram*/mm_stat 2>/dev/null
    return 0
}
# The disks that Lima adds to a VM beside its system's own; Colima's has the engine's data.
disks() { echo "==> disks <=="; awk '$2 ~ "^/mnt/lima-" && $3 == "ext4" { print $2 }' /proc/mounts; }
cgroups() {
    echo "==> targets <=="
    [ -n "$targets" ] || return 0
    [ -r /proc/1/cgroup ] || echo hidden
    printf '%s\n' "$targets" | awk '
        function first(file,    line) { line = "-"; if ((getline line < file) <= 0) line = "-"; close(file); return line }
        # "UNEVICTABLE CACHE", of memory.stat; v1 has the figures of a subtree under names of their
        # own.
        function stat(file, prefix,    line, parts, of) {
            while ((getline line < file) > 0) { split(line, parts, " "); of[parts[1]] = parts[2] }
            close(file)
            swapped = (prefix "swap") in of ? of[prefix "swap"] : "-"
            if (!((prefix "unevictable") in of)) return "- -"
            return of[prefix "unevictable"] " " sprintf("%.0f", of[prefix "inactive_file"] + of[prefix "active_file"])
        }
        BEGIN {
            while ((getline line < "/proc/self/mountinfo") > 0) {
                split(line, halves, " - "); split(halves[1], mount, " "); split(halves[2], type, " ")
                if (mount[4] != "/") continue
                ro = (mount[6] ~ /^ro(,|$)/)
                if (type[1] == "cgroup2" && v2 == "") { v2 = mount[5]; ro2 = ro }
                if (type[1] == "cgroup" && ("," type[3] ",") ~ /,memory,/ && v1 == "") { v1 = mount[5]; ro1 = ro }
            }
            # Of v2 there is but one for all (mm/vmscan.c, mem_cgroup_swappiness).
            swappiness = first("/proc/sys/vm/swappiness")
        }
        {
            pid = $1; id = $2; mark = id; one = ""; two = ""; file = "/proc/" pid "/cgroup"
            if (pid ~ /^\//) { mark = two = pid; if (v1 != "") one = pid }
            else while ((getline line < file) > 0) {
                controllers = line; sub(/^[0-9]+:/, "", controllers)
                path = controllers; sub(/:.*/, "", controllers); sub(/^[^:]*:/, "", path)
                if (controllers == "") two = path
                if (("," controllers ",") ~ /,memory,/) one = path
            }
            close(file)
            if (one two ~ /\/\.\.(\/|$)/) one = two = ""
            if (one != "" && v1 != "" && index(one, mark)) {
                dir = v1 one
                figures = stat(dir "/memory.stat", "total_")
                print "target", id, "1", first(dir "/memory.usage_in_bytes"), figures, "-", first(dir "/memory.swappiness"), swapped, dir
                if (ro1) print "read-only"
            } else if (one == "" && v2 != "" && index(two, mark)) {
                dir = v2 two
                print "target", id, "2", first(dir "/memory.current"), stat(dir "/memory.stat", ""), first(dir "/memory.swap.max"), swappiness, first(dir "/memory.swap.current"), dir
                if (ro2) print "read-only"
            } else print "target", id, "-", "-", "-", "-", "-", "-", "-", "-"
        }'
}
