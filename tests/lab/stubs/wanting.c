/* A library that does not load: what it is linked with is not there, or not in the version that it asks for. */

extern void lab_absent(void);

void lab_wanting(void) { lab_absent(); }
