"""What the user asked for, as frozen objects; `settings` makes them."""
