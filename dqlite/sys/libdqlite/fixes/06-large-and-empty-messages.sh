# The size of a buffer is computed in 64 bits, and a request without a body ends its connection.
replace src/lib/buffer.c '^#define SIZE' '^#define SIZE' <<'C'
#define SIZE(B) ((size_t)(B)->n_pages * (size_t)(B)->page_size)
C
after src/conn.c '^static int read_request\(' '^	int rv;' <<'C'
	if (c->request.words == 0) {
		return DQLITE_PROTO;
	}
C
