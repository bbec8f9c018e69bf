# Prints "uptime SECONDS", and what the kernel wrote down of processes that it killed for memory.
read -r uptime _ < /proc/uptime
echo "uptime $uptime"
dmesg | grep -aE 'oom-kill:constraint=|Killed process ' | tail -n 40
