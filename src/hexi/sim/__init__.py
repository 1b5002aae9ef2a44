"""A synthetic district: its people, its devices, its days. Nothing in it is a real person or address."""
