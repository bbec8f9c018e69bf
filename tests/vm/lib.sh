# Owns what the scripts of tests/vm share: how they fail and wait, how they reach the VM, and how
# they tell their own processes from others. Sourced by them.
# shellcheck shell=bash

die() {
    printf 'vm: error: %s\n' "$*" >&2
    exit 1
}

# wait_until SECONDS COMMAND...: until it succeeds.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

# in_vm SECONDS DIR COMMAND...: as the VM's user, over the shared connection. Under memory pressure
# a VM may not answer, so there is always a limit.
in_vm() { timeout --kill-after=5 "$1" ssh -F "$2/ssh_config" vm "${@:3}"; }

# own_pid DIR NAME: the pid in DIR/NAME.pid, while it is that process's. The number may be a
# stranger's by now; each of ours has a path in DIR among its arguments.
own_pid() {
    local pid
    read -r pid 2> /dev/null < "$1/$2.pid" || return 1
    tr '\0' '\n' 2> /dev/null < "/proc/$pid/cmdline" | grep -qF -- "$1/" || return 1
    echo "$pid"
}

is_gone() { ! own_pid "$1" "$2" > /dev/null; }

# end_process DIR NAME: TERM, and KILL where that is not enough.
end_process() {
    local pid signal
    for signal in TERM KILL; do
        pid=$(own_pid "$1" "$2") || break
        kill "-$signal" "$pid" 2> /dev/null || true
        wait_until 10 is_gone "$1" "$2" || true
    done
    is_gone "$1" "$2" || die "$2 (pid $pid) does not end"
    rm -f "$1/$2.pid"
}
