# Owns what every part of scripts/demo uses: its words, time limits, the clock that keeps the first
# run's downloads and compiling apart, and installing packages. Sourced by scripts/demo.
# shellcheck shell=bash

log=/dev/null
complaints=0
apt_lists_fresh=no
declare -A spent_ms=([downloading]=0 [compiling]=0)
declare -A spent_on=([downloading]="downloading and installing" [compiling]=compiling)

say() { printf 'demo: %s\n' "$*"; }

die() {
    printf 'demo: error: %s\n' "$*" >&2
    exit 1
}

# An error of the clean-up, which goes on regardless.
complain() {
    printf 'demo: error: %s\n' "$*" >&2
    complaints=$((complaints + 1))
}

# An array, because `timeout` can run a command with a prefix but not a function.
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)

as_root() { "${sudo[@]}" "$@"; }

if_there() {
    if [ -e "$1" ]; then echo yes; else echo no; fi
}

now_ms() { echo "$((${EPOCHREALTIME/[.,]/} / 1000))"; }
started_ms=$(now_ms)

# timed downloading|compiling COMMAND...: runs it and counts its time as the first run's, not the demo's.
timed() {
    local kind=$1 begin
    shift
    begin=$(now_ms)
    "$@"
    spent_ms[$kind]=$((spent_ms[$kind] + $(now_ms) - begin))
}

print_times() {
    local all own seconds kind parts=
    all=$(($(now_ms) - started_ms))
    own=$all
    for kind in downloading compiling; do
        own=$((own - spent_ms[$kind]))
        seconds=$(((spent_ms[$kind] + 500) / 1000))
        # A second run asks cargo and looks into the cache too: under a second, that is nothing done.
        if [ "$seconds" -gt 0 ]; then parts="$parts${parts:+, }$seconds s ${spent_on[$kind]}"; fi
    done
    if [ -n "$parts" ]; then
        say "first run only: $parts; the demo itself: $(((own + 500) / 1000)) s"
    else
        say "done in $(((all + 500) / 1000)) s, nothing downloaded or compiled"
    fi
}

# limited SECONDS COMMAND...: --foreground, so that Ctrl-C reaches the command too, instead of
# waiting for it to end.
limited() {
    local seconds=$1
    shift
    timeout --foreground --kill-after=10 "$seconds" "$@"
}

# shown SECONDS WHAT COMMAND...: within the limit and in full view; a failure ends the demo.
shown() {
    local seconds=$1 what=$2 code=0
    shift 2
    limited "$seconds" "$@" || code=$?
    [ "$code" = 0 ] || die_of "$code" "$seconds" "$what"
}

# quietly SECONDS WHAT COMMAND...: the same, but its output is shown only if it fails.
quietly() {
    local seconds=$1 what=$2 code=0
    shift 2
    limited "$seconds" "$@" > "$log" 2>&1 < /dev/null || code=$?
    [ "$code" = 0 ] || {
        tail -n 15 "$log" >&2
        die_of "$code" "$seconds" "$what"
    }
}

die_of() {
    case $1 in
        124 | 137) die "$3 took more than $2 s" ;;
        *) die "$3 failed (exit code $1)" ;;
    esac
}

refresh_apt_lists() {
    [ "$apt_lists_fresh" = no ] || return 0
    timed downloading quietly 300 "apt-get update" "${sudo[@]}" apt-get update
    apt_lists_fresh=yes
}

# install PACKAGE...: on the machine, to stay; said before.
install() {
    say "installing with apt-get, to stay on this machine: $*"
    refresh_apt_lists
    timed downloading quietly 900 "apt-get install $*" "${sudo[@]}" \
        env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}

# The services' own programs are not among these: they are unpacked and never installed.
install_what_is_missing() {
    local packages=()
    command -v curl > /dev/null || packages+=(curl)
    command -v cc > /dev/null || packages+=(gcc libc6-dev)
    command -v swapon > /dev/null || packages+=(mount)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
    [ ${#packages[@]} = 0 ] || install "${packages[@]}"
}

machine_in_words() {
    local name memory swap
    name=$(. /etc/os-release && echo "$PRETTY_NAME")
    memory=$(awk '$1 == "MemTotal:" { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)
    swap=$(awk '$1 == "SwapTotal:" { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)
    echo "$name, $(nproc) cores, $memory memory, $swap swap"
}
