# Needs: $settings, a line "NAME FROM TO" for each setting under /proc/sys/vm. Sets each that is FROM to TO;
# prints "setting NAME done", "setting NAME other" where it is something else, or "setting NAME no".
set_settings() {
    printf '%s\n' "$settings" | while read -r name from to; do
        [ -n "$name" ] || continue
        # Not by read: a setting is there only for whoever asks for all of it at once, and dash asks for bytes.
        now=$(cat "/proc/sys/vm/$name")
        if [ "$now" != "$from" ]; then
            echo "setting $name other"
        elif echo "$to" > "/proc/sys/vm/$name"; then
            echo "setting $name done"
        else
            echo "setting $name no"
        fi
    done
}
