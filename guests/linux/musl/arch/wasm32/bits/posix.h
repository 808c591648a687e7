/* Pointers of 32 bits and a `long` of 64: none of POSIX's programming environments. */
