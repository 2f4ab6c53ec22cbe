/*
 * The byte ring: bytes come out in order, across its edge and from every position.
 */
#include "tests/unit/tap.h"
#include "worker/base/ring.h"

int
main(void)
{
	char in[5000], out[5000];
	struct ring ring;
	unsigned next_in = 0, next_out = 0;
	bool same = true;
	size_t len, i, round;
	char *at;

	ring_init(&ring, 5000);
	is_int(ring.size, 8192, "the size is rounded up to a power of two");
	is_int(ring_room(&ring), 8192, "an empty ring has room for all of it");
	for (round = 0; round < 400; round++) {
		len = 1 + round * 37 % sizeof(in);
		if (len <= ring_room(&ring)) {
			for (i = 0; i < len; i++)
				in[i] = (char)(next_in++ * 7);
			ring_write(&ring, in, len);
		}
		len = 1 + round * 53 % sizeof(out);
		if (len > ring_used(&ring))
			len = ring_used(&ring);
		ring_read(&ring, out, len);
		for (i = 0; i < len; i++)
			same = same && out[i] == (char)(next_out++ * 7);
	}
	ok(same && next_out > 100000, "%u bytes come out in order", next_out);
	is_int(ring_used(&ring), next_in - next_out, "ring_used() counts the rest");

	ring_clear(&ring);
	ring_write(&ring, in, 5000);
	ring_read(&ring, out, 4000);
	ring_write(&ring, in, 4000);
	ring_peek(&ring, &len);
	is_int(len, 8192 - 4000, "a run ends at the edge");
	ring_consume(&ring, len);
	at = ring_peek(&ring, &len);
	ok(at == ring.buf && len == 5000 - 4192, "and continues at the start");
	at = ring_space(&ring, &len);
	ok(at == ring.buf + 808 && len == 8192 - 808, "the room begins where the bytes end");
	ring_release(&ring);
	ring_init(&ring, 8192);
	is_int(ring.size, 8192, "a power of two is taken as it is");
	ring_write(&ring, in, 5000);
	ring_write(&ring, in, 3192);
	is_int(ring_room(&ring), 0, "a full ring has no room");
	ring_peek(&ring, &len);
	is_int(len, 8192, "and all of it in one run");
	ring_release(&ring);
	return done_testing();
}
