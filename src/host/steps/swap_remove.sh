# Needs: $path, $listed (the path as /proc/swaps writes it), $label, $trim (not empty: the disk is a VM's and
# sparse). Takes an area away. Prints "ok", "gone" or "no REASON".
new="$path.$label"
active() { awk -v path="$listed" 'NR > 1 && $1 == path { found = 1 } END { exit !found }' /proc/swaps; }
ours() { [ -f "$path" ] && [ ! -L "$path" ] && [ "$(dd if="$path" bs=1 skip=1052 count="${#label}" 2>/dev/null)" = "$label" ]; }
# A step that makes it outlives its keeper. It has the label among its arguments, and is let finish.
# -q, because grep calls it an error where a process ended meanwhile, also when another one matched.
making() {
    set -- /proc/[0-9]*/cmdline
    printf '%s' "$label" | grep -qsF -f - "$@"
}
waits=0
while ! active && making; do
    [ "$waits" -lt 60 ] || { echo "no it is still being made"; exit 0; }
    sleep 1
    waits=$((waits + 1))
done
# This name holds the lease's id and lies in a directory that only root writes to: nobody else made it.
rm -f "$new"
if ! ours; then echo gone; exit 0; fi
waits=0
while active; do
    # One that is killed can have been done all the same.
    said=$(swapoff "$path" 2>&1) || ! active || case $said in
        # The step of a keeper that died is still at it, and the kernel lets nobody else (mm/swapfile.c, SWP_WRITEOK).
        *"Invalid argument"*)
            [ "$waits" -lt 60 ] || { echo "no it is still being removed"; exit 0; }
            sleep 1
            waits=$((waits + 1))
            ;;
        *) echo "no swapoff fails"; exit 0 ;;
    esac
done
rm -f "$path" || { echo "no it cannot be deleted"; exit 0; }
# What was freed is trimmed only once the file system has written down that it is free.
if [ -n "$trim" ]; then
    timeout 60 sync
    timeout 60 fstrim "${path%/*}" > /dev/null 2>&1
fi
echo ok
