# Owns the container engine of scripts/demo: the one that is there, or a private dockerd in the
# demo's own directory, without a bridge and without firewall rules, ended and removed afterwards.
# Sourced by scripts/demo.
# shellcheck shell=bash

engine_pid=
# What a dockerd leaves outside of its own directories: taken away again where it was not there before.
engine_traces=(/etc/docker/key.json /etc/docker /run/docker/plugins /run/docker /run/containerd/s /run/containerd)
declare -A trace_was_there=()

# Every call to the engine has a time limit: one that is stuck must not take the demo with it.
docker_cli() { timeout --foreground 60 docker "$@"; }

private_engine_in_words() { [ -z "$engine_pid" ] || echo ", the private engine"; }

use_engine() {
    if command -v docker > /dev/null && timeout 10 docker info > /dev/null 2>&1; then
        say "using the container engine that is there ($(engine_version))"
        return
    fi
    if ! command -v dockerd > /dev/null; then
        install docker.io
    fi
    if ! command -v docker > /dev/null; then
        # A package of its own since Debian 13.
        install docker-cli
    fi
    start_private_engine
    say "no container engine answered: started a private one ($(engine_version))"
}

engine_version() { docker_cli version --format 'docker {{.Server.Version}}'; }

start_private_engine() {
    local path
    for path in "${engine_traces[@]}"; do
        trace_was_there[$path]=no
        # As root: some of them lie in directories that only root can read.
        if as_root test -e "$path"; then trace_was_there[$path]=yes; fi
    done
    mkdir "$work/engine"
    # The machine's own daemon.json is not for this one.
    echo '{}' > "$work/engine/daemon.json"
    # In its own session: Ctrl-C is for makeroom, and must not end the engine under it. A cgroup
    # parent of its own can be removed afterwards. The group lets a user without root use the socket.
    as_root setsid --wait dockerd --config-file "$work/engine/daemon.json" \
        --data-root "$work/engine/data" --exec-root "$work/engine/run" \
        --pidfile "$work/engine/pid" --host "unix://$work/engine/sock" --group "$(id -g)" \
        --bridge none --iptables=false --ip6tables=false \
        --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$prefix" \
        > "$work/engine/log" 2>&1 < /dev/null &
    export DOCKER_HOST=unix://$work/engine/sock
    unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
    wait_until 60 engine_answers_or_ended "$!" || true
    engine_pid=$(pid_in "$work/engine/pid")
    timeout 10 docker info > /dev/null 2>&1 || {
        tail -n 10 "$work/engine/log" >&2
        die "the private dockerd does not answer"
    }
}

engine_answers_or_ended() { timeout 10 docker info || gone "$1"; }

pid_in() { as_root cat "$1" 2> /dev/null || true; }

# wait_until SECONDS COMMAND...: until it succeeds; its output is of no interest.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

# By way of sh, which has it built in: a bare machine has no kill for sudo to run.
end_process() { as_root sh -c 'kill "$1" "$2"' sh "$1" "$2" 2>> "$log"; }

gone() { [ -z "$1" ] || [ ! -d "/proc/$1" ]; }

# Ends it by the pid it wrote itself, with its containerd, and takes away what it leaves behind.
# Part of the clean-up: stops at nothing.
stop_engine() {
    local path containerd_pid
    [ -d "$work/engine" ] || return 0
    [ -n "$engine_pid" ] || engine_pid=$(pid_in "$work/engine/pid")
    containerd_pid=$(pid_in "$work/engine/run/containerd/containerd.pid")
    if [ -n "$engine_pid" ]; then
        end_process -TERM "$engine_pid"
        if ! wait_until 30 gone "$engine_pid"; then
            end_process -KILL "$engine_pid"
            wait_until 5 gone "$engine_pid" || complain "dockerd (pid $engine_pid) does not end"
        fi
        if ! wait_until 5 gone "$containerd_pid"; then
            end_process -KILL "$containerd_pid"
            wait_until 5 gone "$containerd_pid" || complain "containerd (pid $containerd_pid) does not end"
        fi
    fi
    # Deepest first, so that a mount below another does not keep it busy.
    grep -o " $work/engine/[^ ]*" /proc/mounts | tr -d " " | sort -r | while read -r path; do
        as_root umount "$path" 2>> "$log"
    done
    as_root find /sys/fs/cgroup -depth -type d -name "$prefix" -exec rmdir {} + 2>> "$log"
    for path in "${engine_traces[@]}"; do
        [ "${trace_was_there[$path]}" = no ] || continue
        case $path in
            *.json) as_root rm -f "$path" ;;
            # Only if it is empty: another engine may have moved in.
            *) as_root rmdir "$path" 2>> "$log" ;;
        esac
    done
    return 0
}
