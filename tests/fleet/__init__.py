"""A fleet of machines that are reached by a real sshd, broken in every way that machines break."""
