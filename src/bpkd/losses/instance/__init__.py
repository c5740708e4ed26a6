"""What a student that finds objects can learn by: one file a method."""
