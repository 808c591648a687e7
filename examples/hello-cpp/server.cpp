// A small HTTP server in C++17: it shows the files of the directory it is started for.
//
// `server [PORT] [DIRECTORY]`. `/` lists the directory, `/NAME` sends that file.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kRequestMax = 8192;
constexpr std::size_t kFileMax = 16 << 20;
constexpr int kBacklog = 128;

struct Response {
  std::string_view status;
  std::string body;
};

// A descriptor that closes itself.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(const Socket &) = delete;
  Socket &operator=(const Socket &) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

// The path of a GET request's first line, if that is what `head` holds.
std::optional<std::string_view> requested_path(std::string_view head) {
  constexpr std::string_view method = "GET ";
  if (head.substr(0, method.size()) != method) return std::nullopt;
  head.remove_prefix(method.size());
  const auto end = head.find(' ');
  if (end == std::string_view::npos || end == 0 || head.front() != '/') return std::nullopt;
  return head.substr(1, end - 1);
}

std::string listing(const fs::path &directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto &entry : fs::directory_iterator(directory, error)) {
    names.push_back(entry.path().filename().string() + (entry.is_directory(error) ? "/" : ""));
  }
  std::sort(names.begin(), names.end());
  std::string text = "Hello from C++17 in a wasm container!\n";
  for (const auto &name : names) text += name + "\n";
  return text;
}

Response answer(std::string_view head, const fs::path &directory) {
  const auto path = requested_path(head);
  if (!path) return {"400 Bad Request", "expected `GET /NAME`\n"};
  if (path->empty()) return {"200 OK", listing(directory)};
  // One directory deep, and nothing above it.
  if (path->find('/') != std::string_view::npos || *path == "." || *path == "..") {
    return {"404 Not Found", "no such file\n"};
  }
  const fs::path file = directory / std::string(*path);
  std::error_code error;
  const auto size = fs::file_size(file, error);
  if (error || size > kFileMax) return {"404 Not Found", "no such file\n"};
  std::ifstream input(file, std::ios::binary);
  return {"200 OK", std::string(std::istreambuf_iterator<char>(input), {})};
}

std::optional<std::string> read_head(const Socket &client) {
  std::string head;
  std::array<char, 1024> chunk{};
  while (head.find("\r\n\r\n") == std::string::npos) {
    if (head.size() > kRequestMax) return std::nullopt;
    const auto got = ::recv(client.fd(), chunk.data(), chunk.size(), 0);
    if (got <= 0) return std::nullopt;
    head.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return head;
}

void send_all(const Socket &client, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(client.fd(), bytes.data(), bytes.size(), 0);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void serve(const Socket &client, const fs::path &directory) {
  const auto head = read_head(client);
  if (!head) return;
  const auto [status, body] = answer(*head, directory);
  std::string reply = "HTTP/1.1 ";
  reply.append(status).append("\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: ");
  reply.append(std::to_string(body.size())).append("\r\n\r\n").append(body);
  send_all(client, reply);
}

bool listen_on(const Socket &listener, int port) {
  const int on = 1;
  ::setsockopt(listener.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return ::bind(listener.fd(), reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0 &&
         ::listen(listener.fd(), kBacklog) == 0;
}

}  // namespace

int main(int argc, char **argv) {
  const int port = argc > 1 ? std::atoi(argv[1]) : 3000;
  const fs::path directory = argc > 2 ? argv[2] : "/srv";
  std::signal(SIGPIPE, SIG_IGN);
  const Socket listener(::socket(AF_INET, SOCK_STREAM, 0));
  if (listener.fd() < 0 || !listen_on(listener, port)) {
    std::cerr << "cannot listen on port " << port << ": " << std::strerror(errno) << std::endl;
    return 1;
  }
  std::cout << "listening on port " << port << std::endl;
  for (;;) {
    const Socket client(::accept(listener.fd(), nullptr, nullptr));
    if (client.fd() >= 0) serve(client, directory);
  }
}
