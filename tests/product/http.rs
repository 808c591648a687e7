//! As much of an HTTP client as the examples need: requests that follow each other on one connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::home::PATIENCE;

/// A connection that may be used for several requests.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the port is published");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout above zero");
        Client {
            stream: BufReader::new(stream),
        }
    }

    /// Sends a request of these lines and reads the whole answer.
    #[track_caller]
    pub(crate) fn request(&mut self, lines: &[&str]) -> Response {
        let head = lines
            .iter()
            .map(|line| format!("{line}\r\n"))
            .collect::<String>();
        self.stream
            .get_mut()
            .write_all(format!("{head}\r\n").as_bytes())
            .expect("the server reads");
        self.response()
    }

    #[track_caller]
    fn response(&mut self) -> Response {
        let status = self.line();
        let status = status.split(' ').nth(1).and_then(|it| it.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
        }
        let mut response = Response {
            status: status.expect("a status"),
            headers,
            body: String::new(),
        };
        let size: usize = response
            .header("content-length")
            .parse()
            .expect("a length is a number");
        let mut body = vec![0; size];
        self.stream
            .read_exact(&mut body)
            .expect("as many bytes as were promised");
        response.body = String::from_utf8(body).expect("the examples send text");
        response
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream
            .read_line(&mut line)
            .expect("the server answers");
        line.trim_end().to_string()
    }

    /// Whether the server has closed the connection.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) -> bool {
        self.stream.read(&mut [0]).expect("an end, not an error") == 0
    }
}

impl Response {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|it| it.0 == name);
        &found.unwrap_or_else(|| panic!("no `{name}` in {self:?}")).1
    }
}

/// Fetches a path by a connection of its own.
#[track_caller]
pub(crate) fn get(address: SocketAddr, path: &str) -> Response {
    Client::connect(address).request(&[
        &format!("GET {path} HTTP/1.1"),
        "Host: localhost",
        "Connection: close",
    ])
}
