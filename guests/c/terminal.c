// The terminal of the standard input: its window and its modes.
//
// `terminal ACTION`

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static int show(void) {
  struct winsize window;
  struct termios modes;
  if (ioctl(0, TIOCGWINSZ, &window) != 0 || tcgetattr(0, &modes) != 0) return 1;
  printf("%d rows, %d columns, %s, %s\n", window.ws_row, window.ws_col,
         modes.c_lflag & ICANON ? "lines" : "characters",
         modes.c_lflag & ECHO ? "echo" : "no echo");
  return 0;
}

// Reads one character that no newline follows, and does not put the terminal back.
static int raw(void) {
  struct termios modes;
  unsigned char byte = 0;
  if (tcgetattr(0, &modes) != 0) return 1;
  modes.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
  modes.c_cc[VMIN] = 1;
  modes.c_cc[VTIME] = 0;
  if (tcsetattr(0, TCSANOW, &modes) != 0 || show() != 0) return 2;
  if (read(0, &byte, 1) != 1) return 3;
  printf("read %d\n", byte);
  return 0;
}

int main(int argc, char **argv) {
  const char *action = argc > 1 ? argv[1] : "";
  if (strcmp(action, "show") == 0) return show();
  if (strcmp(action, "raw") == 0) return raw();
  if (strcmp(action, "hold") == 0) return raw() != 0 || sleep(100000) != 0;
  fprintf(stderr, "terminal: unknown action `%s`\n", action);
  return 2;
}
