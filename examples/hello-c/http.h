// As much of HTTP/1.1 as a greeting needs: find the end of a request's head, answer it.

#ifndef HTTP_H
#define HTTP_H

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { HTTP_REQUEST_MAX = 8192, HTTP_RESPONSE_MAX = 512 };
enum http_status { HTTP_PARTIAL, HTTP_COMPLETE };

#define HTTP_TOO_LARGE \
  "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

struct http_request {
  size_t size;     // bytes of the head, with its empty line
  int is_head;     // HEAD: answered without a body
  int keep_alive;  // the connection stays open after the answer
};

// Finds `name`'s value in the head's lines; NULL when it has none.
static const char *http_header(const char *head, const char *end, const char *name) {
  size_t length = strlen(name);
  const char *line = memchr(head, '\n', end - head);
  while (line != NULL && ++line + length < end) {
    if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
      const char *value = line + length + 1;
      while (value < end && *value == ' ') value++;
      return value;
    }
    line = memchr(line, '\n', end - line);
  }
  return NULL;
}

// Spec: RFC 9112, 9.3: HTTP/1.1 keeps the connection unless told otherwise, HTTP/1.0 closes it.
static int http_keeps_alive(const char *head, const char *end) {
  const char *value = http_header(head, end, "Connection");
  if (value != NULL && strncasecmp(value, "close", 5) == 0) return 0;
  if (value != NULL && strncasecmp(value, "keep-alive", 10) == 0) return 1;
  const char *line_end = memchr(head, '\r', end - head);
  return line_end != NULL && line_end - head >= 8 && memcmp(line_end - 8, "HTTP/1.1", 8) == 0;
}

static const char *http_head_end(const char *bytes, size_t size) {
  for (size_t i = 3; i < size; i++) {
    if (bytes[i] == '\n' && memcmp(bytes + i - 3, "\r\n\r", 3) == 0) return bytes + i + 1;
  }
  return NULL;
}

static enum http_status http_parse(const char *bytes, size_t size, struct http_request *request) {
  const char *end = http_head_end(bytes, size);
  if (end == NULL) return HTTP_PARTIAL;
  request->size = end - bytes;
  request->is_head = strncmp(bytes, "HEAD ", 5) == 0;
  // A request with a body is answered, and its body left unread: the connection cannot be reused.
  int has_body = http_header(bytes, end, "Content-Length") != NULL ||
                 http_header(bytes, end, "Transfer-Encoding") != NULL;
  request->keep_alive = !has_body && http_keeps_alive(bytes, end);
  return HTTP_COMPLETE;
}

// Writes the answer into `reply` (HTTP_RESPONSE_MAX bytes) and returns its size.
static size_t http_hello(const struct http_request *request, char *reply) {
  static const char body[] = "Hello from C in a wasm container!\n";
  return snprintf(reply, HTTP_RESPONSE_MAX,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                  "Connection: %s\r\n\r\n%s",
                  sizeof body - 1, request->keep_alive ? "keep-alive" : "close",
                  request->is_head ? "" : body);
}

#endif
