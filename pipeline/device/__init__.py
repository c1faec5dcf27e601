"""Where measured programs run: this machine, or a device behind ADB (`connect.connect`)."""
