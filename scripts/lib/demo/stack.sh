# Owns the services of scripts/demo: real monitoring programs from Debian's packages, which are
# unpacked and never installed, made into images and run as containers; what they answered before
# the build and after it. Sourced by scripts/demo.
#
# All use the machine's network on ports of 127.0.0.1: that needs neither a bridge nor a firewall rule.
# shellcheck shell=bash

services=(prometheus node-exporter alertmanager victoria-metrics)
# A package's program has the package's name.
declare -A package=(
    [prometheus]=prometheus [node-exporter]=prometheus-node-exporter
    [alertmanager]=prometheus-alertmanager [victoria-metrics]=victoria-metrics
)
declare -A answers_at=(
    [prometheus]=/-/ready [node-exporter]=/metrics [alertmanager]=/-/ready [victoria-metrics]=/health
)
declare -A port=() process_before=()
sample='node_memory_MemAvailable_bytes'

packages_dir() {
    local release
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    echo "$cache/packages-$release-$(dpkg --print-architecture)"
}

fetch_packages() {
    local dir service missing=() part
    dir=$(packages_dir)
    for service in "${services[@]}"; do
        compgen -G "$dir/${package[$service]}_*.deb" > /dev/null || missing+=("${package[$service]}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "downloading packages, to unpack and not to install: ${missing[*]}"
    refresh_apt_lists
    mkdir -p "$dir"
    # Apart until they are complete: what is in the directory is taken as good.
    part=$(mktemp -d -p "$dir")
    cd "$part"
    timed downloading quietly 300 "apt-get download" apt-get -o APT::Sandbox::User=root download "${missing[@]}"
    cd "$root"
    mv "$part"/*.deb "$dir"
    rmdir "$part"
}

# A port nobody listens on; another program may take it before the service does, which then fails to start.
# choose_ports NAME...
choose_ports() {
    local service candidate
    for service; do
        while :; do
            candidate=$((20000 + RANDOM % 12000))
            case " ${port[*]} " in *" $candidate "*) continue ;; esac
            (exec 3<> "/dev/tcp/127.0.0.1/$candidate") 2> /dev/null || break
        done
        port[$service]=$candidate
    done
}

url() { echo "http://127.0.0.1:${port[$1]}$2"; }

write_settings() {
    local dir=$1
    cat > "$dir/prometheus.yml" <<END
global: { scrape_interval: 1s, scrape_timeout: 1s }
scrape_configs:
  - job_name: prometheus
    static_configs: [{ targets: ['127.0.0.1:${port[prometheus]}'] }]
  - job_name: node-exporter
    static_configs: [{ targets: ['127.0.0.1:${port[node-exporter]}'] }]
alerting:
  alertmanagers:
    - static_configs: [{ targets: ['127.0.0.1:${port[alertmanager]}'] }]
remote_write:
  - url: $(url victoria-metrics /api/v1/write)
END
    echo '{ route: { receiver: nobody }, receivers: [{ name: nobody }] }' > "$dir/alertmanager.yml"
}

# The unpacked package, the shared libraries its program asks for, and its settings: no more is needed.
make_image() {
    local service=$1 dir=$work/images/$1 program=usr/bin/${package[$1]} library
    mkdir -p "$dir/data" "$dir/tmp" "$dir/etc"
    quietly 60 "unpacking ${package[$service]}" dpkg-deb -x "$(compgen -G "$(packages_dir)/${package[$service]}_*.deb" | tail -n 1)" "$dir"
    write_settings "$dir/etc"
    ldd "$dir/$program" > "$dir.libraries" || true # a static program has none
    if grep 'not found' "$dir.libraries" >&2; then die "$service needs a library that this machine lacks"; fi
    grep -o '/[^ ]*' "$dir.libraries" | while read -r library; do
        mkdir -p "$dir$(dirname "$library")"
        cp -L "$library" "$dir$library"
    done
    tar -C "$dir" -c . |
        docker_cli import --change "ENTRYPOINT [\"/$program\"]" - "$prefix-$service" > /dev/null
    rm -rf "$dir" "$dir.libraries"
}

arguments_of() {
    local address=127.0.0.1:${port[$1]}
    case $1 in
        prometheus) echo --config.file=/etc/prometheus.yml --storage.tsdb.path=/data "--web.listen-address=$address" ;;
        node-exporter) echo "--web.listen-address=$address" ;;
        # Without an address for its cluster it is one by itself, and opens no second port.
        alertmanager) echo --config.file=/etc/alertmanager.yml --storage.path=/data "--web.listen-address=$address" --cluster.listen-address= ;;
        victoria-metrics) echo -storageDataPath=/data "-httpListenAddr=$address" ;;
    esac
}

# Needs the ports: choose_ports.
start_stack() {
    local service arguments
    for service in "${services[@]}"; do
        make_image "$service"
        read -ra arguments <<< "$(arguments_of "$service")"
        quietly 60 "starting $service" docker run --detach --network host --name "$prefix-$service" \
            "$prefix-$service" "${arguments[@]}"
    done
    for service in "${services[@]}"; do
        wait_until 30 answers "$service" || {
            docker_cli logs --tail 10 "$prefix-$service" >&2
            die "$service does not answer on port ${port[$service]}"
        }
    done
    say "running as containers, without a registry: ${services[*]}"
}

http_status() {
    curl --silent --noproxy '*' --max-time 5 --output /dev/null --write-out '%{http_code}' "$(url "$1" "${answers_at[$1]}")" || true
}

answers() { [ "$(http_status "$1")" = 200 ]; }

# ask_prometheus QUERY TIME: the value of its only series, or nothing.
ask_prometheus() {
    curl --silent --fail --noproxy '*' --max-time 10 --get --data-urlencode "query=$1" --data-urlencode "time=$2" \
        "$(url prometheus /api/v1/query)" | sed -n 's/.*"value":\[[^,]*,"\([^"]*\)"\].*/\1/p'
}

enough_samples() {
    local count
    count=$(ask_prometheus 'min(count_over_time(up[5m]))' "$(date +%s)")
    [ "${count:-0}" -ge 5 ]
}

# Pid and start time: both differ after a restart, even where a pid is used again.
process_of() { docker_cli inspect --format '{{.State.Pid}} {{.State.StartedAt}}' "$prefix-$1"; }

remember_stack() {
    local service
    wait_until 60 enough_samples || die "prometheus collects no samples"
    # Two seconds ago: a scrape that is still under way can no longer change the answer.
    sample_time=$(($(date +%s) - 2))
    sample_before=$(ask_prometheus "$sample" "$sample_time") || true
    [ -n "$sample_before" ] || die "prometheus has no sample of $sample"
    for service in "${services[@]}"; do process_before[$service]=$(process_of "$service"); done
    say "prometheus has data: $sample is $sample_before"
}

# How long the engine says a service was paused since the sample was taken.
paused_for() {
    docker_cli events --since "$sample_time" --until "$(date +%s.%N)" --filter "container=$prefix-$1" \
        --format '{{.Action}} {{.TimeNano}}' |
        awk '$1 == "pause" { begin = $2 } $1 == "unpause" && begin { printf "%.1f s", ($2 - begin) / 1e9; exit }'
}

check_stack() {
    local service after time
    printf '%-18s %-20s %-12s %s\n' SERVICE PROCESS 'PAUSED FOR' HTTP
    for service in "${services[@]}"; do
        wait_until 10 answers "$service" || die "$service does not answer any more (HTTP $(http_status "$service"))"
        after=$(process_of "$service")
        time=$(paused_for "$service")
        printf '%-18s %-20s %-12s %s\n' "$service" "${process_before[$service]%% *} -> ${after%% *}" "${time:--}" "$(http_status "$service")"
        [ "$after" = "${process_before[$service]}" ] || die "$service is another process: before ${process_before[$service]}, after $after"
        [ -n "$time" ] || die "$service was not paused during the build"
    done
    echo
}

check_sample() {
    local after
    after=$(ask_prometheus "$sample" "$sample_time") || true
    [ "$after" = "$sample_before" ] || die "prometheus had $sample_before for $sample before the build, now '$after'"
    say "prometheus still returns the sample from before the build: $sample is $after"
}

# Part of the clean-up: stops at nothing.
remove_stack() {
    local found
    [ ${#port[@]} -gt 0 ] || return 0
    found=$(docker_cli ps --all --quiet --filter "name=$prefix-")
    # shellcheck disable=SC2086 # ids, one word each
    [ -z "$found" ] || docker_cli rm --force --volumes $found > "$log" 2>&1 || complain "containers $prefix-* could not be removed"
    found=$(docker_cli images --quiet --filter "reference=$prefix-*")
    # shellcheck disable=SC2086
    [ -z "$found" ] || docker_cli rmi $found > "$log" 2>&1 || complain "images $prefix-* could not be removed"
}
