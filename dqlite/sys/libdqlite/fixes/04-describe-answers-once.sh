# DESCRIBE of an unknown format is answered with the failure alone.
after src/gateway.c '^static int handle_describe' 'failure\(req' <<'C'
		return 0;
C
