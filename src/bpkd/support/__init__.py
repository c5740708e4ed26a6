"""What every room uses: files written whole, tensors, fetched files, optional libraries, words."""
