# A connection to a peer is read too, for its end: messages go one way, so that else only the next one shows
# it, by getting lost.
after src/raft/uv_send.c '^struct uvClient$' 'bool closing;' <<'C'
	bool lost;                      /* The peer ended the connection */
C
after src/raft/uv_send.c '^static int uvClientInit\(' 'c->closing = false;' <<'C'
	c->lost = false;
C
after src/raft/uv_send.c '^/\* Forward declaration' '^static void uvClientConnect\(struct uvClient \*c\);' <<'C'
static void uvClientTimerCb(uv_timer_t *timer);
C
replace src/raft/uv_send.c 'uvClientConnect\(c\); /\* Trigger a new connection attempt' '^	}$' <<'C'
		if (c->lost) {
			/* A peer that ends each connection is not to be
			 * asked again at once. */
			c->lost = false;
			int rv = uv_timer_start(&c->timer, uvClientTimerCb,
						c->uv->connect_retry_delay, 0);
			dqlite_assert(rv == 0);
			return;
		}
		uvClientConnect(c); /* Trigger a new connection attempt. */
	}
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
replace src/raft/uv_send.c '^		uvClientSendPending\(c\);$' '^		uvClientSendPending\(c\);$' <<'C'
		(void)uv_read_start(stream, uvClientAllocCb, uvClientReadCb);
		uvClientSendPending(c);
C
