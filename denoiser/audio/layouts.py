"""Which channel is which."""

LAYOUTS = ["mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1"]  # for 1 to 8 channels
