#include "master/node/unique.h"

#include <stdlib.h>

#define MASK ((UINT64_C(1) << 62) - 1)

int64_t
unique_draw(void)
{
	uint64_t number;

	do {
		arc4random_buf(&number, sizeof(number));
		number &= MASK;
	} while (number == 0);
	return (int64_t)number;
}
