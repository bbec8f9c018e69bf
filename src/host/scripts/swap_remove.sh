# Needs: place.sh, $typed (the path as a shell reads it), $trim (not empty: the disk is a VM's and
# sparse). Takes an area away. Prints "ok", "gone", "no REASON" or, where the next try may do it,
# "later REASON". A step that makes it outlives its keeper, and is let finish. It is a shell like this one that root runs, with `-s` and the label
# behind it: anybody can call himself that, also with what becomes root by itself (sudo, su), but
# not be run by the same file.
making() {
    shell=$(stat -L -c %d:%i "/proc/$$/exe")
    set -- /proc/[0-9]*/cmdline
    for process in $(printf '%s' "$label" | grep -lsF -f - "$@"); do
        process=${process%/cmdline}
        case "$(tr '\000' '/' < "$process/cmdline")" in *"sh/-s/$label/") ;; *) continue ;; esac
        runs=$(stat -L -c %d:%i "$process/exe")
        [ -z "$runs" ] || [ "$runs" = "$shell" ] || continue
        if awk '$1 == "Uid:" && $2 + $3 + $4 + $5 == 0 { root = 1 } END { exit !root }' "$process/status"; then return 0; fi
    done 2> /dev/null
    return 1
}
waits=0
while ! active && making; do
    [ "$waits" -lt 60 ] || no "it is still being made"
    sleep 1
    waits=$((waits + 1))
done
# What an earlier makeroom made where others have a hand in it: it could lead us to anybody's file
# by now.
found=
if ! cd -P "$dir" 2> /dev/null; then
    why="$dir is not there any more"
else
    why=$(misplaced)
    # It may be a FIFO the moment after; what cannot be read in time is not known to be somebody
    # else's.
    if [ -n "$why" ] && [ -f "./$name" ] && [ ! -L "./$name" ]; then
        found=$(timeout 10 dd if="./$name" bs=1 skip=1052 count="${#label}" 2> /dev/null) || found=$label
    fi
fi
if [ -n "$why" ]; then
    [ "$found" != "$label" ] || no "$why; look at it, then \`sudo swapoff $typed && sudo rm $typed\` takes it away"
    # The kernel tells where it is now; `printf %b` undoes its \040 for a blank.
    awk 'NR > 1 && $2 == "file" { print $1 }' /proc/swaps | {
        while read -r other; do
            found=$(timeout 10 dd if="$(printf %b "$other")" bs=1 skip=1052 count="${#label}" 2> /dev/null)
            [ "$found" != "$label" ] || no "$why; it is active as $other, where \`sudo swapoff\` and \`sudo rm\` take it away"
        done
        echo gone
    }
    exit 0
fi
# This name holds the lease's id and lies in a directory that only root writes to: nobody else made
# it.
rm -f "./$name.$label"
if ! ours; then echo gone; exit 0; fi
waits=0
while active; do
    said=$(swapoff "./$name" 2>&1)
    status=$?
    # One that is killed can have been done all the same.
    active || break
    said=$(echo "$said" | tail -n 1)
    [ -n "$said" ] || said="swapoff ended with $status"
    case $said in
        # The step of a keeper that died is still at it, and the kernel lets nobody else
        # (mm/swapfile.c, SWP_WRITEOK).
        *"Invalid argument"*)
            [ "$waits" -lt 60 ] || no "it is still being removed"
            sleep 1
            waits=$((waits + 1))
            ;;
        # Where services touch their pages meanwhile there is no memory for a moment, whatever is
        # free; a signal or another swapoff comes between.
        *"Cannot allocate memory"* | *"Interrupted system call"* | *"Resource temporarily unavailable"* | *"Device or resource busy"*)
            echo "later $said"
            exit 0
            ;;
        *) no "$said" ;;
    esac
done
rm -f "./$name" || no "it cannot be deleted"
# What was freed is trimmed only once the file system has written down that it is free.
if [ -n "$trim" ]; then
    timeout 60 sync
    timeout 60 fstrim . > /dev/null 2>&1
fi
echo ok
