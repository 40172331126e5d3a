# A connection to a peer is read too, for its end: messages go one way, so that else only the next one shows
# it, by getting lost. Another is made when there is something to say.
after src/raft/uv_send.c '^struct uvClient$' 'bool closing;' <<'C'
	bool lost;                      /* The peer ended the connection */
C
after src/raft/uv_send.c '^static int uvClientInit\(' 'c->closing = false;' <<'C'
	c->lost = false;
C
replace src/raft/uv_send.c 'uvClientConnect\(c\); /\* Trigger a new connection attempt' 'uvClientConnect\(c\); /\* Trigger a new connection attempt' <<'C'
		if (c->lost && queue_empty(&c->pending)) {
			return;
		}
		c->lost = false;
		uvClientConnect(c); /* Trigger a new connection attempt. */
C
after src/raft/uv_send.c '^static void uvClientDisconnect\(' '^}$' <<'C'

static void uvClientAllocCb(struct uv_handle_s *handle,
			    size_t size,
			    uv_buf_t *buf)
{
	static _Thread_local char nothing[64];
	(void)handle;
	(void)size;
	*buf = uv_buf_init(nothing, sizeof nothing);
}

/* A peer sends nothing on this connection: what can arrive is its end. */
static void uvClientReadCb(struct uv_stream_s *stream,
			   ssize_t n,
			   const uv_buf_t *buf)
{
	struct uvClient *c = stream->data;
	(void)buf;
	if (n < 0 && !c->closing && c->stream == stream) {
		c->lost = true;
		uvClientDisconnect(c);
	}
}
C
after src/raft/uv_send.c '^static int uvClientSend\(' 'queue_insert_tail\(&c->pending' <<'C'
		if (c->lost && c->old_stream == NULL) {
			c->lost = false;
			uvClientConnect(c);
		}
C
replace src/raft/uv_send.c '^		uvClientSendPending\(c\);$' '^		uvClientSendPending\(c\);$' <<'C'
		(void)uv_read_start(stream, uvClientAllocCb, uvClientReadCb);
		uvClientSendPending(c);
C
replace src/raft/uv_send.c '^	       c->connect.data != NULL\);$' '^	       c->connect.data != NULL\);$' <<'C'
	       c->connect.data != NULL || c->lost);
C
