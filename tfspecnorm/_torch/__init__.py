"""What PyTorch does in its own way: nothing here is imported with another backend."""
