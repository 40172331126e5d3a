# Requests that name the server id 0 are refused.
for handler in add promote_or_assign remove; do
	after src/gateway.c "^static int handle_$handler" 'CHECK_LEADER' <<'C'

	if (request.id == 0) {
		failure(req, translateRaftErrCode(RAFT_BADID),
			raft_strerror(RAFT_BADID));
		return 0;
	}
C
done
after src/conn.c '^static void raft_connect' '^	}$' <<'C'
	if (request.id == 0) {
		conn_trace(c, "request connect without an id");
		conn__stop(c);
		return;
	}
C
