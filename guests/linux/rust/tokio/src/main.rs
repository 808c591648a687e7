//! Serves HTTP with tokio: its reactor waits by `epoll`, its workers are threads, its children are reaped by a signal.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// Most bytes of a request that are read.
const REQUEST_BYTES_MAX: usize = 8 << 10;

/// Serves on a port until SIGTERM comes, or somebody fetches `/end`.
#[tokio::main(worker_threads = 2)]
async fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|it| it.parse().ok())
        .unwrap_or(8080);
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (end, mut ended) = mpsc::channel(1);
    println!("listening");
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                let end = end.clone();
                tokio::spawn(async move { serve(stream, end).await });
            }
            _ = terminate.recv() => {
                println!("terminated");
                return Ok(());
            }
            _ = ended.recv() => {
                println!("ended");
                return Ok(());
            }
        }
    }
}

/// Answers one request.
async fn serve(mut stream: TcpStream, end: mpsc::Sender<()>) -> std::io::Result<()> {
    let mut request = vec![0; REQUEST_BYTES_MAX];
    let length = stream.read(&mut request).await?;
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let path = request.split(' ').nth(1).unwrap_or("/");
    let body = answer(path).await;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await?;
    if path == "/end" {
        let _ = end.send(()).await;
    }
    Ok(())
}

async fn answer(path: &str) -> String {
    match path {
        "/sleep" => {
            let start = Instant::now();
            let late = timeout(Duration::from_millis(20), sleep(Duration::from_secs(3600))).await;
            format!(
                "late {} in time {}\n",
                late.is_err(),
                start.elapsed() >= Duration::from_millis(20)
            )
        }
        "/child" => match Command::new("/bin/sh")
            .args(["-c", "echo from a child; exit 3"])
            .output()
            .await
        {
            Ok(output) => format!(
                "{}{}\n",
                String::from_utf8_lossy(&output.stdout),
                output.status
            ),
            Err(error) => format!("{error}\n"),
        },
        "/tasks" => {
            let tasks = (0..100_u64).map(|it| {
                tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    it
                })
            });
            let mut sum = 0;
            for task in tasks.collect::<Vec<_>>() {
                sum += task.await.unwrap_or(0);
            }
            format!("{sum}\n")
        }
        "/block" => {
            let count = tokio::task::spawn_blocking(|| (0..1000).filter(|it| it % 7 == 0).count());
            format!("{}\n", count.await.unwrap_or(0))
        }
        other => format!("{other}\n"),
    }
}
