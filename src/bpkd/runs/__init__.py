"""What a run leaves behind: its folder, what is written there, and loading it again."""
