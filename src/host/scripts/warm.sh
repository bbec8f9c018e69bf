# Needs: measure.sh, $targets, $seconds. Reads the swapped memory of the targets' processes, all
# targets at once, for so many seconds at most. A page that is read through /proc/PID/mem is one
# that its process need not wait for (proc_pid_mem(5)).
read -r now _ < /proc/uptime
until=$((${now%.*} + seconds))
# swapped PID: "START LENGTH" in pages of 4096 bytes, for each mapping that has pages in swap. One
# that is large and mostly untouched is left alone: reading it would fill page tables for nothing.
swapped() {
    awk '
        / kB$/ && $1 == "Size:" { size = $2 }
        $1 == "Swap:" && $2 > 0 && ($2 * 4 >= size || size <= 16384) { print range }
        $1 ~ /^[0-9a-f]+-[0-9a-f]+$/ { range = $1 }
    ' "/proc/$1/smaps" 2>/dev/null | while IFS=- read -r from to; do
        echo "$((0x$from / 4096)) $(((0x$to - 0x$from) / 4096))"
    done
}
# A process that ends meanwhile, or a mapping that it gives back, is no error.
read_back() {
    while read -r pid; do
        swapped "$pid" | while read -r start length; do
            read -r now _ < /proc/uptime
            left=$((until - ${now%.*}))
            [ "$left" -gt 0 ] || break
            timeout "$left" dd if="/proc/$pid/mem" of=/dev/null bs=4096 skip="$start" count="$length" 2>/dev/null
        done
    done < "$1/cgroup.procs"
}
cgroups | {
    while read -r word _ version _ _ _ _ _ _ dir; do
        case "$word:$version" in target:[12]) read_back "$dir" & ;; esac
    done
    wait
}
exit 0
