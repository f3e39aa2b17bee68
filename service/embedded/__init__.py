"""The parts that run when nothing is installed: servers and outside parties for one machine, with fictional people."""
