"""What the product has beside its clouds: consumed clouds, settings, properties, alarms (CCKM contract §10, §11)."""
