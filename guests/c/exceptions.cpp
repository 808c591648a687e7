// C++ exceptions as Emscripten makes them by default: calls that may throw go through `invoke_*`.

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"

namespace {

int destroyed = 0;

struct Guard {
  ~Guard() { destroyed++; }
};

struct Base {
  virtual ~Base() = default;
  virtual int number() const { return 1; }
};
struct Derived : Base {
  int number() const override { return 2; }
};

void thrower(int depth, const std::string &text) {
  Guard guard;
  if (depth == 0) throw std::runtime_error(text);
  thrower(depth - 1, text);
}

void unwinding() {
  destroyed = 0;
  std::string caught;
  try {
    thrower(4, "deep");
  } catch (const std::exception &error) {
    caught = error.what();
  }
  CHECK(caught == "deep");
  CHECK(destroyed == 5);
}

void types() {
  int seen = 0;
  try {
    throw Derived();
  } catch (const Base &base) {
    seen = base.number();
  }
  CHECK(seen == 2);
  try {
    throw 42;
  } catch (const std::string &) {
    seen = 0;
  } catch (int number) {
    seen = number;
  }
  CHECK(seen == 42);
  try {
    throw 1.5;
  } catch (...) {
    seen = 7;
  }
  CHECK(seen == 7);
}

void rethrowing() {
  std::string path;
  try {
    try {
      throw std::out_of_range("inner");
    } catch (const std::logic_error &error) {
      path += error.what();
      throw;
    }
  } catch (const std::out_of_range &error) {
    path += std::string("-") + error.what();
  }
  CHECK(path == "inner-inner");
}

long long wide(long long a, double b, float c) {
  if (a < 0) throw std::invalid_argument("negative");
  return a + static_cast<long long>(b + c);
}

void signatures() {
  std::function<long long(long long, double, float)> function = wide;
  long long result = 0;
  bool caught = false;
  try {
    result = function(1LL << 40, 2.0, 3.0F);
    function(-1, 0, 0);
  } catch (const std::invalid_argument &) {
    caught = true;
  }
  CHECK(result == (1LL << 40) + 5);
  CHECK(caught);
}

void library() {
  bool caught = false;
  try {
    std::vector<int>(3).at(5) = 1;
  } catch (const std::out_of_range &) {
    caught = true;
  }
  CHECK(caught);
  std::map<std::string, std::shared_ptr<int>> numbers;
  numbers["one"] = std::make_shared<int>(1);
  CHECK(*numbers.at("one") == 1);
}

}  // namespace

int main(int argc, char **) {
  errno = 0;
  unwinding();
  types();
  rethrowing();
  signatures();
  library();
  // With an argument: end by an exception that nobody catches.
  if (argc > 1) throw std::runtime_error("nobody catches this");
  return checks_end();
}
