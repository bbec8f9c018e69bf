# Makes what nobody has touched since the call before older than what the build is going to take,
# for the whole host. Until the kernel first lacks memory, everything that was ever touched is as
# young as the build's own pages to the multi-generational LRU, which then swaps out what the build
# needs (Documentation/admin-guide/mm/multigen_lru.rst, "Working set estimation": memcg, node,
# newest generation, can_swap, force_scan). It changes no setting, so there is nothing to put back;
# a kernel without it, and a cgroup that has gone meanwhile, are left alone.
age() {
    generations=/sys/kernel/debug/lru_gen
    [ -w "$generations" ] || return 0
    {
        awk '
            function ask() { if (newest != "") print "+", memcg, node, newest, 1, 1; newest = "" }
            $1 == "memcg" { ask(); memcg = $2; next }
            $1 == "node" { ask(); node = $2; next }
            { newest = $1 }
            END { ask() }' "$generations" |
            while read -r command; do echo "$command" > "$generations"; done
    } 2>/dev/null
    return 0
}
