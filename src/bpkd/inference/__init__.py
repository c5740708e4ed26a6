"""What a network sees in images: windows, predictions, measurements."""
