/*
 * What C++ needs beside C: exceptions, types at run time, constructors and destructors of statics, and the standard library.
 *
 * It prints the same natively. The first argument names a directory that is not there yet. With JUMPS it jumps, and with
 * THREADS it starts some.
 */
#include <algorithm>
#include <chrono>
#include <csetjmp>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <unordered_map>
#include <variant>
#include <vector>

#ifdef THREADS
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>
#endif

namespace {

struct Noisy {
	std::string name;
	explicit Noisy(std::string name) : name(std::move(name)) { std::cout << "made " << this->name << '\n'; }
	~Noisy() { std::cout << "gone " << name << '\n'; }
};

Noisy first("static");

Noisy &local()
{
	static Noisy noisy("static of a function");
	return noisy;
}

struct Shape {
	virtual ~Shape() = default;
	virtual double area() const = 0;
};
struct Named {
	virtual ~Named() = default;
	virtual std::string name() const { return "nameless"; }
};
struct Square : Shape {
	double side;
	explicit Square(double side) : side(side) {}
	double area() const override { return side * side; }
};
struct Tile : Square, virtual Named {
	using Square::Square;
	std::string name() const override { return "tile"; }
};

struct Refusal : std::runtime_error {
	int depth;
	Refusal(int depth) : std::runtime_error("refused"), depth(depth) {}
};

void descend(int depth)
{
	Noisy noisy("frame " + std::to_string(depth));
	if (depth == 2) throw Refusal(depth);
	descend(depth + 1);
}

void exceptions()
{
	try {
		descend(0);
	} catch (const std::logic_error &) {
		std::cout << "the wrong one\n";
	} catch (const std::exception &error) {
		std::cout << error.what() << ' ' << dynamic_cast<const Refusal &>(error).depth << '\n';
	}
	try {
		try {
			throw 42;
		} catch (int) {
			throw;
		}
	} catch (...) {
		auto kept = std::current_exception();
		try {
			std::rethrow_exception(kept);
		} catch (int number) {
			std::cout << "thrown again " << number << '\n';
		}
	}
	try {
		try {
			throw std::runtime_error("inner");
		} catch (...) {
			std::throw_with_nested(std::runtime_error("outer"));
		}
	} catch (const std::exception &outer) {
		try {
			std::rethrow_if_nested(outer);
		} catch (const std::exception &inner) {
			std::cout << outer.what() << " of " << inner.what() << '\n';
		}
	}
	try {
		std::vector<int>().at(1);
	} catch (const std::out_of_range &) {
		std::cout << "out of range\n";
	}
	try {
		std::function<void()>()();
	} catch (const std::bad_function_call &) {
		std::cout << "no function\n";
	}
}

void types()
{
	std::unique_ptr<Shape> shape = std::make_unique<Tile>(1.5);
	auto *named = dynamic_cast<Named *>(shape.get());
	std::cout << shape->area() << ' ' << named->name() << ' ' << (typeid(*shape) == typeid(Tile)) << '\n';
	Square square(2);
	Shape *plain = &square;
	std::cout << (dynamic_cast<Named *>(plain) == nullptr) << '\n';
	try {
		(void)dynamic_cast<Named &>(*plain);
	} catch (const std::bad_cast &) {
		std::cout << "another type\n";
	}
}

#ifdef JUMPS
/* A jump over frames without destructors, in a function that catches too. */
void jumps()
{
	static std::jmp_buf buffer;
	volatile int rounds = 0;
	try {
		if (setjmp(buffer) < 3) {
			rounds = rounds + 1;
			std::longjmp(buffer, rounds);
		}
		throw static_cast<int>(rounds);
	} catch (int number) {
		std::cout << "rounds " << number << '\n';
	}
}
#endif

void library()
{
	std::map<std::string, std::vector<int>> lists;
	for (int number : {5, 3, 9, 1}) lists[number % 2 ? "odd" : "even"].push_back(number);
	for (auto &[name, list] : lists) {
		std::sort(list.begin(), list.end());
		std::cout << name << std::accumulate(list.begin(), list.end(), std::string(), [](auto text, int number) {
			return text + ' ' + std::to_string(number);
		}) << '\n';
	}
	std::ostringstream text;
	text << std::hex << 255 << ' ' << std::setw(6) << std::setfill('0') << std::fixed << std::setprecision(2) << 3.14159;
	std::cout << text.str() << ' ' << std::stod("2.5e3") << ' ' << 1.0L / 3 << '\n';
	std::istringstream words("one 2 3.5");
	std::string word;
	int whole;
	double part;
	words >> word >> whole >> part;
	std::cout << word << whole << part << '\n';
	std::mt19937 random(7);
	std::cout << random() << ' ' << (std::random_device()() != std::random_device()()) << '\n';
	std::variant<int, std::string> either = "text";
	std::optional<int> none;
	std::cout << std::get<std::string>(either) << none.value_or(8) << '\n';
	std::unordered_map<std::string, int> counts;
	for (int i = 0; i < 1000; i++) counts[std::to_string(i % 37)]++;
	std::cout << counts.size() << ' ' << counts["36"] << '\n';
	using namespace std::chrono;
	auto before = steady_clock::now();
	std::cout << (steady_clock::now() >= before) << duration_cast<minutes>(hours(2)).count() << '\n';
}

void files(const std::filesystem::path &directory)
{
	namespace fs = std::filesystem;
	fs::create_directories(directory / "a/b");
	std::ofstream(directory / "a/file") << "line 1\nline 2\n";
	fs::copy_file(directory / "a/file", directory / "a/b/copy");
	fs::create_symlink("file", directory / "a/link");
	std::vector<std::string> names;
	for (const auto &entry : fs::recursive_directory_iterator(directory))
		names.push_back(fs::relative(entry.path(), directory).string() + (entry.is_symlink() ? "@" : entry.is_directory() ? "/" : ""));
	std::sort(names.begin(), names.end());
	for (const auto &name : names) std::cout << name << '\n';
	std::ifstream copy(directory / "a/b/copy");
	std::string line, last;
	while (std::getline(copy, line)) last = line;
	std::cout << last << ' ' << fs::file_size(directory / "a/link") << ' ' << fs::read_symlink(directory / "a/link").string() << '\n';
	std::error_code error;
	fs::rename(directory / "none", directory / "other", error);
	std::cout << (error == std::errc::no_such_file_or_directory) << '\n';
	try {
		fs::directory_iterator none(directory / "none");
	} catch (const fs::filesystem_error &thrown) {
		std::cout << thrown.path1().filename().string() << '\n';
	}
	std::cout << fs::remove_all(directory) << ' ' << fs::exists(directory) << '\n';
}

#ifdef THREADS
void threads()
{
	std::mutex mutex;
	std::condition_variable changed;
	std::atomic<int> sum = 0;
	int ready = 0;
	thread_local Noisy *mine = nullptr;
	std::vector<std::thread> all;
	for (int i = 0; i < 4; i++)
		all.emplace_back([&, i] {
			Noisy *before = mine;
			mine = &first;
			sum += before ? 1000 : i;
			std::lock_guard guard(mutex);
			ready++;
			changed.notify_one();
		});
	{
		std::unique_lock lock(mutex);
		changed.wait(lock, [&] { return ready == 4; });
	}
	for (auto &thread : all) thread.join();
	auto thrown = std::async(std::launch::async, []() -> int { throw Refusal(7); });
	try {
		thrown.get();
	} catch (const Refusal &refusal) {
		std::cout << "of a thread " << refusal.depth << ' ' << sum << '\n';
	}
	static std::once_flag once;
	int called = 0;
	for (int i = 0; i < 3; i++) std::call_once(once, [&] { called++; });
	std::atomic<bool> go = false;
	std::thread waiter([&] { go.wait(false); called++; });
	go = true;
	go.notify_all();
	waiter.join();
	std::cout << "called " << called << '\n';
}
#endif

}

int main(int, char **arguments)
{
	local();
	exceptions();
	types();
#ifdef JUMPS
	jumps();
#endif
	library();
	files(arguments[1]);
#ifdef THREADS
	threads();
#endif
	return 5;
}
