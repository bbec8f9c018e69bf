#!/bin/sh
# Makes memory headroom for a build by pausing the monitoring containers: a drop-in for the script of
# the same name that stopped and started them. One named lease, so a second `start` does nothing.
# Pauses ^mana-mon- unless MAKEROOM_PAUSE or a makeroom.toml says otherwise.
set -eu

lease=build-memory-headroom

usage() {
    echo "usage: ${0##*/} start|pause | stop|resume | wrap COMMAND [ARG...]" >&2
    exit 1
}

# Whether the user, the system or a directory from here upwards says what to pause.
is_configured() {
    [ -z "${MAKEROOM_PAUSE:-}${MAKEROOM_CONFIG:-}" ] || return 0
    dir=$(pwd -P)
    while :; do
        ! says_what_to_pause "${dir%/}/makeroom.toml" || return 0
        [ "$dir" != / ] || break
        dir=$(dirname "$dir")
    done
    says_what_to_pause "${XDG_CONFIG_HOME:-${HOME:-/root}/.config}/makeroom/makeroom.toml" ||
        says_what_to_pause /etc/makeroom/makeroom.toml
}

says_what_to_pause() { grep -qs '^[[:space:]]*pause[[:space:]]*=' "$1"; }

[ $# -gt 0 ] || usage
action=$1
shift
if ! is_configured; then
    MAKEROOM_PAUSE='re:^mana-mon-'
    export MAKEROOM_PAUSE
fi

case $action in
    start | pause)
        [ $# = 0 ] || usage
        makeroom start --name "$lease" > /dev/null
        ;;
    stop | resume)
        [ $# = 0 ] || usage
        makeroom stop "$lease"
        ;;
    wrap)
        [ $# -gt 0 ] || usage
        # exec: the signals of a CI runner reach makeroom itself.
        exec makeroom run -- "$@"
        ;;
    *) usage ;;
esac
