"""The hooks that codexctl brings; `registry` knows their names."""
