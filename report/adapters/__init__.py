"""Tables of runs from the folders that experiment trackers write."""
