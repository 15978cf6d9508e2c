"""castore: content-addressed files and directories, as tvix-castore has them."""
