"""What keeps the matrix in order: locks, bases, records."""
