//! Each example is built from its Balenafile, run, and used as its README says.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;

use crate::home::{Home, example};
use crate::http::{Client, get};

#[track_caller]
fn build(home: &Home, name: &str) {
    home.ok(&["build", "-q", "-t", name, &example(name)]);
}

/// Runs an example's image in the background; returns the host's address of its port 3000.
#[track_caller]
fn serve(home: &Home, options: &[&str], image: &str, command: &[&str]) -> SocketAddr {
    let run = ["run", "-d", "--name", "web", "-p", "127.0.0.1::3000"];
    home.ok(&[&run, options, &[image], command].concat());
    home.published("web", "3000/tcp")
}

/// Two requests on one connection, then one that asks for its end.
#[track_caller]
fn check_keep_alive(address: SocketAddr, body: &str) {
    let mut client = Client::connect(address);
    for _ in 0..2 {
        let response = client.request(&["GET / HTTP/1.1", "Host: localhost"]);
        assert_eq!(
            (response.status, response.header("connection")),
            (200, "keep-alive")
        );
        assert_eq!(response.body, body);
    }
    let last = client.request(&["GET / HTTP/1.1", "Host: localhost", "Connection: close"]);
    assert_eq!((last.status, last.header("connection")), (200, "close"));
    assert!(client.is_closed());
}

/// A client that is connected and silent does not keep others waiting.
#[track_caller]
fn check_many_at_once(address: SocketAddr, body: &str) {
    let mut clients: Vec<_> = (0..20).map(|_| Client::connect(address)).collect();
    for client in clients.iter_mut().rev() {
        assert_eq!(
            client.request(&["GET / HTTP/1.1", "Host: localhost"]).body,
            body
        );
    }
}

#[test]
fn hello_rust_serves_its_page() {
    let home = Home::new();
    build(&home, "hello-rust");
    let address = serve(&home, &[], "hello-rust", &[]);
    let body = "Hello from Rust in a wasm container!\n";
    assert_eq!(get(address, "/").body, body);
    check_keep_alive(address, body);
    check_many_at_once(address, body);
}

const HELLO_C: &str = "Hello from C in a wasm container!\n";

#[test]
fn hello_c_serves_many_with_select() {
    let home = Home::new();
    build(&home, "hello-c");
    let address = serve(&home, &[], "hello-c", &[]);
    check_keep_alive(address, HELLO_C);
    check_many_at_once(address, HELLO_C);
}

#[test]
fn hello_c_serves_many_with_poll() {
    let home = Home::new();
    build(&home, "hello-c");
    let address = serve(&home, &[], "hello-c", &["server-select", "3000", "poll"]);
    check_keep_alive(address, HELLO_C);
    check_many_at_once(address, HELLO_C);
}

#[test]
fn hello_c_serves_one_after_the_other_with_blocking_calls() {
    let home = Home::new();
    build(&home, "hello-c");
    let address = serve(&home, &[], "hello-c", &["server", "3000"]);
    for _ in 0..5 {
        let response = get(address, "/");
        assert_eq!(
            (response.status, response.header("connection")),
            (200, "close")
        );
        assert_eq!(response.body, HELLO_C);
    }
}

#[test]
fn hello_c_blocking_keeps_a_connection_when_asked() {
    let home = Home::new();
    build(&home, "hello-c");
    let address = serve(&home, &[], "hello-c", &["server", "3000", "keep-alive"]);
    check_keep_alive(address, HELLO_C);
}

#[test]
fn hello_cpp_lists_and_sends_the_images_files() {
    let home = Home::new();
    build(&home, "hello-cpp");
    let address = serve(&home, &[], "hello-cpp", &[]);
    assert_eq!(
        get(address, "/").body,
        "Hello from C++17 in a wasm container!\nREADME.md\nserver.cpp\n"
    );
    let readme = get(address, "/README.md");
    assert_eq!(readme.status, 200);
    assert!(readme.body.starts_with("# hello-cpp\n"), "{}", readme.body);
    assert_eq!(get(address, "/none").status, 404);
    assert_eq!(get(address, "/..").status, 404);
}

#[test]
fn file_server_serves_a_volume_and_nothing_beside_it() {
    let home = Home::new();
    home.write("public/page.txt", "a page\n");
    home.write("public/below/deep.txt", "deep\n");
    home.write("secret.txt", "secret\n");
    symlink("../secret.txt", home.files().join("public/way-out")).expect("a new link");
    symlink("page.txt", home.files().join("public/inside")).expect("a new link");
    let volume = format!("{}:/srv:ro", home.files().join("public").display());

    build(&home, "file-server");
    let address = serve(&home, &["-v", &volume], "file-server", &[]);

    let page = get(address, "/page.txt");
    assert_eq!((page.status, page.body.as_str()), (200, "a page\n"));
    assert_eq!(page.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(get(address, "/below/deep.txt").body, "deep\n");
    assert_eq!(get(address, "/inside").body, "a page\n");
    assert!(get(address, "/").body.contains("<a href=\"/page.txt\">"));
    for outside in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/below/../../secret.txt",
        "/way-out",
        "/none",
    ] {
        assert_eq!(get(address, outside).status, 404, "{outside}");
    }
}

#[test]
fn file_server_serves_its_own_page_without_a_volume() {
    let home = Home::new();
    build(&home, "file-server");
    let address = serve(&home, &[], "file-server", &[]);
    let page = get(address, "/");
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(
        page.body.contains("<title>file-server</title>"),
        "{}",
        page.body
    );
    let link = "<a href=\"pipes.html\">Pipes &amp; here-documents</a>";
    assert!(page.body.contains(link), "{}", page.body);
    let article = get(address, "/pipes.html").body;
    assert!(article.contains("s/&lt;/\\&amp;lt;/g"), "{article}");
    assert_eq!(get(address, "/pipes.txt").status, 404);
}

#[test]
fn hello_python_greets_or_counts_words() {
    let home = Home::shared();
    build(&home, "hello-python");
    assert_eq!(
        home.ok(&["run", "--rm", "hello-python"]),
        "Hello from Python 3.12.0 in a wasm container!"
    );
    let counted = home.run_with_input(
        &["run", "--rm", "-i", "hello-python"],
        b"the cat and the dog\n",
    );
    assert_eq!(counted.code, 0, "{counted:?}");
    assert!(
        counted.stdout.starts_with("{\n  \"the\": 2,\n"),
        "{}",
        counted.stdout
    );
    assert_eq!(
        home.ok(&[
            "run",
            "--rm",
            "hello-python",
            "python",
            "-c",
            "print(6 * 7)"
        ]),
        "42"
    );
}
