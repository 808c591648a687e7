//! Prints a greeting: the smallest program that the benchmarks start.

fn main() {
    println!("hello");
}
