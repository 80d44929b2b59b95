"""What the page says: claims, tables and sentences, computed from the tables of a study."""
