"""What dumpsys prints, release by release, as AOSP's sources format it; the numbers are ours."""

from __future__ import annotations

BATTERY_7 = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  status: 2
  health: 2
  present: true
  level: 57
  scale: 100
  voltage: 4012
  temperature: 301
  technology: Li-ion
"""

# Android 14, of a vendor who appends a log of what was sent before.
BATTERY_14 = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Dock powered: false
  Max charging current: 0
  Max charging voltage: 0
  Charge counter: 3711000
  status: 4
  health: 2
  present: true
  level: 81
  scale: 100
  voltage: 4239
  temperature: 412
  technology: Li-ion
  Charging state: 0
  Charging policy: 0
  Capacity level: -1
[EventLogBuffer]
08-11 18:34:14.721  Sending ACTION_BATTERY_CHANGED: level:3, status:2, temperature:345
  level: 3
  temperature: 990
"""

# A test, or the user, has set values with `cmd battery set`.
BATTERY_STOPPED = """Current Battery Service state:
  (UPDATES STOPPED -- use 'reset' to restart)
  AC powered: false
  USB powered: false
  status: 3
  present: true
  level: 180
  scale: 200
  temperature: -15
"""

# A television box.
BATTERY_ABSENT = """Current Battery Service state:
  AC powered: true
  status: 1
  present: false
  level: 0
  scale: 100
  temperature: 0
"""

_NONE = "[NaN, NaN, NaN, NaN, NaN, NaN, NaN]"
_COLD_20 = f".coldThrottlingThresholds = {_NONE}, .vrThrottlingThreshold = NaN"
_COLD = f"mColdThrottlingThresholds={_NONE}"
_LISTENERS = """IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 2
\tkilled: false
\tbroadcasts count: -1
ThermalStatusListeners:
\tcallbacks: 6
\tkilled: false
\tbroadcasts count: -1
"""

# Android 10, with HAL 1.0, which knows no thresholds.
THERMAL_10 = f"""{_LISTENERS}Thermal Status: 0
Cached temperatures:
HAL Ready: true
HAL connection:
\tThermalHAL 1.0 connected: yes
Current temperatures from HAL:
\tTemperature{{mValue=33.0, mType=0, mName=CPU0, mStatus=0}}
\tTemperature{{mValue=29.1, mType=2, mName=battery, mStatus=0}}
\tTemperature{{mValue=30.5, mType=3, mName=skin, mStatus=0}}
Current cooling devices from HAL:
Temperature static thresholds from HAL:
"""

# Android 12, HAL 2.0, whose thresholds are printed as the HAL's own class does it. The cached
# temperatures are those of an hour ago.
THERMAL_12 = f"""{_LISTENERS}Thermal Status: 2
Cached temperatures:
\tTemperature{{mValue=71.0, mType=3, mName=skin, mStatus=5}}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{{mValue=43.8, mType=2, mName=battery, mStatus=0}}
\tTemperature{{mValue=46.0, mType=3, mName=skin, mStatus=2}}
\tTemperature{{mValue=47.8, mType=0, mName=CPU7, mStatus=0}}
\tTemperature{{mValue=4384.0, mType=6, mName=vbat, mStatus=0}}
Current cooling devices from HAL:
\tCoolingDevice{{mValue=11, mType=2, mName=thermal-cpufreq-6}}
Temperature static thresholds from HAL:
\t{{.type = BATTERY, .name = battery, .hotThrottlingThresholds = [NaN, NaN, NaN, NaN, NaN, 65.0, \
70.0], {_COLD_20}}}
\t{{.type = SKIN, .name = skin, .hotThrottlingThresholds = [25.0, 35.0, 45.0, 52.0, 55.0, 58.0, \
60.0], {_COLD_20}}}
"""

# Android 15, AIDL HAL. A sensor that reads 0 is not fitted.
THERMAL_15 = f"""{_LISTENERS}Thermal Status: 0
Cached temperatures:
\tTemperature{{mValue=55.0, mType=0, mName=AP, mStatus=0}}
HAL Ready: true
HAL connection:
\tThermalHAL AIDL 2  connected: yes
Current temperatures from HAL:
\tTemperature{{mValue=34.6, mType=0, mName=AP, mStatus=0}}
\tTemperature{{mValue=25.2, mType=2, mName=BAT, mStatus=0}}
\tTemperature{{mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}}
\tTemperature{{mValue=27.0, mType=3, mName=SKIN, mStatus=0}}
Current cooling devices from HAL:
Temperature static thresholds from HAL:
\tTemperatureThreshold{{mType=2, mName=BAT, mHotThrottlingThresholds=[NaN, NaN, NaN, NaN, NaN, \
55.0, 85.0], {_COLD}}}
\tTemperatureThreshold{{mType=3, mName=SKIN, mHotThrottlingThresholds=[36.0, 38.0, 40.0, 42.0, \
45.0, NaN, NaN], {_COLD}}}
Temperature headroom thresholds:
[NaN, 0.8666667, 0.93333334, 1.0, NaN, NaN, NaN]
"""

THERMAL_NO_HAL = f"""{_LISTENERS}Thermal Status: 0
Cached temperatures:
HAL Ready: false
"""

HEADROOM_15 = "Headroom in 0 seconds: 0.61\n"

# What the script keeps of `dumpsys power`.
POWER_7 = """  mWakefulness=Awake
  mLowPowerModeEnabled=false
"""
POWER_9 = """  mWakefulness=Asleep
Battery saver state machine:
  Enabled=true
"""
POWER_14 = """  mWakefulness=Dozing
Battery saver state machine:
  Enabled=false
    full=false
    adaptive=false
"""
