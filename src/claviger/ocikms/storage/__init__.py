"""The little of Object Storage that backups and a control plane need: buckets, objects, pre-authenticated requests."""
