# Needs: $listed (the path as /proc/swaps and fstab(5) write it). Prints what needs the area:
# "active", "fstab" or "nothing".
has() { awk -v path="$listed" '$1 == path { found = 1 } END { exit !found }' "$1" 2> /dev/null; }
if has /proc/swaps; then echo active
elif has /etc/fstab; then echo fstab
else echo nothing
fi
