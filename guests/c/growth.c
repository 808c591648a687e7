// Linear memory grows, keeps its contents, and says when it is full. `growth [MIB]`.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIB = 1 << 20, BLOCKS_MAX = 4096 };

static unsigned char *blocks[BLOCKS_MAX];

int main(int argc, char **argv) {
  int wanted = argc > 1 ? atoi(argv[1]) : 100;
  int count = 0;
  while (count < wanted && count < BLOCKS_MAX) {
    blocks[count] = malloc(MIB);
    if (blocks[count] == NULL) break;
    memset(blocks[count], count & 0xff, MIB);
    count++;
  }
  for (int i = 0; i < count; i++) {
    if (blocks[i][0] != (i & 0xff) || blocks[i][MIB - 1] != (i & 0xff)) {
      printf("block %d was lost\n", i);
      return 1;
    }
  }
  printf("%d of %d MiB\n", count, wanted);
  return 0;
}
