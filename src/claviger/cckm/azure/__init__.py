"""The Azure half of the control plane."""
