"""A lab through Ansible: ansible-runner is used, ansible-core is called, and what it is told is handed through."""
