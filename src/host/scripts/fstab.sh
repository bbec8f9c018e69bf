# Needs: place.sh, $line (a whole line of fstab(5)), $undo (not empty: take it out). Prints "ok",
# "already" or "no REASON". The file is replaced at once by a copy with its owner and mode. Whether
# its last line ends is kept, so that what is added and taken out again leaves every byte as it was.
fstab=/etc/fstab
new=/etc/.fstab.makeroom
if [ -L "$fstab" ] || [ ! -f "$fstab" ]; then echo "no $fstab is not a file"; exit 0; fi
has=
if grep -qxF -e "$line" "$fstab"; then has=yes; fi
if [ -n "$undo" ] && [ -z "$has" ] || [ -z "$undo" ] && [ -n "$has" ]; then echo already; exit 0; fi
# Root follows this path at every boot.
if [ -z "$undo" ]; then
    enter
    ours || no "$path is not makeroom's"
fi
rm -f "$new"
cp -p "$fstab" "$new" || { echo "no $new cannot be written"; exit 0; }
whole=
if [ -z "$(tail -c 1 "$fstab")" ]; then whole=yes; fi
case "$undo:$whole" in
    :yes) printf '%s\n' "$line" >> "$new" ;;
    :) printf '\n%s' "$line" >> "$new" ;;
    *:yes) grep -vxF -e "$line" "$fstab" > "$new" || [ ! -s "$new" ] ;;
    *) printf '%s' "$(grep -vxF -e "$line" "$fstab")" > "$new" ;;
esac || { rm -f "$new"; echo "no $new cannot be written"; exit 0; }
# Not every file system writes what is in a file before its new name, and without power in between
# this one would be empty.
sync "$new" 2> /dev/null || sync
mv -f "$new" "$fstab" || { rm -f "$new"; echo "no $fstab cannot be replaced"; exit 0; }
# systemd makes its units from this file.
if [ -d /run/systemd/system ]; then systemctl daemon-reload > /dev/null 2>&1; fi
echo ok
