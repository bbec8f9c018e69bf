# Needs: $targets, a line "PID ID" for each. Pushes out the memory of the process that holds each paused container, its shim:
# that idles for as long as its container does, and lies in the engine's cgroup, which nobody asked to push out. It is the
# parent of the container's first process, and has the container's full id among its arguments. A shell can make no system
# call, but perl can, which is in all of Debian and Ubuntu: pidfd_open is 434 and process_madvise 440 on each of the engine's
# architectures, MADV_PAGEOUT is 21 (process_madvise(2), Linux 5.10). Where there is none, shims stay as they are.
shims() {
    command -v perl > /dev/null || return 0
    printf '%s\n' "$targets" | perl -e '
        while (<STDIN>) {
            my ($pid, $id) = /^(\d+) ([0-9a-f]{64})$/ or next;
            open(my $stat, "<", "/proc/$pid/stat") or next;
            my ($shim) = <$stat> =~ /.*\) \S (\d+)/ or next;
            open(my $arguments, "<", "/proc/$shim/cmdline") or next;
            index(<$arguments> // "", $id) >= 0 or next;
            open(my $process, "<&=", syscall(434, $shim + 0, 0)) or next;
            open(my $mappings, "<", "/proc/$shim/smaps") or next;
            my $range;
            while (<$mappings>) {
                $range = pack("JJ", hex($1), hex($2) - hex($1)) if /^([0-9a-f]+)-([0-9a-f]+) /;
                syscall(440, fileno($process), $range, 1, 21, 0) if /^Anonymous: +[1-9]/;
            }
        }'
    return 0
}
