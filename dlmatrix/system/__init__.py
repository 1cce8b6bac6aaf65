"""Everything outside: processes, files, the working folder, interpreters, the terminal."""
