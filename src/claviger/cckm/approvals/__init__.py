"""Four eyes: changes that destroy something for good wait until enough different people agree."""
