"""Dataset formats: pictures and labels in, pictures and labels out."""
