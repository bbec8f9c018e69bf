# Prints a line a second, until nobody reads it: "makeroom-sample AVAILABLE_KIB FULL_STALL_US OOM_KILLS BUILD_BYTES",
# "-" for what is not known. What the engine's builder runs is no container: its steps have cgroups beside the
# containers' own, with other names than their 64 digits. Their processes are made the kernel's first choice
# when memory is short. Starts three processes a second at most: awk stays, and the shell's own read would
# take a call for each letter.
exec awk '
    function first(file, name,    line, parts, value) {
        value = "-"
        while ((getline line < file) > 0) { split(line, parts, " "); if (parts[1] == name) { value = parts[2]; break } }
        close(file); return value
    }
    function stall(    line, parts, value) {
        value = "-"
        while ((getline line < "/proc/pressure/memory") > 0) if (line ~ /^full /) { split(line, parts, "total="); value = parts[2] + 0 }
        close("/proc/pressure/memory"); return value
    }
    # What a step holds or has in swap; the cache of the files that it wrote is not its need.
    function held(dir,    line, parts, sum, file) {
        file = dir "/memory.stat"
        while ((getline line < file) > 0) { split(line, parts, " "); if (parts[1] == "anon" || parts[1] == "file_mapped") sum += parts[2] }
        close(file)
        file = dir "/memory.swap.current"
        if ((getline line < file) > 0) sum += line
        close(file); return sum + 0
    }
    function volunteer(dir,    pid, file, score) {
        while ((getline pid < (dir "/cgroup.procs")) > 0) {
            file = "/proc/" pid "/oom_score_adj"
            if ((getline score < file) > 0 && score != 1000) pids = pids " " pid
            close(file)
        }
        close(dir "/cgroup.procs")
    }
    BEGIN {
        while ((getline line < "/proc/self/mountinfo") > 0) {
            split(line, halves, " - "); split(halves[1], mount, " "); split(halves[2], type, " ")
            if (type[1] == "cgroup2" && mount[4] == "/" && root == "") root = mount[5]
        }
        if (root != "") list = "exec ls -d " root "/*:docker:* " root "/*/*:docker:* " root "/docker/* " root "/docker/buildkit/* 2> /dev/null"
        for (;;) {
            build = "-"; pids = ""
            if (list != "") {
                build = 0
                while ((list | getline dir) > 0) {
                    name = dir; sub(/.*\//, "", name)
                    # Files have a dot in their names, containers 64 digits.
                    if (name !~ /:docker:/ && (name == "buildkit" || name ~ /\./ || length(name) == 64)) continue
                    build += held(dir); volunteer(dir)
                }
                close(list)
            }
            if (pids != "") system("for pid in" pids "; do echo 1000 > /proc/$pid/oom_score_adj; done 2> /dev/null")
            printf "makeroom-sample %s %s %s %s\n", first("/proc/meminfo", "MemAvailable:"), stall(), first("/proc/vmstat", "oom_kill"), (build == "-" ? build : sprintf("%.0f", build))
            fflush()
            if (system("exec sleep 1") != 0) exit
        }
    }'
