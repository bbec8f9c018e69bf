# Needs: measure.sh, age.sh. Pushes each target's memory out, all at once; prints the figures before and after.
used() { read -r bytes < "$1/$2" && echo "$bytes"; }
# push DIRECTORY FIGURE FILE: asks until little is left, or nothing has moved twice. What the kernel
# gives back in part it reports as an error (EAGAIN), so only the figure tells. Once is not enough: while another
# area is being switched off the kernel swaps nothing out, and says nothing.
push() {
    rounds=0
    idle=0
    before=$(used "$1" "$2") || return 0
    whole=$before
    while [ "$rounds" -lt 8 ] && [ "$idle" -lt 2 ] && [ "$before" -gt 1048576 ]; do
        echo "$before" > "$1/$3"
        after=$(used "$1" "$2") || return 0
        [ $((after * 50)) -gt "$whole" ] || return 0
        if [ $((before - after)) -gt 1048576 ]; then idle=0; else idle=$((idle + 1)); fi
        before=$after
        rounds=$((rounds + 1))
    done
    return 0
}
figures=$(cgroups)
memory
# Before and after: what runs here touches its memory in between.
age
printf '%s\n' "$figures"
printf '%s\n' "$figures" | {
    while read -r word _ version _ _ _ _ _ _ dir; do
        case "$word:$version" in
            target:1) push "$dir" memory.usage_in_bytes memory.force_empty & ;;
            target:2) push "$dir" memory.current memory.reclaim & ;;
        esac
    done
    wait
} 2>&1 | head -c 2000 >&2
age
echo "==> after <=="
memory
cgroups
