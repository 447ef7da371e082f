"""Images: mirrored, built, and removed when nobody needs them any more."""
