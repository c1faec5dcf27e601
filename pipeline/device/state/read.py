"""Asks a device for its state, in one round trip, with whatever it has: /proc, /sys, dumpsys."""

from __future__ import annotations

import secrets

from pipeline.device.base import Device, device_task
from pipeline.device.state import dumpsys, kernel
from pipeline.device.state.device_state import DeviceState

#: Seconds for which `read_state` watches the processors, by default.
WATCH_S = 0.5
#: dumpsys gives a service ten seconds to answer, and five are asked.
DEADLINE_S = 90.0

# Arguments: a word that nothing else prints, the folder whose storage counts, seconds to watch the
# processors, or 0. Sections begin with that word, so that no other text can pass for one. What the
# shell has built in is used where it can be: a phone has some 800 processes. No number of /proc is
# reckoned with in here: a shell's arithmetic would run what hides in one.
_SCRIPT = r"""
mark=$1 folder=$2 watch=$3
set -f
section() { echo; echo "$mark $1"; }
show() { { read -r value <"$2"; } 2>/dev/null && echo "$1 $value"; }
glob() { set +f; set -- $1; set -f; found="$*"; }

times_of() {
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return
  name=${line#*\(} name=${name%)*}
  set -- ${line##*) }
  times="${12} ${13}"
}
if [ "$watch" != 0 ]; then
  section load
  show uptime /proc/uptime
  glob '/proc/[0-9]*'
  for process in $found; do
    pid=${process#/proc/}
    times_of "$pid" && eval "times_$pid=\$times"
  done
  show cpu /proc/stat
  sleep "$watch" 2>/dev/null || sleep 1
  show cpu /proc/stat
  show uptime /proc/uptime
  glob '/proc/[0-9]*'
  for process in $found; do
    pid=${process#/proc/}
    [ "$pid" = $$ ] && continue
    times_of "$pid" || continue
    eval "before=\$times_$pid"
    [ "$before" = "$times" ] || echo "process ${before:-0 0} $times $name"
  done
fi

section memory
while read -r key value rest; do
  case $key in MemAvailable:) echo "available $value" ;; esac
done 2>/dev/null </proc/meminfo
show load /proc/loadavg
section space
stat -f -c '%S %a %b' "$folder" 2>/dev/null

section cores
glob '/sys/devices/system/cpu/cpu[0-9]*'
for core in $found; do
  number=${core##*/cpu}
  echo "$number core"
  show "$number online" "$core/online"
  show "$number capacity" "$core/cpu_capacity"
  show "$number governor" "$core/cpufreq/scaling_governor"
  show "$number khz" "$core/cpufreq/scaling_cur_freq"
  show "$number limit" "$core/cpufreq/scaling_max_freq"
  show "$number highest" "$core/cpufreq/cpuinfo_max_freq"
done
section zones
glob '/sys/class/thermal/thermal_zone[0-9]*/temp'
for zone in $found; do show celsius "$zone"; done
section supplies
glob '/sys/class/power_supply/*'
for supply in $found; do
  name=${supply##*/}
  for fact in type scope capacity status temp; do show "$name $fact" "$supply/$fact"; done
done

command -v dumpsys >/dev/null 2>&1 || exit 0
section battery
dumpsys battery 2>/dev/null
section thermal
dumpsys thermalservice 2>/dev/null
section headroom
cmd thermalservice headroom 0 2>/dev/null
section power
dumpsys power 2>/dev/null | grep -E \
  '^ *(mWakefulness|mWakefulnessRaw|mLowPowerModeEnabled|Enabled|full|adaptive)=|^Battery saver'
section saver
settings get global low_power 2>/dev/null
exit 0
"""


def read_state(device: Device, watch_s: float = WATCH_S) -> DeviceState:
    """Asks the device for its state.

    Args:
        device: which one.
        watch_s: seconds for which its processors are watched to see what runs besides us; 0 to
            leave that out.

    Raises:
        DeviceError: the device is gone, or does not answer.
    """
    mark = f"pwl-{secrets.token_hex(8)}"
    argv = ["sh", "-c", _SCRIPT, "sh", mark, str(device.workdir), f"{watch_s:g}"]
    with device_task(f"reading the state of {device.spec}"):
        done = device.run(argv, deadline_s=DEADLINE_S + watch_s)
    return parsed_state(sections_of(done.stdout.decode("utf-8", errors="replace"), mark))


def sections_of(text: str, mark: str) -> dict[str, str]:
    """The parts of the script's output by name."""
    found: dict[str, str] = {}
    for part in text.split(f"\n{mark} ")[1:]:
        name, _, rest = part.partition("\n")
        found[name] = rest
    return found


def parsed_state(sections: dict[str, str]) -> DeviceState:
    """What the sections of the script's output say, however little that is."""

    def section(name: str) -> str:
        return sections.get(name, "")

    load = kernel.watched(section("load"))
    space = kernel.space_kb(section("space"))
    zones = kernel.zones_celsius(section("zones"))
    return DeviceState(
        battery=dumpsys.battery(section("battery"))
        or kernel.battery_of_supplies(section("supplies")),
        thermal=dumpsys.thermal(section("thermal"), section("headroom"), zones),
        screen_on=dumpsys.screen_on(section("power")),
        power_save=dumpsys.power_save(section("saver"), section("power")),
        cores=kernel.cores(section("cores")),
        memory_available_kb=kernel.memory_available_kb(section("memory")),
        space_free_kb=space[0] if space else None,
        space_total_kb=space[1] if space else None,
        busy_share=load.busy_share,
        load_1min=kernel.load_1min(section("memory")),
        others=load.others,
    )
