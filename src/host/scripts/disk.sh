# Needs: $spare_part, $spare_least, $spare_most and $least (core/machine/swap.rs), in MiB where they
# are sizes; $size (bytes, whole MiB); `no`, from place.sh.
# Looks at the disk that we are on: $total and $free, in MiB.
disk() {
    # shellcheck disable=SC2046 # two numbers
    set -- $(df -Pk . | awk 'END { printf "%d %d", $2 / 1024, $4 / 1024 }')
    total=$1 free=$2
}
# Makes $size what leaves enough of the disk free; ends with the reason where that is nothing useful.
fit() {
    spare=$((total / spare_part))
    [ "$spare" -ge "$spare_least" ] || spare=$spare_least
    [ "$spare" -le "$spare_most" ] || spare=$spare_most
    fitting=$((size / 1048576))
    [ "$fitting" -ge "$least" ] || least=$fitting
    [ "$fitting" -le "$((free - spare))" ] || fitting=$((free - spare))
    [ "$fitting" -ge "$least" ] || no "$dir has only $free MiB free, and $spare MiB of its disk stay free"
    size=$((fitting * 1048576))
}
