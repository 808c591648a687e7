//! A server of static files: what is in a directory, and nothing beside it.
//!
//! `file-server [PORT] [DIRECTORY]`, one connection at a time, each closed after its answer.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use wasmedge_wasi_socket::{TcpListener, TcpStream};

/// Bytes of a request's head that are kept while its end has not come.
const HEAD_BYTES_MAX: usize = 8192;
/// Names shown of a directory.
const LISTED_MAX: usize = 1000;

/// What is sent back, apart from the headers that follow from it.
enum Answer {
    File {
        file: File,
        size: u64,
        kind: &'static str,
    },
    Text {
        status: &'static str,
        kind: &'static str,
        text: String,
    },
}

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let port = args.next().unwrap_or_else(|| "3000".to_string());
    let root = args.next().unwrap_or_else(|| "/srv".to_string());
    // Resolved once: what is served must be below this path after its links are followed.
    let root = fs::canonicalize(root)?;
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"), false)?;
    println!("serving {} on port {port}", root.display());
    for stream in listener.incoming().flatten() {
        if let Err(error) = serve(stream, &root) {
            eprintln!("connection: {error}");
        }
    }
    Ok(())
}

fn serve(mut stream: TcpStream, root: &Path) -> io::Result<()> {
    let head = read_head(&mut stream)?;
    let line = head.lines().next().unwrap_or_default();
    let mut words = line.split(' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let answer = match method {
        "GET" | "HEAD" => find(root, target),
        _ => refusal("405 Method Not Allowed", "expected `GET` or `HEAD`"),
    };
    println!("{line}");
    send(&mut stream, answer, method == "HEAD")
}

fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while !head.windows(4).any(|it| it == b"\r\n\r\n") {
        let count = stream.read(&mut chunk)?;
        if count == 0 || head.len() + count > HEAD_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "no complete request head",
            ));
        }
        head.extend_from_slice(&chunk[..count]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Finds what `target` names below `root`; anything else is not there.
fn find(root: &Path, target: &str) -> Answer {
    let not_found = || refusal("404 Not Found", "no such file");
    let Some(path) = checked_path(root, target) else {
        return not_found();
    };
    if path.is_dir() {
        let index = path.join("index.html");
        return if index.is_file() {
            open(&index)
        } else {
            list(root, &path)
        };
    }
    if path.is_file() {
        open(&path)
    } else {
        not_found()
    }
}

/// The file that `target` names, if it is below `root` both as written and with its links followed.
fn checked_path(root: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?;
    let name = percent_decoded(path)?;
    if name.split('/').any(|part| part == "..") || name.contains('\0') {
        return None;
    }
    let found = fs::canonicalize(root.join(name.trim_start_matches('/'))).ok()?;
    found.starts_with(root).then_some(found)
}

/// Spec: RFC 3986, 2.1.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

fn open(path: &Path) -> Answer {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    match opened {
        Ok((size, file)) => Answer::File {
            file,
            size,
            kind: content_type(path),
        },
        Err(error) => refusal("403 Forbidden", &error.to_string()),
    }
}

fn list(root: &Path, directory: &Path) -> Answer {
    let Ok(entries) = fs::read_dir(directory) else {
        return refusal("403 Forbidden", "the directory cannot be read");
    };
    let base = directory.strip_prefix(root).unwrap_or(Path::new(""));
    let mut names: Vec<String> = entries
        .flatten()
        .take(LISTED_MAX)
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let rows: String = names
        .iter()
        .map(|name| {
            let target = escaped(&base.join(name).to_string_lossy());
            format!("<li><a href=\"/{target}\">{}</a></li>\n", escaped(name))
        })
        .collect();
    let text = format!("<!doctype html>\n<title>Files</title>\n<ul>\n{rows}</ul>\n");
    Answer::Text {
        status: "200 OK",
        kind: "text/html; charset=utf-8",
        text,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

fn refusal(status: &'static str, reason: &str) -> Answer {
    Answer::Text {
        status,
        kind: "text/plain",
        text: format!("{reason}\n"),
    }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|it| it.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

fn send(stream: &mut TcpStream, answer: Answer, head_only: bool) -> io::Result<()> {
    let (status, kind, size) = match &answer {
        Answer::File { size, kind, .. } => ("200 OK", *kind, *size),
        Answer::Text { status, kind, text } => (*status, *kind, text.len() as u64),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    match answer {
        _ if head_only => Ok(()),
        Answer::Text { text, .. } => stream.write_all(text.as_bytes()),
        // No more than was promised, should the file grow meanwhile.
        Answer::File { file, size, .. } => io::copy(&mut file.take(size), stream).map(drop),
    }
}
