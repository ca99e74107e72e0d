"""What the control plane keeps itself, without any cloud."""
